"""The workflow's sources on a node: fetched by the first task under a lock, and laid out from there by each task.

    snakemake-sources-UID/SHA256         the files, as unpacked
    snakemake-sources-UID/SHA256.files   what they are: the digest of each
    snakemake-sources-UID/SHA256.lock    held (flock) by whoever fetches

in the directory that all tasks of a node share. Other users of the node can write to that, so the folder must be this
user's, and closed to others. Tasks of one pool may have one user in common, of several runs and people even: a name
vouches for nothing, and each task holds what it takes against the digests that it was sent. It reads and writes each
file anyway, and hashing it meanwhile costs less than unpacking the archive would.

`snakemake.azure.sources` packs them.
"""

import hashlib
import io
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.node.order import NodeOrder
from snakemake.azure.node.shared import locked, private_folder

SHARED = "snakemake-sources"


class SourcesError(WorkflowError):
    """The sources cannot be packed or unpacked."""


class _Changed(Exception):
    """The node's copy is not there, or not what was sent."""


def manifest(files: Iterable[tuple[str, bool, str]]) -> bytes:
    """The text that tells what files there are: of each its name, whether it is executable, and its SHA-256.

    Its own SHA-256 stands for all of them.
    """
    return json.dumps(sorted(files), separators=(",", ":")).encode()


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


def lay_out(
    shared: Path, order: NodeOrder, fetch: Callable[[str], bytes], target: Path, warn: Callable[[str], None]
) -> None:
    """Puts the sources into `target`, from the node's copy, which is fetched now if it is not there or not right.

    `fetch` gets `CONTAINER/BLOB` and returns the archive's bytes.

    Raises
    ------
    SourcesError: what was fetched is not what was sent.
    """
    home = private_folder(shared, SHARED)
    if home is None:
        warn(f"{shared / SHARED}-{os.geteuid()} is not a private directory of this user; it is left alone.")
        unpack(fetch(order.sources), order.sha256, target)
        return
    with suppress(_Changed):
        _copy(home, order, target)
        return
    with locked(home / f"{order.sha256}.lock"):
        try:
            _copy(home, order, target)  # another task may have fetched them meanwhile
        except _Changed:
            if (home / order.sha256).exists():
                warn("the node's copy of the workflow's sources had been changed; they are fetched again.")
            _fetch(home, order, fetch)
            try:
                _copy(home, order, target)
            except _Changed:
                raise SourcesError(
                    "The workflow's files are not those that were sent: their SHA-256 differ."
                ) from None


def _fetch(home: Path, order: NodeOrder, fetch: Callable[[str], bytes]) -> None:
    """Unpacks beside and renames: the name exists only when all of it is there."""
    partial = Path(tempfile.mkdtemp(prefix=f"{order.sha256}.", dir=home))
    try:
        unpack(fetch(order.sources), order.sha256, partial)
        (home / f"{order.sha256}.files").write_bytes(manifest(_files(partial)))
        copy = home / order.sha256
        if copy.exists():
            # Out of the way first: another task may be reading it.
            copy.rename(partial.with_name(f"{partial.name}.old"))
        partial.rename(copy)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(partial.with_name(f"{partial.name}.old"), ignore_errors=True)


def _files(folder: Path) -> Iterator[tuple[str, bool, str]]:
    for path in folder.rglob("*"):
        if path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            yield path.relative_to(folder).as_posix(), bool(path.stat().st_mode & stat.S_IXUSR), digest


def _copy(home: Path, order: NodeOrder, target: Path) -> None:
    """Writes the files whose digests are right to `target`; raises _Changed at the first that is not."""
    folder = home / order.sha256
    try:
        listed = (home / f"{order.sha256}.files").read_bytes()
        if hashlib.sha256(listed).hexdigest() != order.files:
            raise _Changed
        made = set()
        for name, executable, digest in json.loads(listed):
            data = (folder / name).read_bytes()
            if hashlib.sha256(data).hexdigest() != digest:
                raise _Changed
            path = target / name
            if path.parent not in made:
                path.parent.mkdir(parents=True, exist_ok=True)
                made.add(path.parent)
            path.write_bytes(data)
            if executable:
                path.chmod(0o755)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        if not target.is_dir():
            raise
        raise _Changed from None


def complain(text: str) -> None:
    print(f"snakemake.azure.node: {text}", file=sys.stderr, flush=True)


def fetch_blob(name: str) -> bytes:
    """The content of `CONTAINER/BLOB`, with the credentials in this task's environment."""
    from snakemake.azure.blob.account import BlobAccount
    from snakemake.azure.blob.service import connect

    container, _, blob = name.partition("/")
    with connect(BlobAccount.resolve()) as service:
        return service.get_blob_client(container, blob).download_blob().readall()
