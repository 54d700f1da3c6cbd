"""A local Azure Batch service, for clients of the real one.

The account and its key are published, as Azurite's are: they open nothing but a service on loopback.
"""

__version__ = "0.1.0"

DEV_ACCOUNT = "devbatch"
DEV_KEY = "c25ha2VtYWtlLW9uLWF6dXJlLWJhdGNoLWVtdWxhdG9yLXB1Ymxpc2hlZC1kZXZlbG9wbWVudC1rZXktbm90LXNlY3JldCE="
DEFAULT_PORT = 10011
API_VERSIONS = ("2025-06-01", "2024-07-01.20.0", "2024-02-01.19.0", "2022-10-01.16.0")
