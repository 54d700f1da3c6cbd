"""What the service says of a blob, in a listing or in an answer, and where the blob lies below a directory."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snakemake.azure.blob.errors import BlobError
from snakemake.azure.blob.names import SCHEME, SEGMENT_BYTES

FOLDER = {"hdi_isfolder": "true"}


@dataclass(frozen=True)
class Blob:
    """One entry of a listing, or one blob's properties. `mtime` is Last-Modified in seconds since 1970."""

    name: str
    size: int
    mtime: float
    is_folder: bool = False
    md5: str | None = None
    etag: str = ""
    leased: bool = False
    archived: bool = False


def blob_of(properties: Any, size: int | None = None) -> Blob:
    """From what the SDK returns for a blob of a listing, of a download, or for a blob's properties.

    A download of a part says the part's size: then the blob's is given as `size`.
    """
    md5 = properties.content_settings.content_md5
    return Blob(
        name=properties.name,
        size=properties.size or 0 if size is None else size,
        mtime=properties.last_modified.timestamp(),
        is_folder=is_folder(properties.name, properties.metadata or {}),
        md5=bytes(md5).hex() if md5 else None,
        etag=bare(properties.etag),
        leased=properties.lease.status == "locked",
        # Also while it is on its way to another tier.
        archived=str(properties.blob_tier or "").lower() == "archive",
    )


def is_folder(name: str, metadata: Mapping[str, Any]) -> bool:
    """Whether a blob marks a directory. What ends with a slash does so as well: other tools mark them so."""
    if name.endswith("/"):
        return True
    return any(k.lower() == "hdi_isfolder" and str(v).lower() == "true" for k, v in metadata.items())


def bare(etag: str | None) -> str:
    """The ETag without its quotes, which it has in headers and not in listings."""
    return (etag or "").strip('"')


def inside(container: str, name: str, blob: Blob) -> str:
    """The blob's path relative to the directory; names that would leave it, or are no paths, are refused."""
    relative = blob.name.removeprefix(f"{name}/").removesuffix("/")
    parts = relative.split("/")
    if any(p in ("", ".", "..") or len(os.fsencode(p)) > SEGMENT_BYTES for p in parts) or "\0" in relative:
        raise BlobError(
            f"{SCHEME}{container}/{blob.name}: this name cannot be a path below a local directory; "
            "rename the blob."
        )
    return relative
