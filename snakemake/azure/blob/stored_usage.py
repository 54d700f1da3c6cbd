"""What tasks have used, in Blob Storage: one line for each task, in one append blob for each node and hour.

A run of thousands of tasks is read by one listing and as many requests as it had nodes, and each task writes by one
request. An append blob takes 50,000 of them, more than a node can do in an hour.
https://learn.microsoft.com/rest/api/storageservices/append-block
"""

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient

    from snakemake.azure.blob.store import BlobStore

FOLDER = "usage"
"""Below the folder of the run's logs."""


def append(service: "BlobServiceClient", logs: str, node: str, line: bytes) -> None:
    """Adds a line to those of `node`; `logs` is the `CONTAINER/PATH` of the run's logs. Raises AzureError."""
    from azure.core import MatchConditions
    from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

    container, _, prefix = logs.partition("/")
    hour = time.strftime("%Y%m%d%H", time.gmtime())
    client: Any = service.get_blob_client(container, f"{prefix}/{FOLDER}/{node}-{hour}.jsonl")
    try:
        client.append_block(line, length=len(line))
    except ResourceNotFoundError:
        with suppress(ResourceExistsError, ResourceModifiedError):  # another task was first
            client.create_append_blob(match_condition=MatchConditions.IfMissing)
        client.append_block(line, length=len(line))


def is_usage(logs: str, name: str) -> bool:
    """Whether the blob `name` holds such lines; `logs` is the path of the run's logs."""
    return name.startswith(f"{logs}/{FOLDER}/")


def read(store: "BlobStore", container: str, name: str) -> bytes:
    """The lines of a node's blob. Raises BlobError."""
    from snakemake.azure.blob.errors import explained

    with explained(store.account, f"az://{container}/{name}"):
        return store.service.get_blob_client(container, name).download_blob().readall()
