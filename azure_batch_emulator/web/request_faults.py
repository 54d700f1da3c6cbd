"""Which request fails, and how: as somebody has planned it, else at the profile's rates."""

from random import Random
from threading import Lock

from ..core.profile import HttpFaults

KINDS = ("throttled", "busy", "failed", "failedAfter", "droppedBefore", "droppedAfter", "slow")
"""429; 503; 500 before and after the request took effect; the connection cut before and after that; a late answer."""


class RequestFaults:
    """Draws a fault, or none, for each request. It may be asked from any thread."""

    def __init__(self, rates: HttpFaults, random: Random) -> None:
        self._rates, self._random = rates, random
        self._planned: list[str] = []
        self._lock = Lock()
        shares = (
            rates.throttled,
            rates.busy,
            rates.failed / 2,
            rates.failed / 2,
            rates.dropped_before,
            rates.dropped_after,
            rates.slow,
        )
        self._shares = dict(zip(KINDS, shares, strict=True))

    def plan(self, kinds: list[str]) -> None:
        """The next requests fail in these ways, one after the other."""
        with self._lock:
            self._planned = list(kinds)

    def planned(self) -> list[str]:
        with self._lock:
            return list(self._planned)

    def draw(self) -> str | None:
        """One of KINDS for the request that has come, or None."""
        with self._lock:
            if self._planned:
                return self._planned.pop(0)
            if not any(self._shares.values()):
                return None
            point = self._random.random()
            for kind, share in self._shares.items():
                if point < share:
                    return kind
                point -= share
            return None

    def slowness(self) -> float:
        """Seconds that a late answer takes longer."""
        with self._lock:
            return self._random.uniform(*self._rates.slowness)

    def retry_after(self) -> int:
        """Whole seconds after which a client should come again."""
        with self._lock:
            return round(self._random.uniform(*self._rates.retry_after))
