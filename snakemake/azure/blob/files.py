"""The local side of transfers: folders, sizes of blocks, and how a transfer is ended. No requests."""

import mimetypes
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from snakemake.azure.blob.errors import BlobError

S = TypeVar("S")
T = TypeVar("T")

MIB = 1024 * 1024
CHUNK = 8 * MIB  # bytes per request, up and down
SMALL = MIB  # bytes of a file that moves in one request

# Snakemake's own note of a local directory's age; the marker carries it in storage.
LOCAL_ONLY = ".snakemake_timestamp"

# https://learn.microsoft.com/azure/storage/blobs/scalability-targets
MAX_BLOCKS = 50_000
MAX_BLOCK_SIZE = 4000 * MIB

# Bytes that a path can have, the one that ends it left out: 4,095 on Linux, 1,023 on macOS.
LONGEST_PATH = os.pathconf("/", "PC_PATH_MAX") - 1
LONGEST_BESIDE = 40  # bytes of a temporary name, see snakemake.azure.blob.temporary_files


class TransferCancelled(Exception):
    """Whoever waited for the transfer is gone; it stopped at the next chunk."""


class Cancellation(threading.Event):
    """That the end of transfers is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: dict[object, Callable[[], object]] = {}
        self._changing = threading.Lock()

    def set(self) -> None:
        super().set()
        with self._changing:
            calls = list(self._calls.values())
        for call in calls:
            call()

    @contextmanager
    def calling(self, call: Callable[[], object]) -> Iterator[None]:
        """Calls it when the end is asked for in this block, and at once if it was before."""
        key = object()
        with self._changing:
            self._calls[key] = call
        try:
            if self.is_set():
                call()
            yield
        finally:
            with self._changing:
                del self._calls[key]


_cancelled: ContextVar[Cancellation | None] = ContextVar("cancelled", default=None)


@contextmanager
def cancellable(event: Cancellation) -> Iterator[None]:
    """Transfers that start in this block stop with TransferCancelled at the next chunk once the event is set. It is set
    with that of the block around this one.
    """
    with when_cancelled(event.set):
        token = _cancelled.set(event)
        try:
            yield
        finally:
            _cancelled.reset(token)


@contextmanager
def when_cancelled(call: Callable[[], object]) -> Iterator[None]:
    """Calls it, in whichever thread, when the end of the transfers of this block is asked for."""
    event = _cancelled.get()
    with nullcontext() if event is None else event.calling(call):
        yield


def progress_hook() -> Callable[[], None]:
    """Raises TransferCancelled when called after the transfer's end was asked for; from any thread."""
    event = _cancelled.get()

    def hook() -> None:
        if event is not None and event.is_set():
            raise TransferCancelled

    hook()
    return hook


def pause(seconds: float) -> None:
    """Waits; raises TransferCancelled as soon as the transfer's end is asked for."""
    event = _cancelled.get()
    if event is None:
        time.sleep(seconds)
    elif event.wait(seconds):
        raise TransferCancelled


def block_size(size: int) -> int:
    """Bytes per block so that a file of `size` bytes fits into 50,000 blocks; whole MiB, 8 at least."""
    needed = -(-size // MAX_BLOCKS)
    wanted = max(CHUNK, -(-needed // MIB) * MIB)
    if wanted > MAX_BLOCK_SIZE:
        raise BlobError(
            f"A file of {size:,} bytes is more than the {MAX_BLOCKS:,} blocks of {MAX_BLOCK_SIZE:,} bytes "
            "that a blob can have; split it."
        )
    return wanted


def content_type(name: str) -> str:
    """The media type after the name. A compressed file is what it is, never a Content-Encoding to be undone."""
    kind, encoding = mimetypes.guess_type(name, strict=False)
    if encoding:
        return f"application/{ {'gzip': 'gzip', 'bzip2': 'x-bzip2', 'xz': 'x-xz'}.get(encoding, 'octet-stream') }"
    return kind or "application/octet-stream"


def walk(root: Path) -> tuple[list[str], list[str]]:
    """(files, empty directories) below a local directory, as relative paths with slashes, sorted."""
    files: list[str] = []
    empty: list[str] = []

    def visit(folder: Path, relative: str, above: tuple[Path, ...]) -> None:
        real = folder.resolve()
        if real in above:
            raise BlobError(
                f"{folder} is a symbolic link to a directory around it; remove it from the output."
            )
        entries = sorted(e.name for e in folder.iterdir() if e.name != LOCAL_ONLY)
        if not entries and relative:
            empty.append(relative)
        for entry in entries:
            path, below = folder / entry, f"{relative}/{entry}".lstrip("/")
            if path.is_dir():
                visit(path, below, (*above, real))
            elif path.is_file():
                files.append(below)
            else:
                raise BlobError(f"{path} is a broken link or no regular file; remove it from the output.")

    visit(root, "", ())
    return files, empty


def fits(path: Path) -> bool:
    """Whether the path, and a temporary name in its place, are no longer than the system allows."""
    name = max(len(os.fsencode(path.name)), LONGEST_BESIDE)
    return len(os.fsencode(path.parent)) + 1 + name <= LONGEST_PATH


def too_long(what: str) -> BlobError:
    """The error for a local copy with a path that cannot be; `what` is the blob's query."""
    return BlobError(
        f"{what}: the path of its local copy, or a part of it, is longer than the system allows (here "
        f"{LONGEST_PATH:,} bytes, and 255 for a part on most file systems); shorten --local-storage-prefix or "
        "--default-storage-prefix, or rename the blob."
    )


@dataclass(frozen=True)
class Source:
    """A blob whose download has begun: `write` puts its content into a file. `mtime` in whole seconds."""

    etag: str
    size: int
    mtime: float
    write: Callable[[Path], None]


class Unchanged(Exception):
    """The blob still has the ETag that was asked about."""


Ask = Callable[[str | None], Source | None]
"""Begins the download of a blob, given the ETag of the copy at hand. None when there is no such file."""


def plain(ask: Ask, target: Path) -> float | None:
    source = ask(None)
    if source is None:
        return None
    source.write(target)
    return source.mtime
