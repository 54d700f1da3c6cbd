"""Software environments on a node: each is made once, under a lock, and kept in blob storage for the other nodes and
the next run.

    FOLDER/NAME                 the environment
    FOLDER/NAME.env_setup_done  it is complete, as Snakemake marks it
    FOLDER/NAME.lock            held (flock) by whoever makes it
    FOLDER/NAME.part-...        what is being made, or was when its task was killed

Programs have the path of their environment in them, so that it works at that path alone: the path is part of what names
an environment in storage. `FOLDER` is the same on all nodes of a kind.

What is stored is one file: a tar archive, packed by gzip, and behind it the 32 bytes of its SHA-256. One upload makes
it, so there is no half of it; whatever is damaged is made anew and stored again. Two nodes may make the same
environment at once, and the one that comes last leaves what is there. Only environments up to `LARGEST` bytes are kept.
"""

import gzip
import hashlib
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.node.shared import locked

if TYPE_CHECKING:
    from snakemake.azure.blob.store import BlobStore

LARGEST = 20 * 1024**3
"""Bytes of all files of an environment beyond which it stays on its node."""

DIGEST = hashlib.sha256
PIECE = 1024 * 1024
PACKED = "environment.tar.gz"


class Storage(Protocol):
    """Where environments are kept, by their keys. Methods raise WorkflowError."""

    def fetch(self, key: str, path: Path) -> bool:
        """Writes what is kept to `path`; False if there is nothing."""
        ...

    def store(self, key: str, path: Path, replace: bool) -> None:
        """Keeps the file; without `replace` only where there is nothing."""
        ...


class Damaged(Exception):
    """What was fetched is not what was stored."""


class Environments:
    """The environments of one node. `say` tells people what was done, in a sentence."""

    def __init__(self, storage: Storage, say: Callable[[str], None]) -> None:
        self._storage = storage
        self._say = say

    def ensure(self, path: Path, done: Path, key: str, build: Callable[[], object]) -> None:
        """Makes sure that the environment is at `path`, and the file `done` there: it may be by now, or is fetched from
        storage by its key, or `build` makes it, which raises what it likes."""
        if _is_complete(path, done):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_suffix(".lock")):
            if _is_complete(path, done):
                return
            _clear(path)
            with _part(path) as part:
                damaged = False
                try:
                    if self._fetch(key, path, part):
                        done.touch()
                        return
                except Damaged as e:
                    self._say(f"the environment {path.name} in storage is damaged ({e}); it is made anew.")
                    damaged = True
                # Environments share a cache of packages, which is not made for several writers.
                with locked(path.parent / "build.lock"):
                    build()
            packed = self._pack(path)
        # Nobody but this task waits for the upload.
        if packed is not None:
            try:
                self._storage.store(key, packed, damaged)
            except (WorkflowError, OSError) as e:
                self._say(f"the environment {path.name} cannot be kept in storage: {e}")
            finally:
                packed.unlink(missing_ok=True)

    def _fetch(self, key: str, path: Path, part: Path) -> bool:
        packed, unpacked = part / PACKED, part / "environment"
        try:
            if not self._storage.fetch(key, packed):
                return False
        except WorkflowError as e:
            self._say(f"the environment {path.name} cannot be fetched from storage, and is made here: {e}")
            return False
        try:
            unpack(packed, unpacked)
        except OSError as e:
            raise Damaged(f"{e.strerror or e}") from None
        unpacked.rename(path)
        return True

    def _pack(self, path: Path) -> Path | None:
        """The archive, for whoever calls this to remove; None where there is none."""
        target = path.with_name(f"{path.name}.packed-{os.getpid()}")
        try:
            if (size := _size(path)) > LARGEST:
                self._say(
                    f"the environment {path.name} has {size / 1e9:.0f} GB, too much to keep in storage."
                )
                return None
            pack(path, target)
            return target
        except OSError as e:
            self._say(f"the environment {path.name} cannot be packed for other nodes: {e.strerror}.")
            target.unlink(missing_ok=True)
            return None


