"""Which tasks of the last run are jobs of this one: what is under way goes on, and what has succeeded is not run again.

A task is taken over when it makes the outputs of a job that has to run, does what that job would do (its code,
parameters, files, resources and image), and all that it reads is as it was when the task was made: none of its
inputs is newer, and none of the jobs that make them has to run. What is taken over keeps its attempt.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakemake.azure import last_run
from snakemake.azure.batch.pools import PoolPlan
from snakemake.azure.batch.recovery import (
    LeftTask,
    TaskMark,
    end_tasks,
    jobs_gone,
    newest,
    pools_left,
    tasks_left,
)
from snakemake.azure.batch.resources import POLICY, TOKEN
from snakemake.azure.batch.run import BatchRun
from snakemake.azure.blob.fence import RunToken
from snakemake.azure.blob.node_access import Use, revoke
from snakemake.azure.blob.record import Record, RunMade
from snakemake.azure.blob.stored_logs import StoredLogs, folder
from snakemake.azure.preflight.sources import pack_sources
from snakemake.azure.sources import delete_blob

if TYPE_CHECKING:
    from snakemake.azure.blob.account import BlobAccount

_HERE = ("tmpdir",)


def _digest(value: object, length: int) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def _name(file: Any) -> str:
    return str(file.storage_object.query if getattr(file, "is_storage", False) else file)


def _members(job: Any) -> list[Any]:
    members = list(job.jobs) if job.is_group() else [job]
    return sorted(members, key=_key)


def _key(job: Any) -> list[Any]:
    made = sorted(map(_name, job.output))
    return made or [job.rule.name, sorted((job.wildcards_dict or {}).items())]


def mark(job: Any, image: str, sources: Callable[[], str]) -> TaskMark:
    """What a task is to say of its job. `sources` tells the digest of the workflow's files, which counts for jobs that
    run more than a shell command.
    """
    members = _members(job)
    work = [image, *(_work(member, sources) for member in members)]
    return TaskMark(identity(job), _digest(work, 32), job.attempt)


def identity(job: Any) -> str:
    """A digest of what the job makes."""
    return _digest([_key(member) for member in _members(job)], 16)


def _work(job: Any, sources: Callable[[], str]) -> dict[str, Any]:
    rule, workflow = job.rule, job.dag.workflow
    records = workflow.persistence
    alone = rule.shellcmd is not None
    return {
        "code": records._code(rule),
        "shellcmd": job.shellcmd,
        "wrapper": rule.wrapper,
        # Not as it was worked out for an earlier attempt.
        "params": type(records)._params.__wrapped__(records, job),
        "files": [sorted(map(_name, files)) for files in (job.input, job.output, job.log)],
        "benchmark": _name(job.benchmark) if job.benchmark else None,
        "resources": {
            name: str(value)
            for name, value in job.resources.items()
            if not name.startswith("_") and name not in _HERE
        },
        "threads": job.threads,
        "conda": records._conda_env(job),
        "software": records._software_stack_hash(job),
        "container": job.container_img_url,
        "config": None if alone else workflow.config,
        "sources": None if alone else sources(),
    }


@dataclass(frozen=True)
class Matches:
    """The tasks that are taken over, by their jobs, and all others."""

    taken: Mapping[Any, LeftTask]
    rest: tuple[LeftTask, ...]

    @property
    def ended(self) -> list[LeftTask]:
        """What is still under way and fits no job."""
        return [task for task in self.rest if task.is_open]

    def summary(self, record: Record, would: str = "") -> str | None:
        """A sentence for people; None where there is nothing to say."""
        opened = sum(task.is_open for task in self.taken.values())
        said = [
            f"{verb} {count} {what}"
            for verb, count, what in (
                ("takes over", opened, "tasks that wait or run"),
                ("takes over", len(self.taken) - opened, "tasks that have succeeded"),
                ("ends", len(self.ended), "tasks that no longer fit"),
            )
            if count
        ]
        run = f"the run {record.runs[0].id} of " if record.runs else "a run of "
        return (
            f"Azure Batch: {run}{record.client}, is over; this one {would}{', '.join(said)}."
            if said
            else None
        )


def match(workflow: Any, tasks: Iterable[LeftTask], image: str, sources: Callable[[], str]) -> Matches:
    """Finds the jobs of the workflow's DAG that have to run and whose tasks are there."""
    dag, tasks = workflow.dag, list(tasks)
    latest = newest(tasks)
    taken: dict[Any, LeftTask] = {}
    if latest:
        jobs = dict.fromkeys(dag.get_job_group(job) or job for job in dag.needrun_jobs())
        for job in jobs:
            task = latest.get(identity(job))
            if task is not None and _fits(workflow, job, task, image, sources):
                taken[job] = task
    kept = {(task.job_id, task.id) for task in taken.values()}
    return Matches(taken, tuple(task for task in tasks if (task.job_id, task.id) not in kept))


