"""A local Azure Batch service, for clients of the real one.

The account and its key are published, as Azurite's are: they open nothing but a service on loopback.
"""

__version__ = "0.1.0"

DEV_ACCOUNT = "devbatch"
DEV_KEY = "c25ha2VtYWtlLW9uLWF6dXJlLWJhdGNoLWVtdWxhdG9yLXB1Ymxpc2hlZC1kZXZlbG9wbWVudC1rZXktbm90LXNlY3JldCE="
DEFAULT_PORT = 10011
API_VERSIONS = (
    "2025-06-01", "2024-07-01.20.0", "2024-02-01.19.0", "2023-11-01.18.0", "2023-05-01.17.0", "2022-10-01.16.0",
    "2022-01-01.15.0", "2021-06-01.14.0", "2020-09-01.12.0", "2020-03-01.11.0", "2019-08-01.10.0", "2019-06-01.9.0",
    "2018-12-01.8.0", "2018-08-01.7.0", "2018-03-01.6.1", "2017-09-01.6.0",
)  # fmt: skip
"""All that the service takes, the current one first. https://learn.microsoft.com/azure/batch/batch-api-status"""
