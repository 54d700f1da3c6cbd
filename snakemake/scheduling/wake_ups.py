"""What the scheduler waits for between two rounds."""

from contextlib import suppress
from queue import Empty, SimpleQueue


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
        self._queue.get()
        with suppress(Empty):
            while True:
                self._queue.get_nowait()
