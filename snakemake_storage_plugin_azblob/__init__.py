"""The name under which Snakemake finds the storage provider `azblob`."""

from snakemake.azure.blob.storage import StorageObject, StorageProvider, StorageProviderSettings

__all__ = ["StorageObject", "StorageProvider", "StorageProviderSettings"]
