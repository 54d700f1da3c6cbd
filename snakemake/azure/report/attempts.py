"""Jobs and their tasks, by a run's journal: what was tried, what failed, and what came after it.

A job is known by its rule and wildcards; each task of it is an attempt, whether Snakemake tries again, or the run sends
it again because its node or the service failed. Tasks that go on under another client are one attempt.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from snakemake.azure.report.journal import Event, time


class After(StrEnum):
    """What came after an attempt that failed."""

    SUCCEEDED = "tried again, with success"
    FAILED = "tried again, and failed again"
    OPEN = "tried again, without an end that is known"
    NOTHING = "not tried again"


@dataclass
class Attempt:
    """A task. number: 1 for the first of its job; ended: nothing where no end is known; `after`: of one that failed."""

    task: str
    rule: str
    wildcards: Mapping[str, str]
    number: int
    asked: Mapping[str, Any]
    ended: Mapping[str, Any] = field(default_factory=dict)
    used: Mapping[str, Any] = field(default_factory=dict)
    after: After | None = None

    @property
    def failed(self) -> bool:
        return bool(self.ended) and not self.ended.get("success")

    @property
    def at(self) -> datetime | None:
        """When it ended."""
        return time(self.ended.get("ended"))

    @property
    def seconds(self) -> float | None:
        start, end = time(self.ended.get("started")), self.at
        return max(0.0, (end - start).total_seconds()) if start and end else None


@dataclass
class Jobs:
    """All attempts by task, in the order of their submission; and how many jobs there were, have succeeded, have failed
    in the end, or have no known end."""

    attempts: dict[str, Attempt]
    jobs: int = 0
    succeeded: int = 0
    failed: int = 0

    @property
    def open(self) -> int:
        return self.jobs - self.succeeded - self.failed

    @property
    def failures(self) -> list[Attempt]:
        """Attempts that failed, those first after which nothing came."""
        found = [attempt for attempt in self.attempts.values() if attempt.failed]
        return sorted(found, key=lambda attempt: attempt.after is not After.NOTHING)

    @property
    def retries(self) -> int:
        return sum(attempt.number > 1 for attempt in self.attempts.values())


def jobs(events: Iterable[Event]) -> Jobs:
    """What a journal's events tell."""
    attempts: dict[str, Attempt] = {}
    by_job: defaultdict[tuple, list[Attempt]] = defaultdict(list)
    ends: dict[str, Mapping] = {}
    for event in events:
        values = event.values
        if event.event == "submitted" and values["task"] not in attempts:
            attempt = _submitted(values, by_job)
            attempts[attempt.task] = attempt
        elif event.event == "ended":
            ends[values["task"]] = values
        elif event.event == "used" and values["task"] in attempts:
            attempts[values["task"]].used = values
    for task, ended in ends.items():
        if task in attempts:
            attempts[task].ended = ended
    return _sum_up(attempts, by_job.values())


def _submitted(values: Mapping, by_job: Mapping[tuple, list[Attempt]]) -> Attempt:
    wildcards = {str(k): str(v) for k, v in (values.get("wildcards") or {}).items()}
    rule = str(values.get("rule") or "")
    # A group's name is not its own; its tasks differ by the number in their ids.
    group = str(values["task"]).rpartition("-")[0] if values.get("group") else ""
    before = by_job[(rule, group, *sorted(wildcards.items()))]
    attempt = Attempt(str(values["task"]), rule, wildcards, len(before) + 1, values)
    before.append(attempt)
    return attempt


def _sum_up(attempts: dict[str, Attempt], by_job: Iterable[list[Attempt]]) -> Jobs:
    found = Jobs(attempts)
    for tried in by_job:
        found.jobs += 1
        last = tried[-1]
        found.failed += last.failed
        found.succeeded += bool(last.ended) and not last.failed
        for attempt, following in zip(tried, [*tried[1:], None], strict=True):
            if attempt.failed:
                attempt.after = _after(following)
    return found


def _after(following: Attempt | None) -> After:
    if following is None:
        return After.NOTHING
    if not following.ended:
        return After.OPEN
    return After.FAILED if following.failed else After.SUCCEEDED
