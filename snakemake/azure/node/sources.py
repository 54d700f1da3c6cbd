"""The workflow's sources on a node: fetched by the first task under a lock, into the directory that all tasks share.

`snakemake.azure.sources` packs them.
"""

import fcntl
import hashlib
import io
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.node.order import NodeOrder

SHARED = "snakemake-sources"


class SourcesError(WorkflowError):
    """The sources cannot be packed or unpacked."""


def unpack(data: bytes, sha256: str, target: Path) -> None:
    """Unpacks an archive into `target` after checking its digest.

    Raises
    ------
    SourcesError: the data is not what was packed.
    """
    import tarfile  # most tasks find the sources unpacked

    if hashlib.sha256(data).hexdigest() != sha256:
        raise SourcesError(
            "The workflow's sources arrived damaged: their SHA-256 is not the one that was sent."
        )
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        # Python before 3.11.4, such as Debian 12's, has no filters; the digest vouches for the content there.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(target)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on the file `path`; the system frees it however the process ends."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sources_on_node(shared: Path, order: NodeOrder, fetch: Callable[[str], bytes]) -> Path:
    """The node's unpacked copy of the sources, fetched now if this is the first task to ask for it.

    `fetch` gets `CONTAINER/BLOB` and returns the archive's bytes.
    """
    home = shared / SHARED
    home.mkdir(parents=True, exist_ok=True)
    copy = home / order.sha256
    if copy.is_dir():
        return copy
    with locked(home / f"{order.sha256}.lock"):
        if not copy.is_dir():
            # Unpacked beside and renamed: the name exists only when all of it is there.
            partial = Path(tempfile.mkdtemp(prefix=f"{order.sha256}.", dir=home))
            try:
                unpack(fetch(order.sources), order.sha256, partial)
                partial.chmod(0o755)
                partial.rename(copy)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return copy


def fetch_blob(name: str) -> bytes:
    """The content of `CONTAINER/BLOB`, with the credentials in this task's environment."""
    from snakemake.azure.blob.account import BlobAccount
    from snakemake.azure.blob.service import connect

    container, _, blob = name.partition("/")
    with connect(BlobAccount.resolve()) as service:
        return service.get_blob_client(container, blob).download_blob().readall()
