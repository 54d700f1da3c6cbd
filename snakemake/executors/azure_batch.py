"""Runs each job of a workflow as a task of Azure Batch.

This is the place, and the only one, where Snakemake's jobs meet Azure's tasks. Everything that concerns Azure alone is
in `snakemake.azure`, which knows no DAG. Some things have files of their own beside this one: what is checked before a
run (`azure_batch_checks`), how a task is made from a job (`azure_batch_tasks`), what a verdict on a task means for its
job (`azure_batch_outcomes`), and what is shown of a rule's logs (`azure_batch_rule_logs`).

Words follow Azure: a Snakemake job is a Batch task; a Batch job groups the tasks of one pool.

The constructor checks the options and asks Azure whether the account, the credentials and the storage are there,
but creates nothing. The first jobs that are ready create the pool, the Batch job and the source archive
(`snakemake.azure.batch.run`); `shutdown` deletes them, also after errors and on Ctrl-C.
"""

import asyncio
import atexit
import threading
from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.settings import CommonSettings

from snakemake.azure import pool_options, retry, signals
from snakemake.azure.batch import orphans
from snakemake.azure.batch.capacity import Kind, Trouble
from snakemake.azure.batch.client import BatchError
from snakemake.azure.batch.lease import PoolLeases, Renewals
from snakemake.azure.batch.placement import Demand, Place
from snakemake.azure.batch.pool_queue import PoolQueue
from snakemake.azure.batch.recovery import LeftTask
from snakemake.azure.batch.resources import JOB, POLICY, POOL, SOURCES, TOKEN
from snakemake.azure.batch.run import BatchRun
from snakemake.azure.batch.run_settings import Listeners, PoolRules, TaskDefaults, Workload
from snakemake.azure.batch.stores import Stores
from snakemake.azure.batch.tasks import Task
from snakemake.azure.batch.vm_sizes import DoesNotFit, UnknownVmSize
from snakemake.azure.batch.warm_pools import is_warm
from snakemake.azure.blob.fence import RunToken
from snakemake.azure.blob.node_access import revoke
from snakemake.azure.blob.record import LEASE as LOCK_LASTS
from snakemake.azure.blob.record import LockLost, Record, RunLock
from snakemake.azure.blob.stored_logs import StoredLogs, folder
from snakemake.azure.run_record import RunRecord
from snakemake.azure.settings import ExecutorSettings, SettingsError
from snakemake.azure.signals import unfinished, uninterrupted
from snakemake.azure.sources import BlobSources, delete_blob
from snakemake.executors.azure_batch_access import node_access
from snakemake.executors.azure_batch_ahead import LookAhead
from snakemake.executors.azure_batch_checks import check
from snakemake.executors.azure_batch_images import JobImages
from snakemake.executors.azure_batch_outcomes import (
    Ended,
    Failure,
    Verdicts,
    asked_memory,
    judge_nodes,
    send_again,
)
from snakemake.executors.azure_batch_takeover import Takeover
from snakemake.executors.azure_batch_tasks import AzBatchJob, SpotRules, TaskMaker, demand

__all__ = ["AzBatchExecutor", "AzBatchJob", "ExecutorSettings", "common_settings"]

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=True,
    job_deploy_sources=True,
    # Environment variables travel in the Batch job, never in a command line.
    pass_envvar_declarations_to_cmd=False,
    # The image has the storage provider baked in: no pip on the nodes.
    auto_deploy_default_storage_provider=False,
    # This executor packs, uploads and deploys the sources by itself, once per node.
    can_transfer_local_files=True,
)

LOGS = Path(".snakemake") / "azure_batch_logs"
"""Where the logs of failed tasks are kept, below the working directory."""

USAGE = Path(".snakemake") / "azure_batch"
"""Where runs keep what their tasks have used, RUN.usage.jsonl, as `snakemake.azure.node.usage` measures it."""

POLLED_TOGETHER = 500
"""Open tasks, for each so many of which a second passes between two polls, up to two seconds: what has ended by then is
processed together, which costs far less."""

POLLING_ENDS = 2.0
"""Seconds that a run that is to stop waits for its polling thread."""


