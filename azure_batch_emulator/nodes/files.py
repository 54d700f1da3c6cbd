"""Files of nodes and tasks: listing, properties, reading a range, deleting. Never outside their root.

Tasks go on meanwhile: whatever was seen may be gone, or be something else, by the next look.
"""

import errno
import mimetypes
import shutil
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from ..protocol.errors import BatchError
from ..protocol.wire import file_name


@dataclass(frozen=True)
class Entry:
    """A file or directory below a root; `name` is its path from there, with slashes."""

    name: str
    path: Path
    is_directory: bool
    size: int
    mode: int
    created: datetime
    modified: datetime

    @property
    def content_type(self) -> str:
        return mimetypes.guess_type(self.name)[0] or "application/octet-stream"


def entry(root: Path, path: Path) -> Entry | None:
    """None for what is neither a file nor a directory, or leads out of the root."""
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            return None
        stat = path.stat()
    except (OSError, RuntimeError):  # the latter of links in a circle
        return None
    if not (path.is_dir() or path.is_file()):
        return None
    return Entry(
        file_name(path.relative_to(root).as_posix()),
        path,
        path.is_dir(),
        0 if path.is_dir() else stat.st_size,
        stat.st_mode & 0o7777,
        datetime.fromtimestamp(stat.st_ctime, UTC),
        datetime.fromtimestamp(stat.st_mtime, UTC),
    )


def find(root: Path, name: str) -> Entry:
    """The file of this name, or FileNotFound."""
    name = name.replace("\\", "/").strip("/")
    if not name or any(part in ("", ".", "..") for part in name.split("/")) or "\0" in name:
        raise BatchError("FileNotFound")
    found = entry(root, root / name)
    if found is None:
        raise BatchError("FileNotFound")
    return found


def walk(root: Path, recursive: bool) -> Iterator[Entry]:
    """What is in a directory, breadth first; symbolic links to directories are not followed."""
    waiting = deque([root])
    while waiting:
        for path in _inside(waiting.popleft()):
            if (found := entry(root, path)) is None:
                continue
            yield found
            if recursive and found.is_directory and not path.is_symlink():
                waiting.append(path)


def _inside(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def open_for_reading(found: Entry) -> BinaryIO:
    """FileNotFound if it went since it was found."""
    try:
        return found.path.open("rb")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise BatchError("FileNotFound") from None


def parse_range(text: str | None, size: int) -> tuple[int, int]:
    """First byte and number of bytes of `bytes=first-last`, `bytes=first-` or `bytes=-count`."""
    if not text:
        return 0, size
    unit, _, span = text.partition("=")
    first, dash, last = span.strip().partition("-")
    try:
        if unit.strip().lower() != "bytes" or not dash or "," in span:
            raise ValueError
        if not first:
            count = min(int(last), size)
            return size - count, count
        start, end = int(first), int(last) if last else size - 1
    except ValueError:
        raise BatchError("InvalidHeaderValue", [("HeaderName", "ocp-range"), ("HeaderValue", text)]) from None
    if start >= size or end < start:
        raise BatchError("InvalidRange")
    return start, min(end, size - 1) - start + 1


def delete(found: Entry, recursive: bool) -> None:
    if not found.is_directory:
        found.path.unlink(missing_ok=True)
    elif recursive:
        shutil.rmtree(found.path, ignore_errors=True)
    else:
        try:
            found.path.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            raise BatchError(
                "OperationInvalidForCurrentState",
                [("Reason", "The directory is not empty, and recursive is not set to true.")],
            ) from None
