"""The node cache: a blob that several tasks of a node read is fetched once, and handed out to each of them.

It lives in the directory that all tasks of a node share (AZ_BATCH_NODE_SHARED_DIR), one folder per user:

    snakemake-azblob-UID/KEY/lock              held (flock) by whoever changes the folder; its mtime is the last use
    snakemake-azblob-UID/KEY/ETAG~SIZE~MTIME   the content; its name says what it must look like
    snakemake-azblob-UID/KEY/part              a download or output on its way in; left over, it is removed

KEY is a digest of account, container and name. A lock ends with its process, however that ends. Whoever got a
lock looks whether the file is still the one under that name: eviction removes folders with their locks.

An entry that does not have the size and the modification time of its name was written to: it is dropped. Tasks
get a reflink where the file system can make one, else a hard link if the link's permissions (0444) keep this
process from writing, else, as for root, a copy. Nothing here sends requests; `ask` does.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path

from snakemake.azure.blob.files import MIB, Ask, Source, Unchanged, plain, progress_hook
from snakemake.azure.blob.locked_folder import Entry, LockedFolder, locked

# Space that stays free for what tasks write: this part of the disk, and no more than this.
FREE_PART = 4
FREE_AT_MOST = 50 * 1024 * MIB
SMALL = MIB  # an output of this size is worth a copy
STALLED = 120.0  # seconds without a byte, after which nobody waits any longer for someone else's download

FICLONE = 0x40049409  # linux/fs.h
READ_ONLY = 0o444
ANY_WRITE = 0o222


class NodeCache:
    """The blobs of one account that tasks of this node have read or made. All methods may be called from threads.

    `free` is the number of bytes to leave on the disk for what tasks write, None for a quarter of the disk and at
    most 50 GiB. A folder that cannot be used is told to `warn` once, and each task then does its own downloads.
    """

    def __init__(
        self,
        shared: Path,
        account_url: str,
        free: int | None = None,
        warn: Callable[[str], object] = print,
        usage: Callable[[Path], tuple[int, int, int]] = shutil.disk_usage,
    ) -> None:
        self.root = shared / f"snakemake-azblob-{os.geteuid()}"
        self._account_url = account_url
        self._free = free
        self._warn: Callable[[str], object] | None = warn
        self._usage = usage
        self._reflinks: bool | None = None  # None until tried

    # -- for the store ---------------------------------------------------------------------------------------

    def get(self, container: str, name: str, target: Path, known: str | None, ask: Ask) -> float | None:
        """Puts the blob's content at `target`, a free name, and returns its mtime; None when it is no file.

        `known` is the blob's ETag if that was seen just now: an entry that has it costs no request. Else one
        request asks for what differs from the entry.
        """
        slot = self._slot(container, name)
        if slot is None:
            return plain(ask, target)
        with slot:
            try:
                entry, source = self._current(slot, known, ask)
            except OSError as error:  # of this disk: the SDK's errors are others
                self._unusable(error)
                entry, source = None, ask(None)
            if entry is None and source is None:
                with suppress(OSError):
                    slot.remove()
                return None
            held = self._hand_out(slot, entry, target) if entry else None
        if entry is None:
            assert source is not None
            source.write(target)
            return source.mtime
        if held is not None and not self._copied(held, entry, target):
            target.unlink(missing_ok=True)
            return plain(ask, target)
        return float(entry.mtime)

    def put(
        self, container: str, name: str, path: Path, before: os.stat_result, etag: str, mtime: float
    ) -> None:
        """Remembers that the file at `path` is the blob with this ETag. `before` is its state before the upload.

        No bytes are copied unless they are few. A file that has several names, or is being written to, is none
        of the cache's.
        """
        slot = self._slot(container, name, wait=False)
        if slot is None:
            return
        with slot:
            try:
                if not self._room(0) or not self._takes(slot, path):
                    return
                if _identity(path.stat(follow_symlinks=False)) == _identity(before):
                    slot.enter(etag, mtime)
            except OSError as error:
                self._unusable(error)
            finally:
                with suppress(OSError):
                    slot.part.unlink(missing_ok=True)

    def drop(self, container: str, name: str) -> None:
        """Forgets the blob, unless another task is at it just now."""
        if not self._folder(container, name).exists():
            return
        if slot := self._slot(container, name, wait=False):
            with slot, suppress(OSError):
                slot.remove()

    # -- in and out ------------------------------------------------------------------------------------------

    def _current(self, slot: LockedFolder, known: str | None, ask: Ask) -> tuple[Entry | None, Source | None]:
        """The blob's entry, fetched if need be; else, when the disk has no room, its download; or neither."""
        entry = slot.entry()
        if entry is not None and known and entry.etag == known:
            return entry, None
        try:
            source = ask(entry.etag if entry else None)
        except Unchanged:
            return entry, None
        if source is None or not self._room(source.size * (2 if self._copies else 1)):
            return None, source
        # One that a killed task left may be read-only, or another name of its output.
        slot.part.unlink(missing_ok=True)
        try:
            source.write(slot.part)
            slot.part.chmod(READ_ONLY)
            return slot.enter(source.etag, source.mtime), None
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        finally:
            slot.part.unlink(missing_ok=True)
        return None, ask(None)

    @property
    def _copies(self) -> bool:
        """Whether what is handed out takes space of its own, as far as one can tell."""
        return os.geteuid() == 0 and not self._reflinks

    def _hand_out(self, slot: LockedFolder, entry: Entry, target: Path) -> FileIO | None:
        """Makes `target` the entry's content, or returns the entry opened, to be copied without the lock."""
        slot.used()
        if self._reflink(entry.path, target) or self._link(entry.path, target):
            return None
        held = entry.path.open("rb", buffering=0)
        self._room(entry.size)
        return held

    def _reflink(self, source: Path, target: Path) -> bool:
        if self._reflinks is False:
            return False
        try:
            with source.open("rb") as old, target.open("xb") as new:
                fcntl.ioctl(new, FICLONE, old.fileno())
        except OSError:
            target.unlink(missing_ok=True)
            self._reflinks = False
            return False
        self._reflinks = True
        return True

    def _link(self, path: Path, target: Path) -> bool:
        """Links if nobody can write through the link: not this process, and not whoever has another one."""
        try:
            found = path.stat()
            if found.st_mode & ANY_WRITE:  # an output, as its task made it
                if found.st_nlink > 1:
                    return False
                path.chmod(READ_ONLY)
            if os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
                return False
            os.link(path, target)
        except OSError:
            return False
        return True

    def _copied(self, held: FileIO, entry: Entry, target: Path) -> bool:
        """Whether the copy is whole and of a file that nobody wrote to meanwhile."""
        hook = progress_hook()
        buffer = memoryview(bytearray(MIB))
        with held, target.open("xb", buffering=0) as new:
            while count := held.readinto(buffer):
                hook()
                _write(new, buffer[:count])
            return new.tell() == entry.size and entry.describes(os.fstat(held.fileno()))

    def _takes(self, slot: LockedFolder, path: Path) -> bool:
        """Whether `part` now has the content of the local file."""
        found = path.stat(follow_symlinks=False)
        slot.part.unlink(missing_ok=True)
        if not stat.S_ISREG(found.st_mode):
            return False
        if self._reflink(path, slot.part):
            slot.part.chmod(READ_ONLY)
            return True
        if found.st_nlink == 1:
            with suppress(OSError):
                os.link(path, slot.part)
                return True
        if found.st_size > SMALL:
            return False
        shutil.copyfile(path, slot.part)
        slot.part.chmod(READ_ONLY)
        return True

    # -- locks -----------------------------------------------------------------------------------------------

    def _folder(self, container: str, name: str) -> Path:
        text = f"{self._account_url}\n{container}/{name}"
        return self.root / hashlib.sha256(text.encode()).hexdigest()[:40]

    def _slot(self, container: str, name: str, wait: bool = True) -> LockedFolder | None:
        """The blob's folder, locked; None if the cache cannot be used, or whoever has the lock is stuck."""
        folder = self._folder(container, name)
        try:
            self._make_root()
            return locked(folder, STALLED if wait else 0.0, progress_hook())
        except OSError as error:
            self._unusable(error)
            return None

    def _make_root(self) -> None:
        """Makes the folder, which nobody else may look into: it has the content of blobs."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self.root.stat(follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise PermissionError(errno.EPERM, "it is not a private directory of this user")

    def _unusable(self, error: OSError) -> None:
        warn, self._warn = self._warn, None
        if warn:
            warn(
                f"The node's cache of blobs {self.root} cannot be used ({error.strerror or error}), so each task "
                "fetches its inputs by itself; --storage-azblob-no-node-cache switches it off."
            )

    # -- space -----------------------------------------------------------------------------------------------

    def _room(self, needed: int) -> bool:
        """Whether `needed` bytes fit beside what stays free, after removing what was not used for the longest."""
        if self._fits(needed):
            return True
        for folder in self._oldest_first():
            with suppress(OSError):
                slot = locked(folder, 0.0, make=False)
                if slot is None:
                    continue
                with slot:
                    if slot.would_free():
                        slot.remove()
            if self._fits(needed):
                return True
        return False

    def _fits(self, needed: int) -> bool:
        total, _, free = self._usage(self.root)
        stays = min(total // FREE_PART, FREE_AT_MOST) if self._free is None else self._free
        return free - needed >= stays

    def _oldest_first(self) -> list[Path]:
        ages = []
        for folder in self.root.iterdir():
            with suppress(OSError):
                ages.append(((folder / "lock").stat().st_mtime_ns, folder))
        return [folder for _, folder in sorted(ages)]


def _write(file: FileIO, data: memoryview) -> None:
    while data:
        data = data[file.write(data) :]


def _identity(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