@dataclass(frozen=True)
class Submission:
    """A job that is about to be submitted, with its place and its task."""

    job: JobExecutorInterface
    place: Place
    task: Task


class AzBatchExecutor(RemoteExecutor):
    """Executor `az-batch`."""

    executor_settings: ExecutorSettings

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The base class starts the polling thread before it calls __post_init__, and the thread dies in silence
        # if what it reads is not there yet.
        self._wake = threading.Event()
        self._poll_pause = 0.0
        self._verdicts = Verdicts()
        self._run: BatchRun | None = None
        self._taken: dict[JobExecutorInterface, LeftTask] = {}
        self._active: Sequence[Any] = ()
        self._lost: Exception | None = None
        self._leaving = threading.Lock()
        self._is_over = False
        # The working directory may be another one when a signal comes.
        self._left = orphans.HOME.absolute()
        self._usage = USAGE.absolute()
        super().__init__(*args, **kwargs)

    def __post_init__(self) -> None:
        try:
            self.checked = check(self.workflow, self.executor_settings, self.logger)
            checked = self.checked
            self.sources = BlobSources(
                checked.blob_account, checked.source_prefix, checked.run_id, checked.sources
            )
            self.task_maker = TaskMaker(
                self,
                self.sources.name,
                checked.sources,
                checked.settings.task_retries,
                timedelta(minutes=checked.settings.task_timeout) or None,
                checked.output_cache,
                lambda: self.run.further_environment(),
                checked.image,
                JobImages.of_run(self.workflow, checked.settings),
            )
            self.ahead = LookAhead(
                lambda: self.workflow.dag,
                lambda: self.workflow.scheduler.running if self.workflow.scheduler else (),
                lambda job: checked.placement.place(self._demand(job, no_spot=False)[0]),
                checked.batch.clock.now,
            )
            self.leases = PoolLeases(timedelta(minutes=checked.settings.lease))
            lock = RunLock(checked.blob_account, checked.source_prefix, self.logger.info)
            self.record = RunRecord(lock, checked.run_id, checked.batch.account.endpoint)
            self._begin()
        except BaseException:
            # The constructor's thread must not outlive the failure.
            self.wait = False
            self._wake.set()
            raise

    # -- the beginning ---------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Makes sure that no other run has the prefix, and takes over what the last one has left there."""
        # For ends that Snakemake does not catch; after a shutdown there is nothing left to do.
        atexit.register(self._close)
        unfinished.append(self._close)
        signals.listen()
        before = self.record.begin()
        self.renewals = Renewals(
            self.checked.batch,
            self.leases,
            now=self.checked.batch.clock.now,
            jobs=lambda: self._run.job_ids() if self._run else (),
            renew_lock=self.record.renew,
            lock_every=LOCK_LASTS / 3,
            fatal=LockLost,
            lost=self._lose,
            say=self.logger.info,
        )
        self.renewals.start()
        # Before the takeover: what is being deleted is not taken over.
        self._delete_orphans()
        if before is not None and before.runs:
            self._take_over(before)

    def _take_over(self, before: Record) -> None:
        checked = self.checked
        place, access = checked.placement.default_place(), node_access(self.workflow, checked, lambda _: None)
        taken = Takeover(
            self.workflow,
            self.run,
            before,
            checked.blob_account,
            checked.source_prefix,
            checked.placement.pool_plan(place, checked.run_id, 1, checked.image),
            lambda: checked.sources.sha256,
            access.uses,
            self.logger.info,
            self.logger.warning,
        )()
        self._taken = dict(taken)
        for task in taken.values():
            self.task_maker.taken(task.id)
            if task.verdict is not None:
                self._verdicts.add([task.verdict])

    def _lose(self, error: Exception) -> None:
        """Another run has the prefix: this one ends, and leaves all to that one."""
        self._lost = error
        self._wake.set()

    # -- submission ------------------------------------------------------------------------------------------

    def run_jobs(self, jobs: list[JobExecutorInterface]) -> None:
        """Submits all jobs that are ready: grouped by pool, in collections of up to 100 tasks."""
        groups: dict[str, list[Submission]] = defaultdict(list)
        for job in jobs:
            self.run_job_pre(job)
            if left := self._taken.pop(job, None):
                queue = self.run.queue_of(left.job_id)
                self.report_job_submission(
                    AzBatchJob(job, external_jobid=left.id, queue=queue, submitted=left.created)
                )
                self.ahead.begin(job, left.id)
                self._poll_pause = 0.0
                continue
            try:
                place, task = self._task(job)
                groups[place.key].append(Submission(job, place, task))
            except (SettingsError, UnknownVmSize, DoesNotFit) as e:
                self.report_job_error(AzBatchJob(job), msg=f"{e} ")
        for members in groups.values():
            self._submit(members)

    def run_job(self, job: JobExecutorInterface) -> None:
        self.run_jobs([job])

    def _task(self, job: JobExecutorInterface, no_spot: bool = False) -> tuple[Place, Task]:
        """The job's place, and a new task for it."""
        wanted, tries = self._demand(job, no_spot)
        place = self.checked.placement.take(wanted)
        return place, self.task_maker.task(job, wanted, place, tries)

    def _demand(self, job: JobExecutorInterface, no_spot: bool) -> tuple[Demand, int]:
        """What the job asks for, and how often it may begin on Spot nodes."""
        is_bound = no_spot or self.checked.placement.existing is not None
        tries = 0 if is_bound else self._spot_rules.tries_of(job)
        return replace(demand(job), spot=tries > 0), tries

    @property
    def _spot_rules(self) -> SpotRules:
        return SpotRules(self.checked.settings.spot or 0, self.workflow.remote_execution_settings)

    def _movable(
        self, key: str, trouble: Trouble, task_ids: Collection[str]
    ) -> tuple[Collection[str], Collection[str]]:
        """Those of the tasks whose jobs may go to another pool than that one, which gets no nodes, and those that may
        not."""
        placement = self.checked.placement
        placement.close(key, whole_series=trouble.kind is Kind.SERIES_QUOTA)
        jobs = {job.external_jobid: job for job in self._active}
        known = [task_id for task_id in task_ids if task_id in jobs]
        movable = {
            task_id
            for task_id in known
            if placement.has_other(self._demand(jobs[task_id].job, jobs[task_id].no_spot)[0], key)
        }
        return movable, [task_id for task_id in known if task_id not in movable]

    def _goes_elsewhere(self, members: list[Submission], refusal: BatchError) -> bool:
        """Sends the members to other sizes where the region does not have that of their pool, which is refused then."""
        placement, place = self.checked.placement, members[0].place
        if refusal.status != 400 or "vmsize" not in str(refusal).lower():
            return False
        if not all(placement.has_other(self._demand(m.job, no_spot=False)[0], place.key) for m in members):
            return False
        placement.close(place.key, timedelta(days=1))
        self.logger.warning(f"{refusal} {len(members)} jobs go to other sizes.")
        groups: dict[str, list[Submission]] = defaultdict(list)
        for member in members:
            other, task = self._task(member.job)
            groups[other.key].append(Submission(member.job, other, task))
        for others in groups.values():
            self._submit(others)
        return True

    def _submit(self, members: list[Submission]) -> None:
        """Adds the members, which have one pool, to it."""
        now = datetime.now(UTC)
        try:
            queue = self._queue(members[0].place, sum(member.task.slots for member in members))
            rejected = {r.task_id: r for r in self.run.submit(queue, [member.task for member in members])}
        except WorkflowError as e:
            if isinstance(e, BatchError) and self._goes_elsewhere(members, e):
                return
            # Not one of these jobs is known to run, so the run ends here; the scheduler cancels and cleans up.
            raise WorkflowError(f"Submitting {len(members)} jobs failed: {e}") from None
        for member in members:
            info = AzBatchJob(member.job, external_jobid=member.task.id, queue=queue, submitted=now)
            if refusal := rejected.get(member.task.id):
                self.report_job_error(
                    info, msg=f"Azure Batch did not take the task ({refusal.code}: {refusal.message}). "
                )
            else:
                self.ahead.begin(member.job, member.task.id, member.place)
                self.report_job_submission(info)
        self._poll_pause = 0.0

    def _queue(self, place: Place, slots: int) -> PoolQueue:
        """The queue of the place's pool, which is made for `slots` if it is not there yet."""
        checked, run = self.checked, self.run
        if existing := checked.placement.existing:
            return run.join_queue(place.key, existing.id)
        if queue := run.queues.get(place.key):
            return queue
        plan = checked.placement.pool_plan(place, run.id, len(run.queues) + 1, checked.image)
        return run.open_queue(place.key, plan, nodes=plan.nodes_for(slots))

    @property
    def run(self) -> BatchRun:
        if self._run is None:
            self._run = self._new_run()
        return self._run

    def _new_run(self) -> BatchRun:
        checked, settings = self.checked, self.checked.settings
        return BatchRun(
            id=checked.run_id,
            batch=checked.batch,
            tasks=TaskDefaults(
                checked.image,
                {**self.task_maker.environment(), retry.VARIABLE: f"{settings.patience:g}"},
                checked.placement.definition.user,
                settings.container_options or "",
            ),
            stores=Stores(
                self.sources,
                node_access(self.workflow, checked, self.logger.warning),
                StoredLogs(checked.blob_account, folder(self.sources.name), keep=self._keep_usage),
                RunToken(checked.blob_account, checked.source_prefix, checked.run_id),
            ),
            rules=PoolRules(
                patience=timedelta(minutes=settings.node_timeout),
                spot_patience=timedelta(minutes=settings.spot_wait),
                keep=timedelta(minutes=settings.keep_pool) if settings.keep_pool else None,
                autoscale=pool_options.autoscale(settings),
                tags=pool_options.tags(settings, Path.cwd().name),
            ),
            listeners=Listeners(
                self.logger.info,
                self.logger.warning,
                noted=self.record.note,
                wake=self.renewals.wake,
                note_left=partial(orphans.note, checked.run_id, self._endpoints(), home=self._left),
            ),
            now=lambda: datetime.now(UTC),
            workload=Workload(self._movable, checked.placement.reopen, self.ahead),
            leases=self.leases,
            service_now=checked.batch.clock.now,
            record=f"{checked.blob_account.url}/{self.record.lock.name}",
        )

    def _keep_usage(self, lines: bytes) -> None:
        with suppress(OSError):
            self._usage.mkdir(parents=True, exist_ok=True)
            with (self._usage / f"{self.checked.run_id}.usage.jsonl").open("ab") as file:
                file.write(lines)

    def _endpoints(self) -> orphans.Account:
        return orphans.Account(self.checked.batch.account.endpoint, self.checked.blob_account.url)

    def _delete_orphans(self) -> None:
        """What an earlier run in this directory could not delete; it is no reason to wait."""
        batch, account = self.checked.batch, self.checked.blob_account
        deleters = {
            # A pool that stays may be another run's by now, and ends by its lease.
            POOL: lambda name: not is_warm(name) and batch.delete_pool(name),
            JOB: batch.delete_job,
            SOURCES: lambda name: delete_blob(account, name.removeprefix("az://")),
            "logs of tasks": lambda name: StoredLogs(account, name.removeprefix("az://")).delete(),
            TOKEN: lambda name: delete_blob(account, name.removeprefix("az://")),
            POLICY: lambda run: revoke(account, self.checked.source_prefix.partition("/")[0], run),
        }
        with retry.process.no_longer_than(30):
            orphans.delete(self._endpoints(), deleters, self.logger.info, self.logger.warning, self._left)

    # -- monitoring ------------------------------------------------------------------------------------------

    async def check_active_jobs(
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncGenerator[SubmittedJobInfo, None]:
        """One poll for all jobs, then one verdict for each job that ended."""
        if self._lost is not None:
            raise self._lost
        if not active_jobs and self._run is None:
            return
        self._active = active_jobs
        # Without jobs too: pools go with the work also while only the client has some.
        verdicts = await asyncio.to_thread(self.run.poll)
        self._verdicts.add(verdicts)
        together = []
        for job in active_jobs:
            if verdict := self._verdicts.take(job.external_jobid or ""):
                together.append(Ended(job, verdict))
            else:
                yield job
        await asyncio.to_thread(self._send_again, together)
        for ended in together:
            if ended.sent_again:
                self.ahead.begin(ended.job.job, ended.job.external_jobid or "")
                yield ended.job
                continue
            self.ahead.end(ended.job.job)
            if ended.verdict.success:
                self.report_job_success(ended.job)
            else:
                await asyncio.to_thread(self._report_failure, ended)
        if verdicts:
            self._poll_pause = 0.0

    def _send_again(self, together: list[Ended]) -> None:
        """Jobs that their nodes or the service failed go on as other tasks."""
        judge_nodes(self.run, together)
        most = self.checked.settings.infra_retries
        send_again(self.run, self._anew, together, most, LOGS)

    def _anew(self, job: AzBatchJob) -> tuple[PoolQueue, Task]:
        """Another task for the job, and where it goes: never among the tasks of another run, which may not write."""
        place, task = self._task(job.job, job.no_spot)
        return self._queue(place, task.slots), task

    def _report_failure(self, ended: Ended) -> None:
        job = ended.job
        shown = self.workflow.output_settings.show_failed_logs
        failure = Failure.of(self.run, ended, LOGS, shown, asked_memory(job.job))
        if job.job.is_group():
            # Snakemake prints no message with a group's error, only with a single job's.
            self.logger.error(f"Error in group {job.job.name}: {failure.message}")
        self.report_job_error(job, msg=failure.message, aux_logs=failure.logs)

    def _wait_thread(self) -> None:
        """The polling thread. Whatever ends it must reach the scheduler, or the run would wait for ever."""
        try:
            asyncio.run(self._wait_for_jobs())
        except Exception as e:  # noqa: BLE001
            if self.workflow.scheduler is not None:
                self.workflow.scheduler.executor_error_callback(e)

    async def sleep(self) -> None:
        """Short pauses while jobs come and go, longer ones while nothing happens; a shutdown ends them."""
        longest = float(self.next_seconds_between_status_checks)
        shortest = min(2.0, max(0.5, self._run.open_tasks / POLLED_TOGETHER)) if self._run else 0.5
        self._poll_pause = min(longest, max(shortest, self._poll_pause * 1.4))
        await asyncio.to_thread(self._wake.wait, min(longest, self._poll_pause))

    # -- the end ---------------------------------------------------------------------------------------------

    def cancel_jobs(self, active_jobs: Iterable[SubmittedJobInfo]) -> None:
        """Deleting the Batch job, which `shutdown` does, ends its tasks: one request for all of them."""

    def shutdown(self) -> None:
        self._wake.set()
        if signals.stopping.is_set():
            # The polling thread may wait for an answer; what costs money goes first.
            self._close()
            with self.lock:
                self.wait = False
            self.wait_thread.join(POLLING_ENDS)
            return
        try:
            super().shutdown()
        finally:
            self._close()
            self.checked.batch.close()

    def _close(self) -> None:
        """Deletes what the run made. That costs money as long as it exists, so that no signal stops it. Two threads may
        call it at once (`snakemake.azure.signals`)."""
        with uninterrupted():
            self._leave()
        atexit.unregister(self._close)
        with suppress(ValueError):
            unfinished.remove(self._close)

    def _leave(self) -> None:
        with self._leaving:
            if self._is_over:
                return
            if self.record.lost:
                self.logger.warning(
                    "Azure Batch: what this run has made is another run's now, and is not deleted."
                )
                self.record.end()
            elif self.checked.settings.on_exit == "detach" and signals.stopping.is_set():
                self._detach()
            else:
                for deleted in self._run.close() if self._run else ():
                    self.logger.info(f"Azure Batch: deleted the {deleted}.")
                self.record.end(all_gone=not (self._run and self._run.left))
            if hasattr(self, "renewals"):
                self.renewals.stop()
            self._is_over = True

    def _detach(self) -> None:
        self.record.detach()
        minutes, prefix = self.checked.settings.lease, self.checked.source_prefix
        self.logger.info(
            f"Azure Batch: the tasks go on without this client, and the nodes for {minutes} minutes; the next run "
            f"on az://{prefix} takes them over."
        )
