"""A folder and its lock: one blob's in the node cache, see `snakemake.azure.blob.node_cache` for what lies in there, or
that of a process's downloads, see `snakemake.azure.blob.temporary_files`.
"""

import fcntl
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote

POLL = 0.02  # seconds between two looks at a lock that another process has


@dataclass(frozen=True)
class Entry:
    path: Path
    etag: str
    size: int
    mtime: int

    @classmethod
    def in_folder(cls, folder: Path, etag: str, size: int, mtime: float) -> "Entry":
        return cls(folder / f"{quote(etag, safe='')}~{size}~{int(mtime)}", etag, size, int(mtime))

    @classmethod
    def at(cls, path: Path) -> "Entry | None":
        """The entry that the file's name speaks of, if the file still looks like it."""
        etag, size, mtime = path.name.rsplit("~", 2)
        entry = cls(path, unquote(etag), int(size), int(mtime))
        return entry if entry.describes(path.stat(follow_symlinks=False)) else None

    def describes(self, found: os.stat_result) -> bool:
        same = found.st_size == self.size and found.st_mtime_ns == self.mtime * 1_000_000_000
        return same and stat.S_ISREG(found.st_mode)


class LockedFolder:
    """The folder of one blob, locked until `close`."""

    def __init__(self, folder: Path, lock: BinaryIO) -> None:
        self.folder = folder
        self.part = folder / "part"
        self._lock = lock

    def __enter__(self) -> "LockedFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def entry(self) -> Entry | None:
        """The blob's content as it was last seen; what was written to since is removed."""
        good = None
        for path in self._contents():
            if good is None and (found := Entry.at(path)):
                good = found
            else:
                path.unlink(missing_ok=True)
        return good

    def _contents(self) -> list[Path]:
        return [p for p in self.folder.iterdir() if "~" in p.name]

    def used(self) -> None:
        now = time.time_ns()  # the file system's own clock ticks every few milliseconds only
        os.utime(self._lock.fileno(), ns=(now, now))

    def enter(self, etag: str, mtime: float) -> Entry:
        """Makes `part` the entry, in place of what was there."""
        size = self.part.stat().st_size
        os.utime(self.part, (int(mtime), int(mtime)))
        entry = Entry.in_folder(self.folder, etag, size, mtime)
        for path in self._contents():
            path.unlink()
        self.part.rename(entry.path)
        self.used()
        return entry

    def would_free(self) -> bool:
        """Whether removing the folder frees space: a file that a task still has does not."""
        files = [*self._contents(), *([self.part] if self.part.exists() else [])]
        return not files or any(p.stat().st_nlink == 1 for p in files)

    def remove(self) -> None:
        for path in [*self._contents(), self.part, self.folder / "lock"]:
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()


def locked(
    folder: Path, patience: float, hook: Callable[[], object] | None = None, make: bool = True
) -> LockedFolder | None:
    """The folder with its lock held; None when its holder has made no progress for `patience` seconds."""
    seen, since = -1, time.monotonic()
    while True:
        if make:
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
        try:
            lock = (folder / "lock").open("ab" if make else "rb")
        except FileNotFoundError:
            if make:
                continue  # it was just evicted
            return None
        try:
            while not _try_lock(lock):
                size = _size(folder / "part")
                if size != seen:
                    seen, since = size, time.monotonic()
                if time.monotonic() - since >= patience:
                    lock.close()
                    return None
                if hook is not None:
                    hook()
                time.sleep(POLL)
            if _is_named(lock, folder / "lock"):
                return LockedFolder(folder, lock)
        except BaseException:
            lock.close()
            raise
        lock.close()


def _try_lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_named(file: BinaryIO, path: Path) -> bool:
    """Whether `path` is still the name of the open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
