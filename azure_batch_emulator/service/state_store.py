"""Keeps the account's state on disk: a whole snapshot, written in the background while things happen.

Writing takes a time that grows with the state, so the pause after it grows too: at least a second, and ten times what
the writing took. A journal of each change would lose less when the emulator is killed, but every part of the core
would have to tell of its changes; measured, 100,000 tasks take half a second with the machine held.
"""

import logging
import threading
import time

from ..engine.engine import Engine
from .location import Location

log = logging.getLogger("azure_batch_emulator.state")
LEAST_SECONDS = 1.0
SHARE = 10


class StateStore:
    """`start()` begins, `stop()` writes once more, whatever has happened since."""

    def __init__(self, engine: Engine, location: Location, seconds: float = LEAST_SECONDS) -> None:
        self._engine, self._location, self._seconds = engine, location, seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="batch-state", daemon=True)
        self._written = -1

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """The engine must be frozen."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._write()

    def _run(self) -> None:
        pause = self._seconds
        while not self._stop.wait(pause):
            pause = max(self._seconds, SHARE * self._write())

    def _write(self) -> float:
        """Writes what has changed since the last time; how many seconds that took."""
        if self._engine.changes == self._written:
            return 0.0
        began = time.monotonic()
        try:
            data, changes = self._engine.snapshot()
            self._location.write_state(data)
            self._written = changes
        except OSError as error:
            log.error(
                "The state can't be written to %s (%s); a restart would lose it.",
                self._location,
                error.strerror,
            )
        except Exception:
            # Without this thread nothing would be kept any more; and what ends the service has to go on.
            log.exception("a defect of the emulator: its state has not been written")
        return time.monotonic() - began
