"""One poll for all tasks of a Batch job; each task gets exactly one verdict.

A poll asks only for tasks that completed since the last look. The service's list lags and its clock is its own,
so the look reaches back over an overlap measured on the service's own times, and what was already judged is
skipped. While tasks keep ending, most looks reach back over a few seconds only: at 100 tasks a second, those of the
whole overlap are 12,000, to be listed at each poll. Now and then the whole list is asked for, to notice tasks that
somebody deleted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from snakemake.azure.batch.listed_tasks import ListedTask
from snakemake.azure.node.exit import NODE_FAULT
from snakemake.azure.report.journal import sentence

if TYPE_CHECKING:
    from snakemake.azure.batch.client import Batch

OVERLAP = timedelta(minutes=2)
SHORT_OVERLAP = timedelta(seconds=10)
FULL_LOOK_EVERY = timedelta(minutes=1)  # of the service's time
QUIET_POLLS_BEFORE_CENSUS = 20


NOT_STARTED = {NODE_FAULT, 126, 127}
"""Exit codes of a command that never came to be Snakemake, whose own are 0 and 1: the container engine failed, the
command can't be invoked, or it is not there. `snakemake.azure.node` exits with the first of them when its node lets it
down. https://docs.docker.com/engine/containers/run/#exit-status"""

FAULTS_OF_NODES = {
    "applicationpackageerror",
    "commandlaunchfailed",
    "commandprogramnotfound",
    "diskfull",
    "maxinternalretrycountreached",
}
"""Codes of failures that are not the task's fault, though the service blames the user for some.
https://learn.microsoft.com/azure/batch/batch-pool-node-error-checking"""


@dataclass(frozen=True)
class Verdict:
    """How a task ended.

    reason: says in one sentence why it failed; service_fault: it failed by its node or by the service, not by what it
    does; node_id, pool_id: where it ran last, empty if nowhere; started, ended: by the service's clock; ran: False
    for one that its pool had no node for; moved: its job is to go to another pool, with `no_spot` to dedicated nodes.
    """

    task_id: str
    success: bool
    exit_code: int | None = None
    reason: str = ""
    service_fault: bool = False
    node_id: str = ""
    pool_id: str = ""
    ended: datetime | None = None
    started: datetime | None = None
    ran: bool = True
    moved: bool = False
    no_spot: bool = False

    @property
    def seconds(self) -> float | None:
        """How long the task ran, its last time; None if that is not known."""
        return (self.ended - self.started).total_seconds() if self.ended and self.started else None

    def noted(self, pool_id: str) -> dict[str, Any]:
        """For the run's journal. `pool_id` is the pool that the task was sent to."""
        return {
            "task": self.task_id,
            "pool": self.pool_id or pool_id,
            "node": self.node_id,
            "started": self.started,
            "ended": self.ended,
            "success": self.success,
            "exit_code": self.exit_code,
            "why": sentence(self.reason),
            "service_fault": self.service_fault,
            "ran": self.ran,
        }


def judge(task: ListedTask) -> Verdict:
    """The verdict on a completed task. Anything that is not a reported success is a failure."""
    reason, service_fault = _failure(task)
    return Verdict(
        task.id,
        not reason,
        task.exit_code,
        reason,
        service_fault,
        task.node_id,
        task.pool_id,
        task.ended,
        task.started,
    )


def _failure(task: ListedTask) -> tuple[str, bool]:
    """Why a task failed, in one sentence that is empty for a success, and whether the service is at fault."""
    if not task.result:
        return "Azure Batch completed the task without saying how it ended.", True
    if task.result == "success":
        return "", False
    failure = task.failure
    if failure is None or failure.code.lower() == "failureexitcode":
        if task.exit_code in NOT_STARTED:
            return f"The task's command could not be started on its node (exit code {task.exit_code}).", True
        return f"The task's command exited with code {task.exit_code}.", False
    text = ": ".join(filter(None, (failure.code, failure.message)))
    details = "; ".join(f"{name}: {value}" for name, value in failure.details if value)
    sentence = f"Azure Batch ended the task: {text.rstrip('.')}" + (f" ({details})." if details else ".")
    service = failure.category.lower() == "servererror" or _is_fault_of_node(failure.code.lower())
    return sentence, service


def _is_fault_of_node(code: str) -> bool:
    """Also for containers and files that Batch fetches: they are the run's own, and the same for all its tasks."""
    return code in FAULTS_OF_NODES or code.startswith(
        ("blob", "container", "resourcedirectory", "resourcefile")
    )


class Monitor:
    """Watches the tasks of one Batch job. `poll` is called by one thread, `watch` by any."""

    def __init__(self, batch: "Batch", job_id: str):
        self.batch = batch
        self.job_id = job_id
        self._open: set[str] = set()
        self._latest: datetime | None = None
        self._full_look: datetime | None = None
        self._quiet = 0

    def watch(self, task_ids: Iterable[str]) -> None:
        self._open.update(task_ids)

    def forget(self, task_ids: Iterable[str]) -> None:
        """Tasks that somebody else has judged."""
        self._open.difference_update(task_ids)

    @property
    def open_tasks(self) -> int:
        """How many tasks have no verdict yet."""
        return len(self._open)

    def poll(self) -> list[Verdict]:
        """The verdicts that are new since the last call."""
        if not self._open:
            return []
        since = self._since()
        verdicts = []
        for task in self.batch.completed_tasks(self.job_id, since):
            if task.changed and (self._latest is None or task.changed > self._latest):
                self._latest = task.changed
            if task.id in self._open:
                self._open.discard(task.id)
                verdicts.append(judge(task))
        self._quiet = 0 if verdicts else self._quiet + 1
        if self._quiet >= QUIET_POLLS_BEFORE_CENSUS:
            self._quiet = 0
            verdicts += self._census()
        return verdicts

    def _since(self) -> datetime | None:
        latest, full = self._latest, self._full_look
        if latest and full and not self._quiet and latest - full < FULL_LOOK_EVERY:
            return latest - SHORT_OVERLAP
        self._full_look = latest
        return latest - OVERLAP if latest else None

    def _census(self) -> list[Verdict]:
        watched = set(self._open)
        states = self.batch.task_states(self.job_id)
        missing = sorted(watched - set(states))
        self._open.difference_update(missing)
        if any(states.get(task) == "completed" for task in watched):
            # A completion that the time filter missed: look at everything once.
            self._latest = None
        return [Verdict(task, False, None, "The task is gone: somebody deleted it.") for task in missing]
