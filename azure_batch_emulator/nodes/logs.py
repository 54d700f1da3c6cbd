"""What happened on each node, as the node's agent would log it, to be asked for by uploadbatchservicelogs.

One directory per node, apart from the node's own files; a file that has grown large is put aside with a number.
Lines begin with their time, so a file itself says which time it covers.
"""

import shutil
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from ..protocol.wire import format_time, parse_time

NAME = "agent-debug"
BUFFER_CHARACTERS = 8 << 10
FILE_BYTES = 1 << 20
KEEP_FILES = 10
LINE_CHARACTERS = 2000
_LAST_LINE_BYTES = 4 * LINE_CHARACTERS + 100


class NodeLogs:
    """Logs below a directory, which is made with the first line that is written out. `now` gives the time."""

    def __init__(self, directory: Path, now: Callable[[], datetime]) -> None:
        self._directory, self._now = directory, now
        self._lock = threading.Lock()
        self._waiting: dict[str, list[str]] = {}

    def write(self, node_id: str, text: str) -> None:
        line = f"{format_time(self._now())} {' '.join(text.splitlines())[:LINE_CHARACTERS]}\n"
        with self._lock:
            lines = self._waiting.setdefault(node_id, [])
            lines.append(line)
            if sum(map(len, lines)) >= BUFFER_CHARACTERS:
                self._flush(node_id)

    def files(self, node_id: str, start: datetime, end: datetime | None) -> list[Path]:
        """The files of a node that have a line from `start` to `end`, the oldest first."""
        with self._lock:
            self._flush(node_id)
            found = sorted((self._directory / node_id).glob(f"{NAME}*.log"), key=_first_time)
            # (Looked into here, too: nobody writes half a line, or puts a file aside, meanwhile.)
            return [
                file
                for file in found
                if _last_time(file) >= start and (end is None or _first_time(file) <= end)
            ]

    def remove(self, node_id: str) -> None:
        """The node is gone, and its logs with it."""
        with self._lock:
            self._waiting.pop(node_id, None)
            shutil.rmtree(self._directory / node_id, ignore_errors=True)

    def sweep(self, node_ids: Iterable[str]) -> None:
        """Removes the logs of all nodes but these."""
        kept = set(node_ids)
        for directory in self._directory.glob("*"):
            if directory.name not in kept:
                self.remove(directory.name)

    def _flush(self, node_id: str) -> None:
        lines = self._waiting.pop(node_id, None)
        if not lines:
            return
        directory = self._directory / node_id
        directory.mkdir(parents=True, exist_ok=True)
        current = directory / f"{NAME}.log"
        with current.open("a", encoding="utf-8") as file:
            file.writelines(lines)
            size = file.tell()
        if size >= FILE_BYTES:
            self._rotate(directory, current)

    def _rotate(self, directory: Path, current: Path) -> None:
        numbers = sorted(int(file.suffixes[-2][1:]) for file in directory.glob(f"{NAME}.*.log"))
        current.rename(directory / f"{NAME}.{numbers[-1] + 1 if numbers else 1}.log")
        for number in numbers[: max(0, len(numbers) + 1 - KEEP_FILES)]:
            (directory / f"{NAME}.{number}.log").unlink()


def _first_time(file: Path) -> datetime:
    with file.open(encoding="utf-8") as lines:
        return _time(lines.readline())


def _last_time(file: Path) -> datetime:
    with file.open("rb") as stream:
        stream.seek(-min(file.stat().st_size, _LAST_LINE_BYTES), 2)
        return _time(stream.read().decode(errors="replace").splitlines()[-1])


def _time(line: str) -> datetime:
    return parse_time(line.partition(" ")[0])
