"""How long tasks take, learned from those that have ended, by rule. No I/O, no clock."""

from bisect import bisect_right, insort
from collections import deque
from dataclasses import dataclass, field

KEPT = 200
"""So many of a rule's last durations are kept."""


@dataclass
class _Rule:
    latest: deque[float] = field(default_factory=deque)
    ordered: list[float] = field(default_factory=list)

    def add(self, seconds: float) -> None:
        if len(self.latest) == KEPT:
            del self.ordered[bisect_right(self.ordered, self.latest.popleft()) - 1]
        self.latest.append(seconds)
        insort(self.ordered, seconds)


class Durations:
    """Seconds that tasks of each rule took, from start to end."""

    def __init__(self) -> None:
        self._rules: dict[str, _Rule] = {}

    def add(self, rule: str, seconds: float) -> None:
        self._rules.setdefault(rule, _Rule()).add(max(0.0, seconds))

    def typical(self, rule: str) -> float | None:
        """Half of the rule's tasks took no longer; None if none has ended."""
        known = self._rules.get(rule)
        return known.ordered[len(known.ordered) // 2] if known else None

    def left(self, rule: str, ran: float) -> float | None:
        """Seconds that a task goes on which has run for so long, by those that took longer; None if none did."""
        known = self._rules.get(rule)
        longer = known.ordered[bisect_right(known.ordered, ran) :] if known else []
        return longer[len(longer) // 2] - ran if longer else None
