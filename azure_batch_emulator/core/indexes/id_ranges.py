"""Dependencies on ranges of integer task ids.

Each range watches one number, the highest in it that has not been satisfied, and is looked at again when that one
is, and not when any other is. Tasks with the same range share it.
https://learn.microsoft.com/azure/batch/batch-task-dependencies#task-id-range
"""

from dataclasses import dataclass, field

LARGEST = 2**31 - 1
"""The end of a range is a 32-bit integer."""


@dataclass
class WaitedRange:
    """The numbers from start to end, and the keys of the tasks that wait for all of them."""

    start: int
    end: int
    tasks: list[str] = field(default_factory=list)


@dataclass
class IdRanges:
    below: dict[int, int] = field(default_factory=dict)
    """For each satisfied number a lower one; what lies between them is satisfied, too."""
    ranges: dict[str, WaitedRange] = field(default_factory=dict)
    watching: dict[int, list[str]] = field(default_factory=dict)
    """The names of the ranges whose highest missing number this is."""

    def wait(self, task: str, start: int, end: int) -> str | None:
        """The task waits for a range; returns the range's name, or None if nothing in it is missing."""
        missing = self._highest_missing(end)
        if missing < start:
            return None
        name = f"{start}..{end}"
        if name not in self.ranges:
            self.ranges[name] = WaitedRange(start, end)
            self.watching.setdefault(missing, []).append(name)
        self.ranges[name].tasks.append(task)
        return name

    def satisfy(self, number: int) -> list[tuple[str, list[str]]]:
        """Notes a number; returns the ranges that are complete by it, and the tasks that waited for them."""
        if number in self.below:
            return []
        self.below[number] = number - 1
        complete = []
        for name in self.watching.pop(number, ()):
            missing = self._highest_missing(number)
            if missing < self.ranges[name].start:
                complete.append((name, self.ranges.pop(name).tasks))
            else:
                self.watching.setdefault(missing, []).append(name)
        return complete

    def _highest_missing(self, number: int) -> int:
        """The highest number up to this one that has not been satisfied."""
        missing = number
        while missing in self.below:
            missing = self.below[missing]
        while number != missing:
            self.below[number], number = missing, self.below[number]
        return missing
