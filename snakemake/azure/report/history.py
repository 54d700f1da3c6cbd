"""How long jobs of each rule took in earlier runs, by their journals: of the newest ones, as far as that is read in a
moment."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import median

from snakemake.azure.report.journal import Event, journals, parse, time
from snakemake.azure.report.node_times import NodeTimes

MOST_BYTES = 32_000_000
"""Of journals that are looked through."""

MOST_TASKS = 4_000
"""So many tasks are looked at in a journal: of more, every second, third and so on."""

MOST_JOURNALS = 5
ENOUGH = 200
"""So many jobs of a rule tell enough: older journals are not asked for it."""

_TASK = re.compile(rb'"event":"(submitted|ended)","task":"([^"]+)"')
_NODES = re.compile(rb'"event":"(run|pool|node|node_gone|pool_gone)"')


@dataclass
class Took:
    """Seconds that jobs of a rule took, from start to end of their tasks."""

    seconds: list[float] = field(default_factory=list)


@dataclass
class History:
    """rules: by name; boots: seconds from the allocation of nodes until they took tasks; runs: how many journals have
    something of it, the newest of the day `newest`."""

    rules: dict[str, Took] = field(default_factory=dict)
    boots: list[float] = field(default_factory=list)
    runs: int = 0
    newest: date | None = None

    @property
    def boot(self) -> float | None:
        return median(self.boots) if self.boots else None

    def add(self, lines: Iterable[bytes]) -> None:
        """An older journal."""
        tasks, others = _sample(lines)
        rules, found, nodes = (
            {},
            {rule for rule, took in self.rules.items() if len(took.seconds) >= ENOUGH},
            NodeTimes(),
        )
        last: Event | None = None
        before = sum(len(took.seconds) for took in self.rules.values())
        for event in parse(tasks):
            if event.event == "submitted":
                rules[event.values["task"]] = event.values.get("rule") or ""
                continue
            rule = rules.get(event.values["task"])
            started, ended = time(event.values.get("started")), time(event.values.get("ended"))
            if rule is not None and rule not in found and event.values.get("success") and started and ended:
                self.rules.setdefault(rule, Took()).seconds.append((ended - started).total_seconds())
                last = event
        for event in parse(others):
            nodes.take(event)
        self.boots += [
            (node.ready - node.begin).total_seconds() for node in nodes.nodes if node.ready and node.allocated
        ]
        if last is not None and sum(len(took.seconds) for took in self.rules.values()) > before:
            self.runs += 1
            self.newest = max(filter(None, (self.newest, last.at.date())))


def _sample(lines: Iterable[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Lines of some tasks, those of their submission first of all, and those of nodes."""
    submitted: dict[bytes, bytes] = {}
    ended: list[tuple[bytes, bytes]] = []
    others = []
    for line in lines:
        if match := _TASK.search(line, 0, 400):
            if match[1] == b"submitted":
                submitted[match[2]] = line
            else:
                ended.append((match[2], line))
        elif _NODES.search(line, 0, 100):
            others.append(line)
    some = ended[:: max(1, -(-len(ended) // MOST_TASKS))]
    wanted = [submitted[task] for task, _ in some if task in submitted]
    return [*wanted, *(line for _, line in some)], others


def history(home: Path) -> History:
    """Of the journals below a directory; what can't be read is left out."""
    found, left = History(), MOST_BYTES
    for path in journals(home)[:MOST_JOURNALS]:
        try:
            data = path.read_bytes() if path.stat().st_size <= left else b""
        except OSError:
            continue
        left -= len(data)
        found.add(data.splitlines())
    return found
