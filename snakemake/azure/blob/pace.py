"""How much of a file is sent at once: less after a time-out, more again when it arrives.

Eight chunks of 8 MiB at once fill a fast line, and take minutes on a slow one, where a proxy or a router in between may
give up first. What is found out about the line holds for all uploads of the process.
"""

import threading

from snakemake.azure.blob.files import CHUNK
from snakemake.azure.blob.parallel import Room, room

SMALLEST = 256 * 1024
ENOUGH = 8  # requests that arrive in a row before the next ones are larger


class Pace:
    """`size` is the most bytes that a request should have now."""

    def __init__(self, room: Room) -> None:
        self.size = CHUNK
        self._room = room
        self._arrived = 0
        self._lock = threading.Lock()

    def most(self, length: int) -> int:
        """Bytes of `length` to send in one request."""
        return length if self.size >= CHUNK else min(length, self.size)

    def timed_out(self, size: int) -> None:
        """A request of so many bytes did not make it. Those that were sent along with it count once."""
        with self._lock:
            self._arrived = 0
            size = min(size, CHUNK)
            if SMALLEST < size <= self.size:
                self.size = max(SMALLEST, size // 4)
                self._room.shrink()

    def arrived(self) -> None:
        with self._lock:
            if self.size >= CHUNK:
                return
            self._arrived += 1
            if self._arrived >= ENOUGH:
                self._arrived = 0
                self.size = min(CHUNK, self.size * 2)
                self._room.widen()


pace = Pace(room)
