"""Compute nodes in the eyes of the service."""
