"""Where downloads lie until they are whole.

A process has a folder of its own for them in the folder of a storage's local copies: `.azblob-RANDOM`, made with the
first download and removed when the process ends. The file `lock` in it is held (flock) all that time. A lock ends with
its process, however that ends; so whoever makes a folder there removes first those that nobody holds. That is one look
at one directory for each process, and nothing for a file; and no directory that is an output has one of them in it.

Where that folder cannot be, or the file system has no locks, a download lies beside its target; so it does where the
target is on another file system.
"""

import atexit
import errno
import itertools
import os
import secrets
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from snakemake.azure.blob.locked_folder import LockedFolder, locked

PREFIX = ".azblob-"


class FolderRemoved(FileNotFoundError):
    """Somebody removed all local copies, and what was on its way with them."""


@contextmanager
def replacing(path: Path, root: Path | None = None) -> Iterator[Path]:
    """A free name; what lies there at the end takes the place of `path`, file or directory. `root` is the folder of
    the storage's local copies, if there is one.

    On failure nothing is left, and what was at `path` is still there. Raises FolderRemoved when the folder of that name
    is gone: there will be another.
    """
    partial = _free(path, root, _device(path.parent))
    try:
        yield partial
        _put(partial, path)
    except FileNotFoundError as error:
        if partial.parent.is_dir():
            _discard(partial)
            raise
        _folders.forget(partial.parent)
        raise FolderRemoved(*error.args) from None
    except BaseException:
        _discard(partial)
        raise


def _device(folder: Path) -> int:
    """The number of the file system that the folder, which is made if need be, is on."""
    with suppress(FileNotFoundError):
        found = folder.stat()
        if stat.S_ISDIR(found.st_mode):
            return found.st_dev
    folder.mkdir(parents=True, exist_ok=True)
    return folder.stat().st_dev


def _put(new: Path, path: Path) -> None:
    try:
        new.replace(path)
    except OSError as error:
        # Files and directories do not replace each other, nor is a directory replaced that has entries.
        if error.errno in (errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST):
            _swap(new, path)
        # Bind mounts and quotas part what has one device number.
        elif error.errno == errno.EXDEV and new.parent != path.parent:
            with replacing(path) as near:
                shutil.move(new, near)
        else:
            raise


def _swap(new: Path, path: Path) -> None:
    old = new.with_name(f"{new.name}-old")
    path.rename(old)
    try:
        new.replace(path)
    except OSError:
        old.rename(path)
        raise
    _discard(old)


def _discard(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class _Folders:
    """Of this process, by the folder of local copies that they are in. A child that was forked starts anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[Path, tuple[LockedFolder, int] | None] = {}
        # A random name for each file would let go of the interpreter once more.
        self._token, self._numbers = secrets.token_hex(6), itertools.count()

    def name(self) -> str:
        return f"{self._token}-{next(self._numbers):x}"

    def on(self, root: Path, device: int) -> Path | None:
        """The folder in `root`, if it can be and is on this device."""
        if root not in self._slots:
            with self._lock:
                if root not in self._slots:
                    self._slots[root] = self._made(root)
        slot = self._slots.get(root)
        return slot[0].folder if slot and slot[1] == device else None

    def forget(self, folder: Path) -> None:
        with self._lock:
            for root, slot in list(self._slots.items()):
                if slot and slot[0].folder == folder:
                    del self._slots[root]

    def _made(self, root: Path) -> tuple[LockedFolder, int] | None:
        try:
            root.mkdir(parents=True, exist_ok=True)
            for left in root.glob(f"{PREFIX}*"):
                _remove_if_left(left)
        except OSError:
            return None
        while True:
            folder = root / f"{PREFIX}{self.name()}"
            try:
                # None if another process takes it for one that was left, before it is locked.
                if slot := locked(folder, 0.0):
                    return slot, folder.stat().st_dev
            except OSError:
                shutil.rmtree(folder, ignore_errors=True)
                return None

    def close(self) -> None:
        for slot in self._slots.values():
            if slot:
                _remove(slot[0].folder)


def _remove_if_left(folder: Path) -> None:
    with suppress(OSError):
        slot = locked(folder, 0.0, make=False)
        if slot is None:
            folder.rmdir()  # if it is empty, whoever made it was gone before it was locked
        else:
            with slot:
                _remove(folder)


def _remove(folder: Path) -> None:
    """With the lock last: should this process end meanwhile, the next one finds it."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name != "lock":
                _discard(path)
        shutil.rmtree(folder)


_folders = _Folders()


def _forked() -> None:
    global _folders  # noqa: PLW0603
    _folders = _Folders()


os.register_at_fork(after_in_child=_forked)
atexit.register(lambda: _folders.close())


def _free(path: Path, root: Path | None, device: int) -> Path:
    folder = _folders.on(root, device) if root else None
    return folder / _folders.name() if folder else _beside(path)


def _beside(path: Path) -> Path:
    return path.with_name(f"{PREFIX}{_folders.name()}")