def _fits(workflow: Any, job: Any, task: LeftTask, image: str, sources: Callable[[], str]) -> bool:
    if not (task.is_open or task.succeeded) or _waits_for_others(workflow.dag, job):
        return False
    if task.succeeded and _is_wanted_anew(workflow, job, task):
        return False
    attempt = job.attempt
    job.attempt = task.mark.attempt
    if mark(job, image, sources) == task.mark and workflow.async_run(_is_unchanged(job, task)):
        return True
    job.attempt = attempt
    return False


def _waits_for_others(dag: Any, job: Any) -> bool:
    members = set(_members(job))
    before = {other for member in members for other in dag.job_dependencies(member)} - members
    return any(dag.needrun(other) and not dag.finished(other) for other in before)


def _is_wanted_anew(workflow: Any, job: Any, task: LeftTask) -> bool:
    """Whether the user asks for the job again, though it has succeeded and that was seen."""
    members = _members(job)
    if any(task.id in workflow.persistence.external_jobids(member) for member in members):
        return False
    return any(workflow.dag.reason(member).forced for member in members)


async def _is_unchanged(job: Any, task: LeftTask) -> bool:
    """Whether no input is newer than the task, and what it should have made is there."""
    members = _members(job)
    made = {_name(f) for member in members for f in member.output}
    inputs = {_name(f): f for member in members for f in member.input if _name(f) not in made}
    outputs = [f for member in members for f in member.output if f.is_storage] if task.succeeded else []

    async def is_older(f: Any) -> bool:
        return not f.is_storage or (await f.mtime()).storage() <= task.created.timestamp()

    async def is_there(f: Any) -> bool:
        return await f.exists_in_storage()

    answers = await asyncio.gather(*map(is_older, inputs.values()), *map(is_there, outputs))
    return all(answers)


