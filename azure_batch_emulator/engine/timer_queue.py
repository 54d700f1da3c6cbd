"""What is to happen later, and the thread that sees to it."""

import heapq
import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from .clock import Clock

log = logging.getLogger("azure_batch_emulator.engine")
Stimulus = Callable[..., Any]


class TimerQueue:
    """`apply(stimulus, *arguments)` is called with `lock` held, at the time that was given or soon after. What has not
    left the queue has not happened: whoever holds the lock sees nothing in between."""

    def __init__(self, clock: Clock, lock: threading.RLock, apply: Callable[..., None]) -> None:
        self._clock, self._lock, self._apply = clock, lock, apply
        self._wake = threading.Condition()
        self._queue: list[tuple[datetime, int, Stimulus, tuple]] = []
        self._count = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="batch-timers", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Without the lock held. What is still in the queue stays there."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def at(self, time: datetime, stimulus: Stimulus, arguments: tuple) -> None:
        with self._wake:
            self._count += 1
            entry = (time, self._count, stimulus, arguments)
            heapq.heappush(self._queue, entry)
            if self._queue[0] is entry:
                self._wake.notify_all()

    def later(self, seconds: float, stimulus: Stimulus, *arguments: Any) -> None:
        self.at(self._clock.now() + timedelta(seconds=seconds), stimulus, arguments)

    def waiting(self, stimulus: Stimulus) -> list[tuple[datetime, tuple]]:
        """Times and arguments of all that is queued for one stimulus, in order."""
        with self._wake:
            entries = sorted(entry[:2] + (entry[3],) for entry in self._queue if entry[2] is stimulus)
        return [(time, arguments) for time, _, arguments in entries]

    def _run(self) -> None:
        while True:
            with self._wake:
                if self._stopping:
                    return
                if not self._queue or self._queue[0][0] > self._clock.now():
                    self._clock.wait(self._wake, self._queue[0][0] if self._queue else None)
                    continue
            with self._lock:
                with self._wake:
                    if self._stopping:
                        return
                    _, _, stimulus, arguments = heapq.heappop(self._queue)
                try:
                    self._apply(stimulus, *arguments)
                except Exception:
                    # Without this thread nothing would move any more.
                    log.exception("a defect of the emulator in %s%s", stimulus.__name__, arguments)
