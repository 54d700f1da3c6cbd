"""The end of a blob, such as that of a log that may be large."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from snakemake.azure.blob.errors import explained
from snakemake.azure.blob.names import SCHEME

if TYPE_CHECKING:
    from snakemake.azure.blob.store import BlobStore


@dataclass(frozen=True)
class Tail:
    """The last bytes of a blob; `whole`: they are all of it; `modified`: when it was stored (UTC)."""

    data: bytes
    whole: bool
    modified: datetime


def tail(store: "BlobStore", container: str, name: str, most: int) -> Tail | None:
    """The last bytes of the blob, at most so many; None if there is no such blob. Raises BlobError."""
    from azure.core.exceptions import ResourceNotFoundError

    client = store.container(container).get_blob_client(name)
    with explained(store.account, f"{SCHEME}{container}/{name}"):
        try:
            found = client.get_blob_properties()
            start = max(0, found.size - most)
            data = client.download_blob(start, found.size - start).readall() if found.size else b""
        except ResourceNotFoundError:
            return None
    return Tail(data, start == 0, found.last_modified)
