"""Where the run is whose tasks are looked at: its record tells, in storage, and if that can't be asked, the copy in the
working directory. The journal there tells which account and which prefix the run has, and how tasks have ended that are
gone."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.batch.listed_tasks import ListedTask
from snakemake.azure.batch.recovery import TaskMark
from snakemake.azure.blob.record import Record, RunLock
from snakemake.azure.blob.stored_logs import StoredLogs, folder
from snakemake.azure.report.journal import HOME, Event, journals, read
from snakemake.azure.run_record import LOCAL

if TYPE_CHECKING:
    from snakemake.azure.batch.client import Batch
    from snakemake.azure.blob.account import BlobAccount

LOGS = Path(".snakemake") / "azure_batch_logs"
"""Where a run keeps the logs of its failed tasks, below the working directory."""


@dataclass(frozen=True)
class InJob:
    """A task, and the Batch job and the run that it belongs to; `sources` is the run's archive (`CONTAINER/BLOB`)."""

    task: ListedTask
    job_id: str
    pool_id: str
    run: str
    sources: str

    @property
    def same(self) -> str:
        """What is the same for all attempts of one Snakemake job."""
        mark = TaskMark.of(self.task.environment)
        return mark.job if mark else self.task.id


@dataclass(frozen=True)
class Ending:
    """How a task ended, by a journal."""

    task: str
    rule: str
    run: str
    success: bool
    exit_code: int | None
    at: datetime
    why: str = ""


def newest_events(folder: Path) -> list[Event]:
    """Those of the newest journal below the working directory; none where there is none."""
    for path in journals(folder / HOME):
        with suppress(OSError):
            return read(path)
    return []


def said_of_run(events: Iterable[Event], name: str) -> str:
    """A value of the last run that has begun, such as `account` or `prefix`; empty if none has."""
    runs = [event.values for event in events if event.event == "run"]
    return str(runs[-1].get(name) or "") if runs else ""


@dataclass
class Runs:
    """folder: the working directory; prefix (`CONTAINER[/PATH]`) and blobs: where the record in storage is, None where
    that is not known; insists: it was asked for by its prefix, so that storage has to answer."""

    batch: "Batch"
    folder: Path
    prefix: str = ""
    blobs: "BlobAccount | None" = None
    insists: bool = False
    _live: bool = field(default=False, init=False)

    def record(self) -> Record | None:
        """The record of the run that goes on, or was left; None if there is none."""
        stored = self._stored()
        if stored is not None:
            return stored
        if self.insists:
            return None
        try:
            found = Record.from_json((self.folder / LOCAL).read_bytes())
        except OSError:
            found = None
        self._live = found is not None and not found.client.is_gone
        return found

    def _stored(self) -> Record | None:
        if not self.prefix or self.blobs is None:
            return None
        try:
            found = RunLock(self.blobs, self.prefix, lambda _: None).read()
        except WorkflowError:
            if self.insists:
                raise
            return None
        record = found.record if found else None
        self._live = bool(found and found.locked and record and not record.client.is_gone)
        return record

    def goes_on(self) -> bool:
        """Whether a client still sees to the run."""
        return self.record() is not None and self._live

    def open_tasks(self) -> list[InJob]:
        """What waits or runs."""
        return [
            InJob(task, job_id, pool_id, run, sources)
            for run, sources, job_id, pool_id in self._jobs()
            for task in self.batch.open_tasks(job_id)
        ]

    def by_id(self, task_id: str) -> InJob | None:
        for run, sources, job_id, pool_id in self._jobs():
            if task := self.batch.get_task(job_id, task_id):
                return InJob(task, job_id, pool_id, run, sources)
        return None

    def after(self, before: InJob) -> InJob | None:
        """The newest task of the same Snakemake job that was added after this one."""
        assert before.task.created is not None
        found = [
            InJob(task, job_id, pool_id, run, sources)
            for run, sources, job_id, pool_id in self._jobs()
            for task in self.batch.tasks_since(job_id, before.task.created)
        ]
        newer = [one for one in found if one.same == before.same and one.task.id != before.task.id]
        return max(newer, key=lambda one: one.task.created or datetime.min, default=None)

    def _jobs(self) -> Iterable[tuple[str, str, str, str]]:
        record = self.record()
        for run in record.runs if record else ():
            for job_id, pool_id in run.jobs:
                yield run.id, run.sources, job_id, pool_id

    # -- what is over --------------------------------------------------------------------------------------------------

    def endings(self) -> list[Ending]:
        """How tasks of the newest run here ended, the last one last."""
        found, rules, run = [], {}, ""
        for event in newest_events(self.folder):
            told = event.values
            if event.event == "run":
                run = str(told.get("run") or "")
            elif event.event == "submitted":
                rules[told.get("task")] = str(told.get("rule") or "")
            elif event.event == "ended":
                task = str(told.get("task"))
                code, success = told.get("exit_code"), bool(told.get("success"))
                found.append(
                    Ending(task, rules.get(task, ""), run, success, code, event.at, told.get("why", ""))
                )
        return found

    def saved(self, one: InJob, name: str) -> bytes | None:
        """A log of a failed task that its node has no more: as the run has saved it here, or the task in storage."""
        for path in (self.folder / LOGS).glob(f"*/{one.task.id}/{name}"):
            with suppress(OSError):
                return path.read_bytes()
        if self.blobs is None or not one.sources:
            return None
        try:
            return StoredLogs(self.blobs, folder(one.sources)).fetch(one.task.id, name)
        except WorkflowError:
            return None
