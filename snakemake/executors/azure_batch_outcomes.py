"""What a verdict on a task means for its job: success, one more task, or an error with the ends of its logs.

Three things can go wrong, and each has its answer. What the node or the service is to blame for is sent again, as
another task of the same attempt: Snakemake's scheduler hears nothing of it. A rule's failure goes to Snakemake, whose
`retries` count it. And a node that fails what works elsewhere (`snakemake.azure.batch.node_health`) is taken out; what
failed on it counts as the node's fault.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from snakemake.azure.batch import task_logs
from snakemake.azure.batch.monitor import Verdict
from snakemake.azure.batch.node_health import Ending, Outcome
from snakemake.azure.batch.pool_queue import PoolQueue
from snakemake.azure.batch.run import BatchRun
from snakemake.azure.batch.tasks import Task
from snakemake.executors.azure_batch_rule_logs import rule_logs
from snakemake.executors.azure_batch_tasks import AzBatchJob

NEVER = datetime.min.replace(tzinfo=UTC)

KILLED = 137
"""128 + SIGKILL: what a container ends with whose memory ran out, and a shell whose command was killed."""


def asked_memory(job: Any) -> str:
    """What the job, or its group, has asked for, in a clause."""
    asked = job.resources.get("mem_mb")
    return f"it has asked for mem_mb={asked}" if isinstance(asked, int) else "it has asked for no mem_mb"


class Verdicts:
    """Verdicts that wait for their jobs: a task may end before its job is among the active ones."""

    def __init__(self) -> None:
        self._waiting: dict[str, Verdict] = {}

    def add(self, verdicts: Iterable[Verdict]) -> None:
        self._waiting.update((verdict.task_id, verdict) for verdict in verdicts)

    def take(self, task_id: str) -> Verdict | None:
        return self._waiting.pop(task_id, None)


@dataclass
class Ended:
    """A job whose task has ended. `blamed`: its node was found bad; `sent_again`: the job goes on as another task;
    `held`: it would, if the run might spend more."""

    job: AzBatchJob
    verdict: Verdict
    blamed: bool = False
    sent_again: bool = False
    held: bool = False

    @property
    def service_fault(self) -> bool:
        return self.verdict.service_fault or self.blamed

    @property
    def queue(self) -> PoolQueue:
        assert self.job.queue is not None
        return self.job.queue

    def goes_again(self, most: int) -> bool:
        """Whether it is sent again, which the service's faults allow `most` times."""
        return self.verdict.moved or (self.service_fault and self.job.resent < most)

    @property
    def outcome(self) -> Outcome:
        if self.verdict.success:
            return Outcome.SUCCESS
        return Outcome.NOT_STARTED if self.verdict.service_fault else Outcome.FAILED


def judge_nodes(run: BatchRun, together: Sequence[Ended]) -> None:
    """Takes nodes out that are bad by the endings that came together and all before, and blames them for what failed
    there."""
    queues: defaultdict[str, list[Ended]] = defaultdict(list)
    for ended in sorted(together, key=lambda ended: ended.verdict.ended or NEVER):
        queues[ended.queue.job_id].append(ended)
    for members in queues.values():
        queue = members[0].queue
        endings = [Ending(e.verdict.node_id, e.job.job.name, e.outcome, e.verdict.reason) for e in members]
        for node, reason in queue.health.observe(endings).items():
            run.take_out(queue, node, reason)
        for ended in members:
            if not ended.verdict.success and ended.verdict.node_id in queue.health.bad:
                ended.blamed = True


