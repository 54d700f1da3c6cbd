"""From a Snakemake job to a Batch task: what the job asks for, and the command that runs it on a node."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.real import RealExecutor
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

from snakemake.azure.batch import ids
from snakemake.azure.batch.placement import Demand, Place
from snakemake.azure.batch.recovery import TaskMark
from snakemake.azure.batch.run import PoolQueue
from snakemake.azure.batch.tasks import Task
from snakemake.azure.blob.account import NOT_FOR_NODES
from snakemake.azure.node import inputs
from snakemake.azure.node.arguments import split_arguments, target_arguments, without
from snakemake.azure.node.order import NodeOrder
from snakemake.azure.settings import SettingsError
from snakemake.azure.sources import SourceArchive
from snakemake.executors.azure_batch_takeover import mark


@dataclass
class AzBatchJob(SubmittedJobInfo):
    """A Snakemake job that was submitted as a Batch task; `external_jobid` is the task's id, `submitted` when that was
    (UTC), and `resent` how often it was sent again as another task because the service failed it."""

    queue: PoolQueue | None = None
    submitted: datetime | None = None
    resent: int = 0


def demand(job: JobExecutorInterface) -> Demand:
    """What the job's resources ask for; raises SettingsError where one of ours is no number."""
    minutes = _positive(job, "runtime")
    return Demand(
        threads=job.threads,
        mem_mib=_mem_mib(job),
        vm_size=str(job.resources.get("az_vm_size") or ""),
        slots=_positive(job, "az_slots"),
        runtime=timedelta(minutes=minutes) if minutes else None,
    )


class TaskMaker:
    """Makes the tasks of one run. `place` is the `CONTAINER/BLOB` of `sources`, `retries` how often Batch itself runs a
    task again, `timeout` how long a task may run whose rule has no runtime (None: as long as it wants), `output_cache`
    the variables that --cache needs, `further` tells those that a task needs in place of the Batch job's, and `image`
    is the tasks'.
    """

    def __init__(
        self,
        executor: RemoteExecutor,
        place: str,
        sources: SourceArchive,
        retries: int,
        timeout: timedelta | None,
        output_cache: Mapping[str, str],
        further: Callable[[], Mapping[str, str]],
        image: str,
    ) -> None:
        self._executor = executor
        self._place = place
        self._sources = sources
        self._retries = retries
        self._timeout = timeout
        self._output_cache = output_cache
        self._further = further
        self._image = image
        self._ids: set[str] = set()

    def task(self, job: JobExecutorInterface, wanted: Demand, place: Place) -> Task:
        wildcards = getattr(job, "wildcards_dict", None) or {}
        limit = wanted.runtime or self._timeout
        return Task(
            id=self._new_id(ids.task_id(job.name, job.jobid, job.attempt, wildcards)),
            display_name=ids.display_name(job.name, wildcards),
            order=NodeOrder(
                tuple(self._arguments(job, place)),
                self._place,
                self._sources.sha256,
                self._sources.files,
                limit.total_seconds() if limit else None,
                inputs=_inputs(job),
                precommand=self._executor.workflow.remote_execution_settings.precommand or "",
            ),
            slots=place.slots,
            runtime=limit,
            retries=self._retries,
            environment={**self._further(), **self.mark(job).environment()},
            rule=job.name,
        )

    def mark(self, job: JobExecutorInterface) -> TaskMark:
        """What the job's task says of it, for a run that takes it over."""
        return mark(job, self._image, lambda: self._sources.sha256)

    def taken(self, task_id: str) -> None:
        """An id that a task has which was taken over."""
        self._ids.add(task_id.lower())

    def _new_id(self, wanted: str) -> str:
        """`wanted`, or a variant if the run used it before: Batch's answer that a task exists is taken for the
        echo of a repeated request."""
        task_id, n = wanted, 1
        while task_id.lower() in self._ids:
            n += 1
            task_id = ids.derived_id(wanted, str(n))
        self._ids.add(task_id.lower())
        return task_id

    @cached_property
    def _general_arguments(self) -> list[str]:
        """What is the same for all jobs."""
        executor = self._executor
        text = executor.workflow.spawned_job_args_factory.general_args(
            executor_common_settings=executor.common_settings
        )
        return without(split_arguments(text), "--directory")

    def _arguments(self, job: JobExecutorInterface, place: Place) -> list[str]:
        """Arguments of the `snakemake` that runs this job on its node."""
        executor, workflow = self._executor, self._executor.workflow
        # The share of the node, and never less than the rule's own threads. RemoteExecutor's own version adds what
        # is for shared file systems only.
        job_args = split_arguments(RealExecutor.get_job_args(executor, job, cores=self._cores(job, place)))
        argv = [
            "--snakefile",
            executor.get_snakefile(),
            *without(job_args, "--target-jobs"),
            *target_arguments(job.get_target_spec()),
            # Nodes have their own working directory.
            *self._general_arguments,
            "--mode",
            executor.get_exec_mode().item_to_choice(),
            # One job and its group: nothing for a solver to weigh.
            "--scheduler",
            "greedy",
            # Records of finished jobs are kept by the main process.
            "--drop-metadata",
        ]
        if self._output_cache and "--cache" not in argv:  # for all rules, which Snakemake writes as nothing
            argv.append("--cache")
        if not workflow.output_settings.verbose:
            argv += ["--quiet", "rules", "progress", "host"]
        return argv

    def _cores(self, job: JobExecutorInterface, place: Place) -> int:
        """Within --cores, if it was given: it bounds the threads of jobs here, and so it does in the task."""
        given = self._executor.workflow.resource_settings.cores
        cores = max(place.cores, job.threads)
        return max(job.threads, min(cores, given)) if given else cores

    def environment(self) -> dict[str, str]:
        """Variables for the tasks: those of --envvars and the workflow, of other storage providers, and of --cache.

        Blob Storage is reached with what `snakemake.azure.blob.node_access` gives, so our own provider's settings,
        which may hold the account's key, stay here.
        """
        variables = self._executor.workflow.spawned_job_args_factory.envvars()
        ours = {name: value for name, value in variables.items() if name not in NOT_FOR_NODES}
        return {**ours, **self._output_cache}


def _inputs(job: JobExecutorInterface) -> dict[str, str]:
    """What the task will compare, see `snakemake.azure.node.inputs`."""
    jobs = job.jobs if job.is_group() else [job]
    return {
        inputs.job_key(j.rule.name, j.wildcards_dict): inputs.summary(inputs.input_names(j.input))
        for j in jobs
    }


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
