"""Outages: for seconds or minutes the service is not there, in one of the ways that clients meet.

The profile may have some per hour, and users order them. An outage is over by itself; the time is the true one, as for
all that clients wait for.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from threading import Lock

from ..core.profile import HttpFaults

BUSY, DROPPED, HANGING, REFUSED = "busy", "dropped", "hanging", "refused"
KINDS = (BUSY, DROPPED, HANGING, REFUSED)
"""Each request gets 503; its connection ends without an answer; gets no answer until the outage is over, when its
connection ends; or there is nothing to connect to. Nothing that is asked for in an outage takes effect."""


@dataclass(frozen=True)
class Outage:
    """One outage, and its end on the clock of `Outages`."""

    kind: str
    end: float


class Outages:
    """Which outage there is now. `refuse` is called, with seconds, when connections are to be refused. May be used from
    any thread."""

    def __init__(
        self,
        rates: HttpFaults,
        random: Random,
        refuse: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rates, self._random, self._refuse, self.clock = rates, random, refuse, clock
        self._lock = Lock()
        self._now: Outage | None = None
        self._next = self._after(clock()) if rates.outages_per_hour else None

    def order(self, kind: str, seconds: float) -> None:
        """An outage begins, or ends where its time is 0."""
        with self._lock:
            self._begin(kind, seconds, self.clock())

    def now(self) -> Outage | None:
        """The outage that a request meets which comes now."""
        with self._lock:
            time = self.clock()
            if self._now is not None and time < self._now.end:
                return self._now
            self._now = None
            if self._next is not None and time >= self._next:
                seconds = self._random.uniform(*self._rates.outage)
                self._begin(self._random.choice(KINDS), seconds, time)
                self._next = self._after(time + seconds)
            return self._now

    def planned(self) -> dict | None:
        """The outage that was ordered or drawn, with the seconds that it still lasts."""
        with self._lock:
            left = self._now.end - self.clock() if self._now else 0.0
            return {"kind": self._now.kind, "seconds": round(left, 3)} if self._now and left > 0 else None

    def _begin(self, kind: str, seconds: float, time: float) -> None:
        self._now = Outage(kind, time + seconds)
        if kind == REFUSED and seconds > 0:
            self._refuse(seconds)

    def _after(self, time: float) -> float:
        return time + self._random.expovariate(self._rates.outages_per_hour / 3600)
