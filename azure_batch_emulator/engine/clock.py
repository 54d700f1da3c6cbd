"""The time of the service: a real clock, perhaps a fast one, and one that tests move by hand."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, in UTC."""

    def wait(self, condition: threading.Condition, until: datetime | None) -> None:
        """Waits on a held condition until it is notified or `until` has come; may wake early."""

    def catch_up(self, to: datetime) -> None:
        """Goes forward to a time, if that is still to come, and on from there."""


class RealClock:
    """Starts at the true time and runs `time_scale` times as fast."""

    def __init__(self, time_scale: float = 1.0) -> None:
        self._scale = time_scale
        self._epoch = datetime.now(UTC)
        self._start = time.monotonic()

    def now(self) -> datetime:
        return self._epoch + timedelta(seconds=(time.monotonic() - self._start) * self._scale)

    def wait(self, condition: threading.Condition, until: datetime | None) -> None:
        if until is None:
            condition.wait()
        else:
            # A wait of more than some weeks overflows in the platform's primitives.
            condition.wait(min(max(0.0, (until - self.now()).total_seconds() / self._scale), 1e6))

    def catch_up(self, to: datetime) -> None:
        self._epoch += max(timedelta(0), to - self.now())


class SteppedClock:
    """Stands still until a test advances it."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._waiting: set[threading.Condition] = set()

    def now(self) -> datetime:
        return self._now

    def catch_up(self, to: datetime) -> None:
        self._now = max(self._now, to)

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        for condition in list(self._waiting):
            with condition:
                condition.notify_all()

    def wait(self, condition: threading.Condition, until: datetime | None) -> None:
        self._waiting.add(condition)
        if until is None or until > self._now:
            condition.wait()
