"""The disks of nodes: how full they are. A node has that of its system, and most sizes a temporary one for the tasks.

Here all nodes share one disk, so each node's directory is measured from time to time, and held against what its size
has. What containers write beside it, on the system's disk of a real node, is not measured.
https://learn.microsoft.com/azure/batch/batch-pool-node-error-checking
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

log = logging.getLogger("azure_batch_emulator.engine")
Key = tuple[str, str, int]
"""A node: its pool, its id, and the number of its start."""


def used(directory: Path) -> int:
    """Bytes of the files below a directory, links not followed, and other disks left out, such as mounts."""
    total, device = 0, directory.stat().st_dev
    waiting = [str(directory)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(OSError):  # it may be gone by now
                    found = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False) and found.st_dev == device:
                        waiting.append(entry.path)
                    total += found.st_blocks * 512
    return total


class DiskWatch:
    """Looks at the nodes every `seconds` of true time (0: never). `rooms` tells the directory of each node that is up,
    and the bytes that its disk has, by a key that `full` is called with where there are not as many."""

    def __init__(
        self, seconds: float, rooms: Callable[[], Mapping[Key, tuple[Path, int]]], full: Callable[[Key], None]
    ) -> None:
        self._seconds, self._rooms, self._full = seconds, rooms, full
        self._over = threading.Event()

    def start(self) -> None:
        if self._seconds > 0:
            threading.Thread(target=self._watch, name="disks", daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(self._seconds):
            self.look()

    def look(self) -> None:
        for node, (directory, room) in self._rooms().items():
            with suppress(OSError):
                if used(directory) >= room:
                    log.info("the disk of node %s is full", node)
                    self._full(node)
