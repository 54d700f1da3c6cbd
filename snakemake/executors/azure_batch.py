"""Runs each job of a workflow as a task of Azure Batch.

This is the place, and the only one, where Snakemake's jobs meet Azure's tasks. Everything that concerns Azure alone is
in `snakemake.azure`, which knows no DAG. Some things have files of their own beside this one: what is checked before a
run (`azure_batch_checks`), how the run begins and ends (`azure_batch_lifecycle`), how a task is made from a job
(`azure_batch_tasks`) and gets into a pool (`azure_batch_submission`), what a verdict on a task means for its job
(`azure_batch_outcomes`), and what is shown of a rule's logs (`azure_batch_rule_logs`).

Words follow Azure: a Snakemake job is a Batch task; a Batch job groups the tasks of one pool.

The constructor checks the options and asks Azure whether the account, the credentials and the storage are there,
but creates nothing. The first jobs that are ready create the pool, the Batch job and the source archive
(`snakemake.azure.batch.run`); `shutdown` deletes them, also after errors and on Ctrl-C.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.settings import CommonSettings

from snakemake.azure import pool_options, retry, signals
from snakemake.azure.batch import orphans
from snakemake.azure.batch.capacity import Trouble
from snakemake.azure.batch.lease import PoolLeases
from snakemake.azure.batch.monitor import Verdict
from snakemake.azure.batch.node_removal import NodeRemovals
from snakemake.azure.batch.recovery import LeftTask
from snakemake.azure.batch.run import BatchRun
from snakemake.azure.batch.run_settings import Listeners, PoolRules, TaskDefaults, Workload
from snakemake.azure.batch.stores import Stores
from snakemake.azure.blob.fence import RunToken
from snakemake.azure.blob.record import Record, RunLock
from snakemake.azure.blob.stored_logs import StoredLogs, folder
from snakemake.azure.report import journal
from snakemake.azure.report.logs import HOME as LOGS
from snakemake.azure.report.meter import Meter
from snakemake.azure.report.progress import Activity
from snakemake.azure.run_record import RunRecord
from snakemake.azure.settings import ExecutorSettings
from snakemake.azure.sources import BlobSources
from snakemake.executors.azure_batch_access import node_access
from snakemake.executors.azure_batch_ahead import LookAhead
from snakemake.executors.azure_batch_checks import check
from snakemake.executors.azure_batch_images import JobImages
from snakemake.executors.azure_batch_journal import RunJournal
from snakemake.executors.azure_batch_lifecycle import Lifecycle
from snakemake.executors.azure_batch_max_cost import MaxCost, budget_of
from snakemake.executors.azure_batch_outcomes import (
    Ended,
    Failure,
    Verdicts,
    asked_memory,
    judge_nodes,
    keep_node,
    send_again,
)
from snakemake.executors.azure_batch_progress import Progress
from snakemake.executors.azure_batch_submission import Submitter
from snakemake.executors.azure_batch_takeover import Takeover
from snakemake.executors.azure_batch_tasks import AzBatchJob, TaskMaker

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

POLLED_TOGETHER = 500
"""Open tasks, for each so many of which a second passes between two polls, up to two seconds: what has ended by then is
processed together, which costs far less."""

POLLING_ENDS = 2.0
"""Seconds that a run that is to stop waits for its polling thread."""


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
        # The working directory may be another one when a signal comes.
        self._left = orphans.HOME.absolute()
        self._journals = journal.HOME.absolute()
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
                timedelta(minutes=kept) if (kept := checked.settings.keep_failed) else None,
            )
            self.ahead = LookAhead(
                lambda: self.workflow.dag,
                lambda: self.workflow.scheduler.running if self.workflow.scheduler else (),
                lambda job: checked.placement.place(self.submitter.demand(job)[0]),
                checked.batch.clock.now,
            )
            self.journal = RunJournal(self._journals, checked, self.logger)
            self.submitter = Submitter(
                self, checked, self.task_maker, self.ahead, lambda: self.run, self.journal
            )
            self.meter = Meter(self.journal.journal.looked)
            self.journal.journal.listen(self.meter.take)
            budget = budget_of(checked.settings, checked.placement.prices, self.meter)
            self.max_cost = MaxCost(
                self.workflow,
                budget,
                self.meter,
                self.journal.journal,
                checked.batch.clock.now,
                self.logger.warning,
            )
            self.progress = self._new_progress()
            self.leases = PoolLeases(timedelta(minutes=checked.settings.lease), budget)
            self.removals = NodeRemovals(self.leases)
            lock = RunLock(checked.blob_account, checked.source_prefix, self.logger.info)
            self.record = RunRecord(lock, checked.run_id, checked.batch.account.endpoint)
            self.lifecycle = Lifecycle(
                checked,
                self.record,
                self.leases,
                self.removals,
                self._left,
                self.logger,
                lambda: self._run,
                self._lose,
                self.journal,
                self.progress.stop,
            )
            before = self.lifecycle.begin()
            if before is not None and before.runs:
                self._take_over(before)
        except BaseException:
            # The constructor's thread must not outlive the failure.
            self.wait = False
            self._wake.set()
            raise

    def _new_progress(self) -> Progress:
        settings, journal, now = self.checked.settings, self.journal.journal, self.checked.batch.clock.now
        activity = Activity(settings.max_cost)
        journal.listen(activity.take)
        return Progress(self.workflow, settings.progress, self.meter, activity, now, self.logger)

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
        self.journal.took_over(self.run.taken_over.plans, taken)
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
        """Submits all jobs that are ready; of those that were taken over, the tasks just go on."""
        if self.max_cost.is_reached:
            self.max_cost.hold(jobs)
            return
        self.submitter.submit(job for job in jobs if not self._goes_on(job))
        self._poll_pause = 0.0
        self.progress.start()

    def run_job(self, job: JobExecutorInterface) -> None:
        self.run_jobs([job])

    def _goes_on(self, job: JobExecutorInterface) -> bool:
        """Whether a task of the last run is the job's, and goes on."""
        self.run_job_pre(job)
        left = self._taken.pop(job, None)
        if left is None:
            return False
        queue = self.run.queue_of(left.job_id)
        self.report_job_submission(
            AzBatchJob(job, external_jobid=left.id, queue=queue, submitted=left.created)
        )
        self.ahead.begin(job, left.id)
        return True

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
                StoredLogs(
                    checked.blob_account, folder(self.sources.name), keep=self.journal.journal.note_used
                ),
                RunToken(checked.blob_account, checked.source_prefix, checked.run_id),
            ),
            rules=PoolRules(
                patience=timedelta(minutes=settings.node_timeout),
                spot_patience=timedelta(minutes=settings.spot_wait),
                keep=timedelta(minutes=settings.keep_pool) if settings.keep_pool else None,
                autoscale=pool_options.autoscale(settings),
                tags=pool_options.tags(settings, Path.cwd().name),
                keep_failed=timedelta(minutes=settings.keep_failed) if settings.keep_failed else None,
            ),
            listeners=Listeners(
                self.logger.info,
                self.logger.warning,
                noted=self.record.note,
                wake=self.lifecycle.renewals.wake,
                note_left=self.lifecycle.note_left,
                journal=self.journal.journal,
            ),
            now=lambda: datetime.now(UTC),
            workload=Workload(self._movable, checked.placement.reopen, self.ahead),
            leases=self.leases,
            removals=self.removals,
            service_now=checked.batch.clock.now,
            record=f"{checked.blob_account.url}/{self.record.lock.name}",
        )

    def _movable(
        self, key: str, trouble: Trouble, task_ids: Collection[str]
    ) -> tuple[Collection[str], Collection[str]]:
        return self.submitter.movable(key, trouble, task_ids, self._active)

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
        verdicts = await asyncio.to_thread(self._poll)
        self._verdicts.add(verdicts)
        together = []
        for job in active_jobs:
            if verdict := self._verdicts.take(job.external_jobid or ""):
                together.append(Ended(job, verdict))
            else:
                yield job
        await asyncio.to_thread(self._send_again, together)
        for ended in together:
            if ended.held:
                self.max_cost.hold([ended.job.job])
            elif ended.sent_again:
                self.ahead.begin(ended.job.job, ended.job.external_jobid or "")
                yield ended.job
            else:
                self.ahead.end(ended.job.job)
                if ended.verdict.success:
                    self.report_job_success(ended.job)
                else:
                    await asyncio.to_thread(self._report_failure, ended)
        if verdicts:
            self._poll_pause = 0.0
        self.max_cost.check(self.run)

    def _poll(self) -> list[Verdict]:
        self.max_cost.look(self.run)
        return self.run.poll()

    def _send_again(self, together: list[Ended]) -> None:
        """Jobs that their nodes or the service failed go on as other tasks."""
        judge_nodes(self.run, together)
        most = self.checked.settings.infra_retries
        if self.max_cost.is_reached:
            for ended in together:
                ended.held = ended.goes_again(most)
            return
        send_again(self.run, self.submitter.anew, together, most, LOGS)

    def _report_failure(self, ended: Ended) -> None:
        job = ended.job
        shown = self.workflow.output_settings.show_failed_logs
        failure = Failure.of(self.run, ended, LOGS, shown, asked_memory(job.job))
        if job.job.is_group():
            # Snakemake prints no message with a group's error, only with a single job's.
            self.logger.error(f"Error in group {job.job.name}: {failure.message}")
        keep_node(self.run, ended)
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
            self.lifecycle.end()
            with self.lock:
                self.wait = False
            self.wait_thread.join(POLLING_ENDS)
            return
        try:
            super().shutdown()
        finally:
            self.lifecycle.end()
            self.checked.batch.close()
