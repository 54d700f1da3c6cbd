"""A campaign's outcomes as a table."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """One trial: `problems` says what was not as it should be; `jobs` of the workflow, `repeated` executions beyond one
    a job, which a lost node or a killed task costs."""

    kind: str
    trial: str
    seconds: float
    jobs: int
    repeated: int = 0
    problems: list[str] = field(default_factory=list)


def table(outcomes: Iterable[Outcome]) -> str:
    kinds: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        kinds[outcome.kind].append(outcome)
    lines = [
        "| trial | times | jobs | executions beyond one a job | seconds | went wrong |",
        "|---|---|---|---|---|---|",
    ]
    for kind, members in kinds.items():
        jobs, repeated = sum(o.jobs for o in members), sum(o.repeated for o in members)
        wrong = sum(bool(o.problems) for o in members)
        seconds = sum(o.seconds for o in members)
        lines.append(f"| {kind} | {len(members)} | {jobs:,} | {repeated:,} | {seconds:,.0f} | {wrong} |")
    return "\n".join(lines)
