"""Pools that the Batch service sizes, by a formula of the user's or the one here, within the lease of their run.

The service sees no jobs, but samples of how many tasks wait and run, every 30 seconds and a minute late. So the formula
here takes the most of the last ten minutes, holds the first nodes until samples can have come, and says how many tasks
a node takes, since the service counts tasks and not slots.
https://learn.microsoft.com/azure/batch/batch-automatic-scaling
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

WARM_UP = timedelta(minutes=10)
"""For which the first nodes are held."""

LONGEST = 8 * 1024 - 512
"""Bytes of a formula, without what the lease adds."""

_OWN = """\
window = TimeInterval_Minute * 10;
last = max(0, $PendingTasks.GetSample(1));
share = $PendingTasks.GetSamplePercent(window);
recent = share < 1 ? last : max($PendingTasks.GetSample(window, 1));
tasks = max(last, recent);
nodes = (tasks + {per_node} - 1) / {per_node};
first = time() < time("{until:%Y-%m-%dT%H:%M:%SZ}") ? {first} : 0;
$TargetDedicatedNodes = min({most}, max(first, nodes));
$NodeDeallocationOption = taskcompletion;
"""


def own_formula(per_node: int, most: int, first: int, now: datetime) -> str:
    """From the first nodes, by the tasks, up to `most` nodes and back to none; `per_node` tasks fit a node."""
    return _OWN.format(per_node=max(1, per_node), most=most, first=first, until=now + WARM_UP)


@dataclass(frozen=True)
class AutoScale:
    """What is asked for: the user's `formula`, or, if it is empty, Snakemake's own."""

    formula: str = ""

    def rule(self, per_node: int, most: int, first: int, now: datetime) -> str:
        return self.formula or own_formula(per_node, most, first, now)


def leased(rule: str, until: datetime) -> str:
    """The rule until then (UTC), and no nodes after."""
    body = re.sub(r"//[^\n]*", "", rule).rstrip().rstrip(";")
    targets = [
        alias if re.search(rf"{re.escape(alias)}\s*=(?!=)", body) else name
        for name, alias in (
            ("$TargetDedicatedNodes", "$TargetDedicated"),
            ("$TargetLowPriorityNodes", "$TargetLowPriority"),
        )
    ]
    guards = "\n".join(f"{target} = snakemakeLease ? {target} : 0;" for target in targets)
    return f'{body};\nsnakemakeLease = time() < time("{until:%Y-%m-%dT%H:%M:%SZ}");\n{guards}'
