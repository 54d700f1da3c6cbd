"""From a Snakemake job to a Batch task: what the job asks for, and the command that runs it on a node."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property
from typing import Any

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.real import RealExecutor
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.settings import RemoteExecutionSettingsExecutorInterface

from snakemake.azure.batch import ids
from snakemake.azure.batch.placement import Demand, Place
from snakemake.azure.batch.pool_queue import PoolQueue
from snakemake.azure.batch.recovery import TaskMark
from snakemake.azure.batch.tasks import RETENTION, Task
from snakemake.azure.blob.account import NOT_FOR_NODES
from snakemake.azure.node import inputs
from snakemake.azure.node.arguments import split_arguments, target_arguments, without, without_value
from snakemake.azure.node.order import NodeOrder
from snakemake.azure.node.scratch import KEEP, KEEP_FAILED, PLACES
from snakemake.azure.settings import DEFAULT_SPOT_TRIES, SettingsError
from snakemake.azure.sources import SourceArchive
from snakemake.common.tbdstring import TBDString
from snakemake.executors.azure_batch_images import APPTAINER, JobImages
from snakemake.executors.azure_batch_takeover import mark
from snakemake.resources import Resource, Resources


@dataclass
class AzBatchJob(SubmittedJobInfo):
    """A Snakemake job that was submitted as a Batch task; `external_jobid` is the task's id, `submitted` when that was
    (UTC), `resent` how often it was sent again as another task because the service failed it, and `no_spot` whether it
    has lost its Spot nodes as often as it may."""

    queue: PoolQueue | None = None
    submitted: datetime | None = None
    resent: int = 0
    no_spot: bool = False


def demand(job: JobExecutorInterface) -> Demand:
    """What the job's resources ask for; raises SettingsError where one of ours is no number."""
    minutes = _positive(job, "runtime")
    disk_mib, disk_is_guess = _disk(job)
    return Demand(
        threads=job.threads,
        mem_mib=_mib(job, "mem_mb"),
        vm_size=str(_known(job, "az_vm_size") or ""),
        slots=_positive(job, "az_slots"),
        runtime=timedelta(minutes=minutes) if minutes else None,
        disk_mib=disk_mib,
        disk_is_guess=disk_is_guess,
        gpus=max(_positive(job, "gpu") or 0, _positive(job, "nvidia_gpu") or 0),
    )


def asked(job: JobExecutorInterface) -> dict[str, Any]:
    """What the job asks for, for the run's journal: in Snakemake's units, None for what it does not ask for.
    `computed` names what its rule works out by itself, by a function.
    """
    is_group = job.is_group()
    given = {} if is_group else job.rule.resources
    named = {"threads": "_cores", "mem_mb": "mem_mb", "disk_mb": "disk_mb", "runtime": "runtime"}
    return {
        "group": is_group,
        "attempt": job.attempt,
        "wildcards": dict(getattr(job, "wildcards_dict", None) or {}),
        "threads": job.threads,
        **{name: _known(job, name) for name in ("mem_mb", "disk_mb", "runtime")},
        "computed": [name for name, key in named.items() if key in given and _is_computed(given[key])],
    }


def _is_computed(resource: Resource) -> bool:
    """Whether a function in the rule says it, and no expression such as Snakemake's own defaults."""
    return resource.is_evaluable() and not isinstance(resource.raw, str)


@dataclass(frozen=True)
class SpotRules:
    """Which jobs go to Spot nodes. tries: how often one may begin there where its rule does not say it, 0 for none;
    remote: Snakemake's settings of --preemptible-rules and --preemptible-retries.
    """

    tries: int
    remote: RemoteExecutionSettingsExecutorInterface

    def tries_of(self, job: JobExecutorInterface) -> int:
        """How often the job, or each job of a group, may begin on Spot nodes."""
        return min(self._of_one(member) for member in (job.jobs if job.is_group() else [job]))

    def _of_one(self, job: JobExecutorInterface) -> int:
        asked = _known(job, "az_spot")
        if asked is not None:
            if not isinstance(asked, int | float) or asked < 0:
                raise SettingsError(
                    f"The resource az_spot={asked} must be a whole number, 0 for no Spot nodes."
                )
            return (self.tries or DEFAULT_SPOT_TRIES) if asked is True else int(asked)
        if self.remote.preemptible_rules.is_preemptible(job.rule.name):
            retries = self.remote.preemptible_retries
            return (self.tries or DEFAULT_SPOT_TRIES) if retries is None else retries + 1
        return self.tries


