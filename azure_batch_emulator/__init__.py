"""A local Azure Batch service."""