@dataclass
class Takeover:
    """Takes over what `before` says that another run has left, for `run`; `sources` as for `mark`."""

    workflow: Any
    run: BatchRun
    before: Record
    account: "BlobAccount"
    prefix: str
    place: PoolPlan
    sources: Callable[[], str]
    uses: Sequence[Use]
    say: Callable[[str], None]
    warn: Callable[[str], None]

    def __call__(self) -> Mapping[Any, LeftTask]:
        """The tasks that are this run's from now on, by their jobs. All others have ended, or at least can't write.

        Raises
        ------
        BatchError, BlobError: the service could not be asked.
        """
        runs, batch = self.before.runs, self.run.batch
        if self.before.batch != batch.account.endpoint:
            for run in runs:
                self._token(run).delete()
            self.warn(
                f"Azure Batch: the last run on az://{self.prefix} used the Batch account at {self.before.batch}; what "
                "it left there ends by its lease. snakemake --az-batch-sweep shows it."
            )
            return {}
        matches = match(
            self.workflow,
            tasks_left(batch, [job for run in runs for job in run.jobs]),
            self.run.tasks.image,
            self.sources,
        )
        if text := matches.summary(self.before):
            self.say(text)
        kept = {task.job_id for task in matches.taken.values()}
        for run in runs:
            self._fence(run, [t.id for t in matches.taken.values() if t.job_id in dict(run.jobs)])
        self._end([job for run in runs for job, _ in run.jobs if job not in kept], kept, matches)
        self._pools(runs, matches)
        for run in runs:
            for job_id, pool_id in run.jobs:
                if job_id in kept:
                    tasks = [task for task in matches.taken.values() if task.job_id == job_id]
                    opened = {task.id: task.slots for task in tasks if task.is_open}
                    self.run.take_over_tasks(job_id, pool_id, opened)
        return matches.taken

    def _token(self, run: RunMade) -> RunToken:
        return RunToken(self.account, self.prefix, run.id)

    def _fence(self, run: RunMade, allowed: list[str]) -> None:
        """First of all: from here on, no other task of that run can write."""
        token = self._token(run)
        if allowed:
            token.allow(allowed)
            self.run.take_over(TOKEN, f"az://{token.name}", token.delete)
        else:
            token.delete()
        if run.sources:
            keep = self.run.logs.keep if self.run.logs else None
            name, logs = run.sources, StoredLogs(self.account, folder(run.sources), keep=keep)
            self.run.take_over("source archive", f"az://{name}", lambda: delete_blob(self.account, name))
            self.run.take_over("logs of tasks", f"az://{logs.name}", logs.delete)
        self.run.take_over(POLICY, run.id, lambda: self._revoke(run.id))

    def _revoke(self, run_id: str) -> bool:
        """What the tasks of that run could do in storage, as far as it can be withdrawn."""
        found = False
        for use in self.uses:
            for container in use.containers() if use.account.kind == "key" else ():
                found = revoke(use.account, container, run_id) or found
        return found

    def _end(self, jobs: list[str], kept: set[str], matches: Matches) -> None:
        batch = self.run.batch
        for job_id in jobs:
            batch.delete_job(job_id)
        left = end_tasks(batch, [task for task in matches.ended if task.job_id in kept])
        left += sum(task.job_id not in kept for task in matches.ended) if not jobs_gone(batch, jobs) else 0
        if left:
            self.warn(
                f"Azure Batch: up to {left} tasks of the last run have not ended yet; they can store nothing any more."
            )

    def _pools(self, runs: Iterable[RunMade], matches: Matches) -> None:
        needed = {task.pool_id for task in matches.taken.values() if task.is_open}
        batch = self.run.batch
        for plan, nodes in pools_left(
            batch, [(pool, run.id) for run in runs for pool in run.pools], self.place.max_nodes
        ):
            if plan.id in needed or self.place.fits(plan):
                self.run.take_over_pool(plan, nodes)
            else:
                batch.delete_pool(plan.id)
                self.say(f"Azure Batch: deleted the pool {plan.id} of the last run.")


# -- for the DAG, see misc/edits/recovery.toml -----------------------------------------------------------------------


def outputs_in_flight(dag: Any, say: Callable[[str], None]) -> list[Any]:
    """Outputs that a task of the last run may still write, or have written in part, whatever this directory's records
    say: their jobs have to run, which is to say that their tasks are taken over or ended.
    """
    place = last_run.place
    if place is None or dag.workflow.touch:
        return []
    left = place.look(say, wait=not dag.workflow.dryrun)
    unsure = {key for key, task in newest(left.tasks).items() if not task.succeeded}
    if not unsure or left.live:
        return []
    return [f for job in dag.jobs if identity(job) in unsure for f in job.output]


def announce(workflow: Any, say: Callable[[str], None]) -> None:
    """Says, in a dry run, what a run would take over."""
    place = last_run.place
    if place is None or not workflow.dryrun:
        return
    left = place.look(say, wait=False)
    if left.record is None:
        return
    if left.live:
        say(
            f"Azure Batch: a run would be refused, as another one uses az://{place.prefix}: {left.record.client}."
        )
        return
    matches = match(workflow, left.tasks, place.image, lambda: _sources(workflow))
    if text := matches.summary(left.record, "would be a run that "):
        say(text)


def _sources(workflow: Any) -> str:
    return pack_sources(workflow.dag.get_sources(), Path.cwd(), lambda _: None).sha256