def send_again(
    run: BatchRun,
    make: Callable[[AzBatchJob], tuple[PoolQueue, Task]],
    together: Sequence[Ended],
    most: int,
    home: Path,
) -> None:
    """Submits new tasks, which `make` makes for their queues, for jobs that the service failed and that were sent again
    less than `most` times. The logs of the tasks that failed are saved below `home`.
    """
    queues: dict[str, PoolQueue] = {}
    by_queue: defaultdict[str, list[tuple[Ended, Task]]] = defaultdict(list)
    for ended in together:
        if ended.goes_again(most):
            ended.job.no_spot = ended.job.no_spot or ended.verdict.no_spot
            queue, task = make(ended.job)
            queues[queue.job_id] = queue
            by_queue[queue.job_id].append((ended, task))
    moved: list[tuple[AzBatchJob, PoolQueue]] = []
    for job_id, members in by_queue.items():
        refused = {r.task_id: r for r in run.submit(queues[job_id], [task for _, task in members])}
        for ended, task in members:
            job = ended.job
            if refusal := refused.get(task.id):
                run.warn(
                    f"Azure Batch: the task {job.external_jobid} could not be sent again ({refusal.code}: "
                    f"{refusal.message})."
                )
                continue
            ended.sent_again = True
            if not ended.verdict.moved:
                job.resent += 1
                run.warn(
                    f"Azure Batch: the task {job.external_jobid} failed by the fault of its node or of the service: "
                    f"{told(run, ended)} Sent again as {task.id} ({job.resent} of {most})."
                )
            _rename(run, job, task.id)
            moved.append((job, queues[job_id]))
    for ended in together:
        if ended.sent_again and ended.verdict.ran:
            task_logs.fetch(run, ended.queue, ended.verdict.task_id, home)
    for job, queue in moved:
        job.queue = queue


def _rename(run: BatchRun, job: AzBatchJob, task_id: str) -> None:
    """The job is another task from now on, also in Snakemake's records, so that a next run finds it."""
    job.external_jobid = task_id
    try:
        job.job.register(external_jobid=task_id)
    except OSError as e:
        run.warn(f"The records of the job {job.job.name} could not be written: {e.strerror}.")


def told(run: BatchRun, ended: Ended) -> str:
    """The verdict's reason, with the node, and with its pool where the run has several."""
    verdict = ended.verdict
    if not verdict.node_id:
        return verdict.reason
    pool = f" of the pool {verdict.pool_id or ended.queue.pool_id}" if len(run.queues) > 1 else ""
    return f"{verdict.reason} Node: {verdict.node_id}{pool}."


def keep_node(run: BatchRun, ended: Ended) -> None:
    """Keeps the node of a job that has failed and has no attempt left, where that was asked for."""
    job = ended.job.job
    if job.attempt > job.restart_times:
        run.keep_node(ended.queue, ended.verdict, job.name)


@dataclass(frozen=True)
class Failure:
    """Why a job failed, for people, and the logs that were saved."""

    message: str
    logs: list[str]

    @classmethod
    def of(cls, run: BatchRun, ended: Ended, home: Path, logs_are_shown: bool, memory: str) -> "Failure":
        """Saves the task's logs below `home`; with `logs_are_shown` Snakemake prints them, and the rule's, whole.
        `memory` says what the job has asked for."""
        logs = task_logs.fetch(run, ended.queue, ended.verdict.task_id, home) if ended.verdict.ran else {}
        shown = logs_are_shown and "stderr.txt" in logs
        rule = rule_logs(ended.job.job, ended.job.submitted)
        if rule:
            task_logs.keep(run, ended.verdict.task_id, home, rule)
        rule = "" if logs_are_shown else rule
        again = ""
        if ended.service_fault and ended.job.resent:
            again = f"It was sent again {ended.job.resent} times (--az-batch-infra-retries). "
        if ended.verdict.exit_code == KILLED or task_logs.says_killed(logs):
            again += (
                f"It was killed, most likely because its memory was not enough (exit code {KILLED}): {memory}; raise "
                "the rule's resource mem_mb, with attempt in it and --retries to do so by itself. "
            )
        return cls(
            f"{told(run, ended)} {again}{'' if shown else task_logs.excerpt(logs)}{rule}",
            [str(path) for path in logs.values()],
        )
