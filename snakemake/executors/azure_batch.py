"""Runs each job of a workflow as a task of Azure Batch.

This is the place, and the only one, where Snakemake's jobs meet Azure's tasks: which pool a job goes to, how many
slots it takes, which command it runs, and what a verdict on a task means for the job. Everything that concerns
Azure alone is in `snakemake.azure`, which knows no DAG.

Words follow Azure: a Snakemake job is a Batch task; a Batch job groups the tasks of one pool.

The constructor checks the options and asks Azure whether the account, the credentials and the storage are there,
but creates nothing. The first jobs that are ready create the pool, the Batch job and the source archive
(`snakemake.azure.batch.run`); `shutdown` deletes them, also after errors and on Ctrl-C.
"""

import asyncio
import atexit
import math
import os
import random
import threading
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.real import RealExecutor
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.settings import CommonSettings

from snakemake.azure import preflight
from snakemake.azure.batch import ids, task_logs, vm_sizes
from snakemake.azure.batch.account import BatchAccount
from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.monitor import Verdict
from snakemake.azure.batch.pools import PoolPlan
from snakemake.azure.batch.run import BatchRun, PoolQueue
from snakemake.azure.batch.tasks import Task
from snakemake.azure.blob.account import NOT_FOR_NODES
from snakemake.azure.blob.node_access import for_nodes
from snakemake.azure.node.arguments import split_arguments, target_arguments, without
from snakemake.azure.node.order import NodeOrder
from snakemake.azure.settings import (
    DEFAULT_NODES,
    DEFAULT_VM_SIZE,
    ExecutorSettings,
    SettingsError,
    resolve,
)
from snakemake.azure.signals import hangup_as_interrupt, unfinished, uninterrupted
from snakemake.azure.sources import BlobSources

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


@dataclass
class AzBatchJob(SubmittedJobInfo):
    """A Snakemake job that was submitted as a Batch task; `external_jobid` is the task's id."""

    queue: PoolQueue | None = None


