"""What tasks consumed, and nodes, kept up at every change, and as it was at the last roll-up.

Time that passes for several at once is their number times its length, so nobody looks at each of them.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

ZERO = timedelta()
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Tally:
    """`wall` is the time that tasks ran (of a pool: that its dedicated cores were there), `user` and `kernel` are
    times of processors."""

    wall: timedelta = ZERO
    user: timedelta = ZERO
    kernel: timedelta = ZERO
    succeeded: int = 0
    failed: int = 0
    retries: int = 0

    def add(self, other: "Tally") -> None:
        for name in ("wall", "user", "kernel", "succeeded", "failed", "retries"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class Ledger:
    """`total` is as of `since`, from when on `going` have been going on. `rolled` is what is told, as of the last
    multiple of `interval`; None before the first one. Without an interval the present is told."""

    since: datetime = _EPOCH
    interval: timedelta = ZERO
    going: int = 0
    total: Tally = field(default_factory=Tally)
    rolled: Tally | None = None

    def book(self, now: datetime) -> Tally:
        """The total as of now, to be added to."""
        if self.interval and (turn := self._turn(now)) > self.since:
            self._pass(turn)
            self.rolled = replace(self.total)
        self._pass(now)
        return self.total

    def go_on(self, number: int, now: datetime) -> None:
        """So many are going on from now on."""
        if number != self.going:
            self.book(now)
            self.going = number

    def absorb(self, other: "Ledger", now: datetime) -> None:
        """Adds what another ledger has, as of the same times. The other one is not changed."""
        other = other.copy()
        self.book(now).add(other.book(now))
        self.going += other.going
        if other.rolled is not None:
            self.rolled = self.rolled or Tally()
            self.rolled.add(other.rolled)

    def told(self, now: datetime) -> tuple[Tally, datetime] | None:
        """What is known, and as of when; None before the first roll-up."""
        mine = self.copy()
        total = mine.book(now)
        if not self.interval:
            return total, now
        return (mine.rolled, self._turn(now)) if mine.rolled is not None else None

    def copy(self) -> "Ledger":
        return replace(
            self, total=replace(self.total), rolled=None if self.rolled is None else replace(self.rolled)
        )

    def _turn(self, now: datetime) -> datetime:
        return now - (now - _EPOCH) % self.interval

    def _pass(self, until: datetime) -> None:
        if self.going:
            self.total.wall += self.going * (until - self.since)
        self.since = until