class TaskMaker:
    """Makes the tasks of one run. `place` is the `CONTAINER/BLOB` of `sources`, `retries` how often Batch itself runs a
    task again, `timeout` how long a task may run whose rule has no runtime (None: as long as it wants), `output_cache`
    the variables that --cache needs, `further` tells those that a task needs in place of the Batch job's, and `image`
    is the tasks', but for jobs to which `images` gives another. `keep_failed`: how long nodes stay for those that fail.
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
        images: JobImages,
        keep_failed: timedelta | None = None,
    ) -> None:
        self._executor = executor
        self._place = place
        self._sources = sources
        self._retries = retries
        self._timeout = timeout
        self._output_cache = output_cache
        self._further = further
        self._image = image
        self._images = images
        self._keep_failed = keep_failed
        self._ids: set[str] = set()

    def task(self, job: JobExecutorInterface, wanted: Demand, place: Place, spot_tries: int = 0) -> Task:
        wildcards = getattr(job, "wildcards_dict", None) or {}
        limit = wanted.runtime or self._timeout
        image = self._images.of(job)
        return Task(
            id=self._new_id(ids.task_id(job.name, job.jobid, job.attempt, wildcards)),
            display_name=ids.display_name(job.name, wildcards),
            order=NodeOrder(
                tuple(self._arguments(job, place, nested=self._images.nested and image is None)),
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
            spot_tries=spot_tries,
            environment={**self._further(), **self.mark(job).environment()},
            image=image,
            rule=job.name,
            asked=asked(job),
            retention=self._keep_failed or RETENTION,
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

    def _arguments(self, job: JobExecutorInterface, place: Place, nested: bool) -> list[str]:
        """Arguments of the `snakemake` that runs this job on its node; `nested`: it may start containers in its own."""
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
        if "--shadow-prefix" not in argv:
            # Snakemake makes relative links in shadow directories, and a task's TMPDIR is behind a link.
            argv += ["--shadow-prefix", ".snakemake"]
        if self._output_cache and "--cache" not in argv:  # for all rules, which Snakemake writes as nothing
            argv.append("--cache")
        if not nested:
            argv = without_value(argv, "--deployment-method", APPTAINER)
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
        kept = {KEEP: ",".join(sorted(set(ours) & PLACES))} if set(ours) & PLACES else {}
        failed = {KEEP_FAILED: "1"} if self._keep_failed else {}
        return {**ours, **kept, **failed, **self._output_cache}


def _inputs(job: JobExecutorInterface) -> dict[str, str]:
    """What the task will compare, see `snakemake.azure.node.inputs`."""
    jobs = job.jobs if job.is_group() else [job]
    return {
        inputs.job_key(j.rule.name, j.wildcards_dict): inputs.summary(inputs.input_names(j.input))
        for j in jobs
    }


def _known(job: JobExecutorInterface, resource: str) -> object:
    """The resource's value, None where there is none, or not yet: it may be a function of input that is to be made."""
    value = job.resources.get(resource)
    return None if isinstance(value, TBDString) else value


def _positive(job: JobExecutorInterface, resource: str) -> int | None:
    """A resource that must be a number above zero, or None where the job does not have it, or not yet."""
    value = _known(job, resource)
    if value is None or not isinstance(value, int | float) or isinstance(value, bool):
        if isinstance(value, str) and value.strip():
            raise SettingsError(f"The resource {resource}={value} must be a whole number.")
        return None
    return math.ceil(value) if value > 0 else None


def _mib(job: JobExecutorInterface, resource: str) -> int | None:
    """Snakemake's mem_mb and disk_mb are megabytes, VM sizes have mebibytes."""
    megabytes = _positive(job, resource)
    return None if megabytes is None else math.ceil(megabytes * 1_000_000 / 2**20)


def _disk(job: JobExecutorInterface) -> tuple[int | None, bool]:
    """The disk that the job asks for in MiB, and whether that is a guess: nobody has said it, and Snakemake's default
    is twice the job's input. Its default for jobs without input, and that of a group, say nothing.
    """
    rules = {j.rule for j in (job.jobs if job.is_group() else [job])}
    asked = [rule.resources["disk_mb"].raw for rule in rules if "disk_mb" in rule.resources]
    is_guess = all(raw == _default_disk() for raw in asked)
    if is_guess and (job.is_group() or not job.input):
        return None, True
    return _mib(job, "disk_mb"), is_guess


@cache
def _default_disk() -> object:
    return Resources.default("full")["disk_mb"].raw
