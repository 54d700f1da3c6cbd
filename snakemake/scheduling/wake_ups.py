"""What the scheduler waits for between two rounds."""

from contextlib import suppress
from queue import Empty, SimpleQueue

AT_MOST = 1.0
"""Seconds of one wait. Python runs no handler for a signal that comes just before the system begins to wait."""


class WakeUps:
    """A round looks at all that has happened, so any number of wake-ups since the last one are one.

    In place of a semaphore, which counts them, and which a signal handler can't use: it has a lock, which the
    interrupted thread may hold. `release` may be called by any thread, and by signal handlers.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[None] = SimpleQueue()

    def release(self) -> None:
        self._queue.put(None)

    def acquire(self) -> None:
        waiting = True
        while waiting:
            with suppress(Empty):
                self._queue.get(timeout=AT_MOST)
                waiting = False
        with suppress(Empty):
            while True:
                self._queue.get_nowait()