class AzBatchExecutor(RemoteExecutor):
    """Executor `az-batch`."""

    executor_settings: ExecutorSettings

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The base class starts the polling thread before it calls __post_init__, and the thread dies in silence
        # if what it reads is not there yet.
        self._wake = threading.Event()
        self._poll_pause = 0.0
        self._verdicts: dict[str, Verdict] = {}
        self._task_ids: set[str] = set()
        self._run: BatchRun | None = None
        super().__init__(*args, **kwargs)

    def __post_init__(self) -> None:
        try:
            self._check()
        except BaseException:
            # The constructor's thread must not outlive the failure.
            self.wait = False
            self._wake.set()
            raise

    def _check(self) -> None:
        """Everything that can be wrong is found here, before anything is created."""
        self.settings = resolve(self.executor_settings or ExecutorSettings())
        preflight.validate(self.settings)
        self.image = preflight.container_image(
            self.settings, self.workflow.remote_execution_settings.container_image
        )
        self.account = BatchAccount.resolve(self.settings)
        self.batch = Batch(self.account)
        storage = self.workflow.storage_registry.default_storage_provider
        self.blob_account, self.source_prefix = preflight.blob_storage(
            storage, self.workflow.storage_settings.default_storage_prefix
        )
        self.output_cache = preflight.output_cache(self.workflow.workflow_settings.cache, os.environ)
        self.sources = preflight.pack_sources(
            self.workflow.dag.get_sources(), Path.cwd(), self.logger.warning
        )
        now = datetime.now(UTC)
        self._vms = {"": vm_sizes.vm_size(self.settings.vm_size or DEFAULT_VM_SIZE)}
        self._check_rules()
        self.os_images = preflight.os_images(self.batch, self.settings, now)
        self.os_images.for_vm(self._vms[""])
        self.existing_pool = preflight.existing_pool(self.batch, self.settings)
        preflight.check_blob_access(self.blob_account, self.source_prefix)
        preflight.check_image(self.settings, self.image, self.account.endpoint)
        self.tagged_storage = preflight.tagged_storage(self.workflow.storage_registry._storages)
        tagged = [provider.store.account for provider in self.tagged_storage.values()]
        for account in [self.blob_account, *tagged]:
            if warning := account.expiry_warning(now):
                self.logger.warning(warning)
        self.run_id = ids.run_id(Path.cwd().name, now, random.SystemRandom())

    def _check_rules(self) -> None:
        """VM sizes that rules name outright are looked up now, and not when their jobs are ready, hours later."""
        for rule in {job.rule for job in self.workflow.dag.needrun_jobs()}:
            size = rule.resources.get("az_vm_size")
            if size is None or size.is_evaluable() or not size.value:
                continue
            try:
                vm_sizes.vm_size(str(size.value))
            except vm_sizes.UnknownVmSize as e:
                raise SettingsError(f"Rule {rule.name}: {e} Set its resource az_vm_size.") from None

    # -- submission ------------------------------------------------------------------------------------------

    def run_jobs(self, jobs: list[JobExecutorInterface]) -> None:
        """Submits all jobs that are ready: grouped by pool, in collections of up to 100 tasks."""
        groups: dict[str, list[tuple[JobExecutorInterface, Task]]] = defaultdict(list)
        for job in jobs:
            self.run_job_pre(job)
            try:
                key = self._pool_key(job)
                groups[key].append((job, self._task(job, key)))
            except (SettingsError, vm_sizes.UnknownVmSize, vm_sizes.DoesNotFit) as e:
                self.report_job_error(AzBatchJob(job), msg=f"{e} ")
        for key, members in groups.items():
            self._submit(key, members)

    def run_job(self, job: JobExecutorInterface) -> None:
        self.run_jobs([job])

    def _submit(self, key: str, members: list[tuple[JobExecutorInterface, Task]]) -> None:
        try:
            queue = self._queue(key, sum(task.slots for _, task in members))
            rejected = {r.task_id: r for r in self.run.submit(queue, [task for _, task in members])}
        except WorkflowError as e:
            # Not one of these jobs is known to run, so the run ends here; the scheduler cancels and cleans up.
            raise WorkflowError(f"Submitting {len(members)} jobs failed: {e}") from None
        for job, task in members:
            info = AzBatchJob(job, external_jobid=task.id, queue=queue)
            if refusal := rejected.get(task.id):
                self.report_job_error(
                    info, msg=f"Azure Batch did not take the task ({refusal.code}: {refusal.message}). "
                )
            else:
                self.report_job_submission(info)
        self._poll_pause = 0.0

    @property
    def run(self) -> BatchRun:
        if self._run is None:
            now, lifetime = datetime.now(UTC), timedelta(hours=self.settings.sas_hours)
            environment = {
                **self.envvars(),
                **for_nodes(self.blob_account, now, lifetime, [self.source_prefix.partition("/")[0]]),
                **preflight.tagged_accounts(self.tagged_storage, now, lifetime),
            }
            self._run = BatchRun(
                id=self.run_id,
                batch=self.batch,
                sources=BlobSources(self.blob_account, self.source_prefix, self.run_id, self.sources),
                environment=environment,
                image=self.image,
                patience=timedelta(minutes=self.settings.node_timeout),
                say=self.logger.info,
                warn=self.logger.warning,
                now=lambda: datetime.now(UTC),
            )
            # For ends that Snakemake does not catch; after a shutdown there is nothing left to do.
            atexit.register(self._close)
            unfinished.append(self._close)
            hangup_as_interrupt()
        return self._run

    def _pool_key(self, job: JobExecutorInterface) -> str:
        """The VM size that the job asks for by the resource az_vm_size; empty for the run's own."""
        wanted = job.resources.get("az_vm_size") or ""
        if wanted and self.existing_pool:
            raise SettingsError(
                f"The rule asks for az_vm_size={wanted}, but with --az-batch-pool-id all jobs run in that pool."
            )
        name = str(wanted).lower()
        if name not in self._vms:
            self._vms[name] = vm_sizes.vm_size(str(wanted))
        return "" if self._vms[name] == self._vms[""] else name

    def _slots_per_node(self, key: str) -> int:
        if self.existing_pool:
            return self.existing_pool.slots
        vm = self._vms[key]
        wanted = self.settings.slots_per_node
        return vm_sizes.task_slots(vm) if wanted is None else min(wanted, vm_sizes.most_slots(vm))

    def _queue(self, key: str, slots: int) -> PoolQueue:
        if self.existing_pool:
            return self.run.join_queue(key, self.existing_pool.id)
        if queue := self.run.queues.get(key):
            return queue
        plan = PoolPlan(
            id=ids.derived_id(self.run_id, "pool", str(len(self.run.queues) + 1)),
            vm_size=self._vms[key].name,
            slots=self._slots_per_node(key),
            max_nodes=self.settings.nodes or DEFAULT_NODES,
            image=self.image,
            os_image=self.os_images.for_vm(self._vms[key]),
            metadata=(("snakemake-run", self.run_id),),
        )
        return self.run.open_queue(key, plan, nodes=plan.nodes_for(slots))

    def _task(self, job: JobExecutorInterface, key: str) -> Task:
        vm = self.existing_pool.vm if self.existing_pool else self._vms[key]
        per_node = self._slots_per_node(key)
        slots = _positive(job, "az_slots") or vm_sizes.slots_for(job.threads, _mem_mib(job), vm, per_node)
        if slots > per_node:
            # Batch would accept the task and never run it: https://github.com/Azure/Batch/issues/117
            raise SettingsError(
                f"The job needs {slots} task slots and a node of {vm.name} has {per_node}: lower az_slots, or set "
                "az_vm_size to a larger size."
            )
        minutes = _positive(job, "runtime")
        return Task(
            id=self._new_task_id(ids.task_id(job.name, job.jobid, job.attempt, _wildcards(job))),
            display_name=ids.display_name(job.name, _wildcards(job)),
            order=NodeOrder(
                tuple(self._node_args(job, vm, slots, per_node)), self.run.sources.name, self.sources.sha256
            ),
            slots=slots,
            runtime=timedelta(minutes=minutes) if minutes else None,
            retries=self.settings.task_retries,
        )

    def _new_task_id(self, wanted: str) -> str:
        """`wanted`, or a variant if the run used it before: Batch's answer that a task exists is taken for the
        echo of a repeated request."""
        task_id, n = wanted, 1
        while task_id.lower() in self._task_ids:
            n += 1
            task_id = ids.derived_id(wanted, str(n))
        self._task_ids.add(task_id.lower())
        return task_id

    @cached_property
    def _general_args(self) -> list[str]:
        """What is the same for all jobs."""
        text = self.workflow.spawned_job_args_factory.general_args(
            executor_common_settings=self.common_settings
        )
        return without(split_arguments(text), "--directory")

    def _node_args(
        self, job: JobExecutorInterface, vm: vm_sizes.VmSize, slots: int, per_node: int
    ) -> list[str]:
        """Arguments of the `snakemake` that runs this job on its node."""
        # Its slots' share of the node, and never less than the rule's own threads.
        cores = max(1, math.floor(vm.vcpus * slots / per_node))
        # RemoteExecutor's own version adds what is for shared file systems only.
        job_args = split_arguments(RealExecutor.get_job_args(self, job, cores=max(cores, job.threads)))
        argv = [
            "--snakefile",
            self.get_snakefile(),
            *without(job_args, "--target-jobs"),
            *target_arguments(job.get_target_spec()),
            # Nodes have their own working directory.
            *self._general_args,
            "--mode",
            self.get_exec_mode().item_to_choice(),
            # One job and its group: nothing for a solver to weigh.
            "--scheduler",
            "greedy",
            # Records of finished jobs are kept by the main process.
            "--drop-metadata",
        ]
        if self.output_cache and "--cache" not in argv:  # for all rules, which Snakemake writes as nothing
            argv.append("--cache")
        if not self.workflow.output_settings.verbose:
            argv += ["--quiet", "rules", "progress", "host"]
        return argv

    def envvars(self) -> dict[str, str]:
        """Variables for the tasks: those of --envvars and the workflow, of other storage providers, and of --cache.

        Blob Storage is reached with what `for_nodes` gives, so our own provider's settings, which may
        hold the account's key, stay here.
        """
        variables = self.workflow.spawned_job_args_factory.envvars()
        ours = {name: value for name, value in variables.items() if name not in NOT_FOR_NODES}
        return ours | self.output_cache

    # -- monitoring ------------------------------------------------------------------------------------------

    async def check_active_jobs(
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncGenerator[SubmittedJobInfo, None]:
        """One poll for all jobs, then one verdict for each job that ended."""
        if not active_jobs:
            return
        verdicts = await asyncio.to_thread(self.run.poll)
        # A task may end before its job is among the active ones: the verdict waits for it.
        self._verdicts.update((verdict.task_id, verdict) for verdict in verdicts)
        for job in active_jobs:
            verdict = self._verdicts.pop(job.external_jobid or "", None)
            if verdict is None:
                yield job
            elif verdict.success:
                self.report_job_success(job)
            else:
                await asyncio.to_thread(self._report_failure, job, verdict.reason)
        if verdicts:
            self._poll_pause = 0.0

    def _wait_thread(self) -> None:
        """The polling thread. Whatever ends it must reach the scheduler, or the run would wait for ever."""
        try:
            asyncio.run(self._wait_for_jobs())
        except Exception as e:  # noqa: BLE001
            if self.workflow.scheduler is not None:
                self.workflow.scheduler.executor_error_callback(e)

    def _report_failure(self, job: AzBatchJob, reason: str) -> None:
        assert job.queue is not None and job.external_jobid is not None
        logs = task_logs.fetch(self.run, job.queue, job.external_jobid, LOGS)
        # With --show-failed-logs, Snakemake shows all of them.
        shown = self.workflow.output_settings.show_failed_logs and "stderr.txt" in logs
        message = f"{reason} {'' if shown else task_logs.excerpt(logs)}"
        if job.job.is_group():
            # Snakemake prints no message with a group's error, only with a single job's.
            self.logger.error(f"Error in group {job.job.name}: {message}")
        self.report_job_error(job, msg=message, aux_logs=[str(path) for path in logs.values()])

    async def sleep(self) -> None:
        """Short pauses while jobs come and go, longer ones while nothing happens; a shutdown ends them."""
        longest = float(self.next_seconds_between_status_checks)
        self._poll_pause = min(longest, max(0.5, self._poll_pause * 1.4))
        await asyncio.to_thread(self._wake.wait, min(longest, self._poll_pause))

    # -- the end ---------------------------------------------------------------------------------------------

    def cancel_jobs(self, active_jobs: Iterable[SubmittedJobInfo]) -> None:
        """Deleting the Batch job, which `shutdown` does, ends its tasks: one request for all of them."""

    def shutdown(self) -> None:
        self._wake.set()
        try:
            super().shutdown()
        finally:
            self._close()

    def _close(self) -> None:
        """Deletes what the run made. That costs money as long as it exists, so a second Ctrl-C does not stop it."""
        if self._run is None:
            return
        with uninterrupted():
            for deleted in self._run.close():
                self.logger.info(f"Azure Batch: deleted the {deleted}.")
        atexit.unregister(self._close)
        if self._close in unfinished:
            unfinished.remove(self._close)
        self.batch.close()


def _positive(job: JobExecutorInterface, resource: str) -> int | None:
    """A resource that must be a number above zero, or None where the job does not have it."""
    value = job.resources.get(resource)
    if value is None or not isinstance(value, int | float) or isinstance(value, bool):
        if isinstance(value, str) and value.strip():
            raise SettingsError(f"The resource {resource}={value} must be a whole number.")
        return None
    return math.ceil(value) if value > 0 else None


def _mem_mib(job: JobExecutorInterface) -> int | None:
    """Snakemake's mem_mb are megabytes, VM sizes have mebibytes."""
    megabytes = _positive(job, "mem_mb")
    return None if megabytes is None else math.ceil(megabytes * 1_000_000 / 2**20)


def _wildcards(job: JobExecutorInterface) -> Mapping[str, str]:
    return getattr(job, "wildcards_dict", None) or {}
