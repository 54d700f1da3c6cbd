"""The tasks of a job in the orders that lists need: by key, and by when they came into their state.

A page of a list then costs what is on it, and a poll for what has changed costs what has changed. The index is
derived from the tasks; `outcomes` keeps it while it counts them.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

STATES = ("active", "preparing", "running", "completed")
FEW = 4
"""Up to one in so many tasks is found by state and time; more are found by going through all of them in order."""


@dataclass
class TaskIndex:
    keys: list[str] = field(default_factory=list)
    """In order, but for the ones in `added`."""
    added: list[str] = field(default_factory=list)
    by_state: dict[str, dict[str, datetime]] = field(default_factory=lambda: {state: {} for state in STATES})
    """The keys in each state, since when, in that order."""

    def add(self, key: str, state: str, now: datetime) -> None:
        self.added.append(key)
        self.by_state[state][key] = now

    def discard(self, key: str, state: str) -> None:
        self._sort()
        at = bisect_left(self.keys, key)
        del self.keys[at], self.by_state[state][key]

    def move(self, key: str, old: str, new: str, now: datetime) -> None:
        del self.by_state[old][key]
        self.by_state[new][key] = now

    def after(self, key: str | None) -> Iterator[str]:
        """All keys, or those above one, in order."""
        self._sort()
        return islice(self.keys, bisect_right(self.keys, key) if key is not None else 0, None)

    def changed(self, states: Iterable[str], start: datetime | None) -> list[str] | None:
        """In order, the keys that came into one of the states at `start` or later; None if those are not few."""
        found: list[str] = []
        most = len(self.keys) + len(self.added)
        for state in states:
            for key, since in reversed(self.by_state[state].items()):
                if start is not None and since < start:
                    break
                found.append(key)
                if len(found) * FEW > most:
                    return None
        return sorted(found)

    def _sort(self) -> None:
        if len(self.added) * 8 < len(self.keys):
            for key in self.added:
                insort(self.keys, key)
        else:
            self.keys += self.added
            self.keys.sort()
        self.added = []