def _is_complete(path: Path, done: Path) -> bool:
    return done.exists() and path.exists()


def _clear(path: Path) -> None:
    """Removes what killed tasks have left. The lock is held."""
    for left in [path, *path.parent.glob(f"{path.name}.part-*")]:
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


@contextmanager
def _part(path: Path) -> Iterator[Path]:
    part = Path(tempfile.mkdtemp(prefix=f"{path.name}.part-", dir=path.parent))
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.lstat(f"{place}/{name}").st_size
    return total


class _Hashing:
    """A file that is written or read from its beginning to its end, and hashed on the way. `left` are the bytes that
    may be read, None for writing."""

    def __init__(self, file: IO[bytes], left: int = 0) -> None:
        self._file = file
        self._left = left
        self.digest = DIGEST()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def read(self, size: int = PIECE) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        self.digest.update(data)
        return data


def pack(folder: Path, target: Path) -> None:
    """Packs the folder's content; raises OSError."""
    with target.open("wb") as file:
        hashing: Any = _Hashing(file)
        with (
            gzip.GzipFile(fileobj=hashing, mode="wb", compresslevel=1, mtime=0) as packed,
            tarfile.open(mode="w|", fileobj=packed, bufsize=PIECE, format=tarfile.PAX_FORMAT) as tar,
        ):
            tar.add(folder, ".", filter=_without_owner)
        file.write(hashing.digest.digest())


def _without_owner(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def unpack(packed: Path, target: Path) -> None:
    """Unpacks what `pack` has packed to the new folder `target`.

    Raises
    ------
    Damaged: it is something else.
    OSError: it cannot be written.
    """
    size = packed.stat().st_size - DIGEST().digest_size
    if size <= 0:
        raise Damaged("it is too short")
    with packed.open("rb") as file:
        hashing = _Hashing(file, size)
        while hashing.read():
            pass
        if file.read() != hashing.digest.digest():
            raise Damaged("its SHA-256 is another one")
        file.seek(0)
        target.mkdir()
        try:
            archive: Any = _Hashing(file, size)
            with tarfile.open(mode="r|gz", fileobj=archive, bufsize=PIECE) as tar:
                # Python before 3.11.4 has no filters; programs of an environment may have links to anywhere.
                tar.extraction_filter = getattr(tarfile, "tar_filter", None)
                tar.extractall(target)
        except (tarfile.TarError, zlib.error, EOFError) as e:
            raise Damaged(type(e).__name__) from None


class BlobEnvironments:
    """Environments in blob storage, beside the runs' own folders: kept when a run ends. `sources` is the
    `CONTAINER/BLOB` of a run's sources; the credentials are those in this task's environment."""

    def __init__(self, sources: str) -> None:
        self._container, _, path = sources.partition("/")
        self._folder = f"{path.rpartition('/')[0].rpartition('/')[0]}/conda"

    def fetch(self, key: str, path: Path) -> bool:
        from snakemake.azure.blob.errors import BlobError

        try:
            self._store().fetch(self._container, self._name(key), path, shared=False)
        except BlobError as e:
            if e.status == 404:
                return False
            raise
        return True

    def store(self, key: str, path: Path, replace: bool) -> None:
        store = self._store()
        if replace or store.head(self._container, self._name(key)) is None:
            store.upload(self._container, self._name(key), path)

    def _store(self) -> "BlobStore":
        from snakemake.azure.blob.account import BlobAccount
        from snakemake.azure.blob.fence import Fence
        from snakemake.azure.blob.store import BlobStore

        account = BlobAccount.resolve()
        return BlobStore(account, fence=lambda store: Fence.of_task(account, lambda: store.service))

    def _name(self, key: str) -> str:
        return f"{self._folder}/{key}.tar.gz"
