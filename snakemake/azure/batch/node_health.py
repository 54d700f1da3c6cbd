"""Which nodes of a pool are bad, judged from how tasks end on them. No I/O, no clock.

What counts is a node's streak: its failures since a task last succeeded there. A failure says little by itself, as most
are the rule's fault, and such a rule fails wherever it runs. A node is bad when

- two tasks in a row could not even be started there, and no other node has that trouble, or something succeeded
  elsewhere meanwhile (else it is the image); or
- tasks of two rules failed there in a row, and both rules have succeeded on another node; or
- tasks of three rules failed there in a row, none of them has failed elsewhere as well, and something succeeded
  elsewhere meanwhile.

A mistake costs little: the tasks that run on the node end there, and those that failed are sent once more.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

NOT_STARTED = 2
"""How many tasks in a row must fail to start."""

PROVEN_RULES = 2
"""How many rules that work elsewhere must fail in a row."""

RULES = 3
"""How many rules of which nothing is known must fail in a row."""


class Outcome(Enum):
    """How a task ended: by success, by the rule's failure, or by a fault of its node or of the service."""

    SUCCESS = "success"
    FAILED = "failed"
    NOT_STARTED = "not started"


@dataclass(frozen=True)
class Ending:
    """A task's end. `rule` is that of its job (or its group's name); `reason` is shown to people."""

    node: str
    rule: str
    outcome: Outcome
    reason: str = ""


@dataclass
class _Streak:
    """A node's failures since its last success; `since` numbers the first of them among all endings."""

    since: int
    failures: list[Ending] = field(default_factory=list)

    @property
    def not_started(self) -> list[Ending]:
        return [ending for ending in self.failures if ending.outcome is Outcome.NOT_STARTED]

    @property
    def rules(self) -> list[str]:
        return sorted({ending.rule for ending in self.failures})


class NodeHealth:
    """The nodes of one pool."""

    def __init__(self) -> None:
        self.bad: dict[str, str] = {}
        """Bad nodes, each with the reason as a clause. What was once found bad stays so."""
        self._count = 0
        self._streaks: dict[str, _Streak] = {}
        self._last_success: dict[str, int] = {}
        self._succeeded: defaultdict[str, set[str]] = defaultdict(set)
        self._failed: defaultdict[str, set[str]] = defaultdict(set)

    def observe(self, endings: Iterable[Ending]) -> dict[str, str]:
        """Takes in endings, in the order in which they came; the nodes that are found bad now, with the reasons.

        All of them count before a node is judged, so that a success elsewhere in the same poll is known by then.
        """
        touched = []
        for ending in endings:
            if ending.node:
                self._note(ending)
                touched.append(ending.node)
        found = {}
        for node in dict.fromkeys(touched):
            if node not in self.bad and (reason := self._fault(node)):
                found[node] = self.bad[node] = reason
        return found

    def _note(self, ending: Ending) -> None:
        self._count += 1
        if ending.outcome is Outcome.SUCCESS:
            self._succeeded[ending.rule].add(ending.node)
            self._last_success[ending.node] = self._count
            self._streaks.pop(ending.node, None)
            return
        self._failed[ending.rule].add(ending.node)
        self._streaks.setdefault(ending.node, _Streak(self._count)).failures.append(ending)

    def _fault(self, node: str) -> str | None:
        streak = self._streaks.get(node)
        if streak is None:
            return None
        meanwhile = any(at > streak.since for other, at in self._last_success.items() if other != node)
        if len(streak.not_started) >= NOT_STARTED and (meanwhile or not self._not_started_elsewhere(node)):
            last = streak.not_started[-1].reason.rstrip(".")
            return (
                f"{len(streak.not_started)} tasks in a row could not be started there, the last one: {last}"
            )
        proven = [rule for rule in streak.rules if self._succeeded[rule] - {node}]
        unknown = [rule for rule in streak.rules if not (self._succeeded[rule] | self._failed[rule]) - {node}]
        if len(proven) >= PROVEN_RULES or (meanwhile and len(proven) + len(unknown) >= RULES):
            rules = ", ".join(proven + unknown)
            return f"tasks of the rules {rules} failed there in a row, while others succeed on other nodes"
        return None

    def _not_started_elsewhere(self, node: str) -> bool:
        return any(streak.not_started for other, streak in self._streaks.items() if other != node)
