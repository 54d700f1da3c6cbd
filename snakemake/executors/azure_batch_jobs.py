"""What the DAG tells of a run on Azure Batch before it begins, in a dry run too: jobs that no node can take, and parts
of the workflow that tasks have no use for."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.batch.placement import Placement
from snakemake.azure.batch.size_lists import sizes
from snakemake.azure.batch.vm_sizes import DoesNotFit, UnknownVmSize
from snakemake.azure.image.private_registry import private_registry
from snakemake.azure.preflight.account import prices as list_prices
from snakemake.azure.preflight.image import check_image, container_image
from snakemake.azure.settings import ExecutorSettings, SettingsError, endpoint, resolve
from snakemake.executors.azure_batch_images import JobImages
from snakemake.executors.azure_batch_inputs import check_inputs
from snakemake.executors.azure_batch_max_cost import check_pays
from snakemake.executors.azure_batch_needs import needs
from snakemake.executors.azure_batch_sources import check_sources
from snakemake.executors.azure_batch_tasks import SpotRules, demand
from snakemake.io import is_flagged

JOBS_OF_A_RULE = 100
"""So many jobs of a rule whose resources are functions are looked at: each evaluates them."""


def check_dag(workflow: Any, given: ExecutorSettings | None, warn: Callable[[str], None]) -> None:
    """
    Raises
    ------
    SettingsError: an option has no meaning here, or a job or a group fits no node.
    """
    settings = resolve(given or ExecutorSettings())
    _check_options(workflow)
    every = list(workflow.dag.needrun_jobs())
    elsewhere = [job for job in every if not _is_local_rule(workflow, job.rule)]
    jobs = [job for job in elsewhere if not _has_local_file(job)]
    _check_sizes({job.rule for job in jobs})
    check_inputs(workflow.dag, every)
    images = JobImages.of_run(workflow, settings)
    _check_images(images, workflow, jobs, warn)
    architectures = None
    if workflow.dryrun:  # a run looks at these when it packs the sources and pins the image
        check_sources(workflow, warn)
        image = container_image(settings, workflow.remote_execution_settings.container_image)
        rest = images.without_own(workflow.dag, jobs)
        _, architectures = check_image(
            settings,
            image,
            endpoint(settings.account_url),
            lambda: needs(workflow, rest),
            warn,
            private_registry(settings, image, os.environ),
        )
    if settings.pool_id is None:
        spot = SpotRules(settings.spot or 0, workflow.remote_execution_settings)
        prices = (
            {"prices": list_prices(settings, endpoint(settings.account_url))} if settings.max_cost else {}
        )
        placement = Placement(settings, None, architectures=architectures, **prices)
        _check_demands(placement, spot, _samples(workflow, jobs))
    _tell_of_local_files(filter(_has_local_file, elsewhere), warn)
    _tell_of_rules(jobs, warn)


def is_here(workflow: Any, job: Any) -> bool:
    """Whether the job runs on this machine."""
    return _is_local_rule(workflow, job.rule) or _has_local_file(job)


def _is_local_rule(workflow: Any, rule: Any) -> bool:
    """As Snakemake has it for runs on other machines; in a dry run it says that all jobs are local."""
    is_one = rule.name in workflow._localrules or rule.norun or rule.is_template_engine
    return rule.group is None and is_one


def _has_local_file(job: Any) -> bool:
    return any(is_flagged(file, "local") for file in [*job.input, *job.output])


def _check_options(workflow: Any) -> None:
    remote = workflow.remote_execution_settings
    if remote.immediate_submit:
        raise SettingsError(
            "--immediate-submit has no meaning on Azure Batch, where snakemake watches its tasks and then deletes the "
            "pool: leave it out."
        )
    if remote.jobscript is not None:
        raise SettingsError(
            "--jobscript has no meaning on Azure Batch, where no script is submitted: leave it out, and use "
            "--precommand for a shell command that comes before each job."
        )


def _check_sizes(rules: Iterable[Any]) -> None:
    """VM sizes that rules name outright are looked up now, and not when their jobs are ready, hours later."""
    for rule in rules:
        size = rule.resources.get("az_vm_size")
        if size is None or size.is_evaluable() or not size.value:
            continue
        try:
            sizes(str(size.value))
        except UnknownVmSize as e:
            raise SettingsError(f"Rule {rule.name}: {e} Set its resource az_vm_size.") from None


def _samples(workflow: Any, jobs: Iterable[Any]) -> list[tuple[str, Any]]:
    """Names and jobs to look at: all groups, one job of a rule with constant resources, some of one without."""
    found: dict[int, tuple[str, Any]] = {}
    count: dict[str, int] = defaultdict(int)
    for job in jobs:
        if group := workflow.dag.get_job_group(job):
            found[id(group)] = (f"Group {group.groupid}", group)
            continue
        count[job.rule.name] += 1
        constant = not any(resource.is_evaluable() for resource in job.rule.resources.values())
        if count[job.rule.name] <= (1 if constant else JOBS_OF_A_RULE):
            found[id(job)] = (f"Rule {job.rule.name}", job)
    return list(found.values())


def _check_demands(placement: Placement, spot: SpotRules, samples: Iterable[tuple[str, Any]]) -> None:
    for name, job in samples:
        try:
            wanted = replace(demand(job), spot=spot.tries_of(job) > 0)
        except SettingsError as e:
            raise SettingsError(f"{name}: {e}") from None
        except (WorkflowError, OSError):
            continue  # what cannot be evaluated yet is looked at when the job is ready
        try:
            check_pays(placement.settings, placement.prices, placement.place(wanted))
        except (SettingsError, UnknownVmSize, DoesNotFit) as e:
            raise SettingsError(f"{name}: {e}") from None


def _check_images(images: JobImages, workflow: Any, jobs: list[Any], warn: Callable[[str], None]) -> None:
    """Images of rules are looked up, and those that tasks cannot run in are told."""
    contained = [job for job in jobs if job.rule.container_img]
    images.look_up_all(contained)
    unused: dict[str, str] = {}
    for job in contained:
        group = workflow.dag.get_job_group(job)
        try:
            chosen = images.of(group or job)
        except SettingsError as e:
            raise SettingsError(
                f"{f'Group {group.groupid}' if group else f'Rule {job.rule.name}'}: {e}"
            ) from None
        if chosen is None and (why := images.unused(job)):
            unused.setdefault(job.rule.name, why)
    if unused and not images.nested:
        names = sorted(unused)
        warn(
            f"The container images of {_rules(names)} are not used ({unused[names[0]]}): all of their tasks run in the "
            "image of --container-image, which has to hold the software of these rules."
        )


def _tell_of_local_files(jobs: Iterable[Any], warn: Callable[[str], None]) -> None:
    if names := sorted({job.rule.name for job in jobs}):
        warn(
            f"Jobs of {_rules(names)} run on this machine, and not on Azure Batch: they have a file that is marked "
            "with local(...)."
        )


def _tell_of_rules(jobs: list[Any], warn: Callable[[str], None]) -> None:
    """What is no error, but not what it looks like."""
    rules = {job.rule.name: job.rule for job in jobs}
    full = sorted(name for name, rule in rules.items() if rule.shadow_depth in ("full", "shallow"))
    if full:
        warn(
            f"The shadow folders of {_rules(full)} hold what lies in a task's working directory, which are the "
            'workflow\'s sources: other files are in storage. Use shadow: "minimal", and list what the rule needs '
            "as its input."
        )
    for name in sorted(rules):
        if path := _literal(next(job for job in jobs if job.rule.name == name)):
            warn(
                f"The command of rule {name} names {path} itself: write {{input}} or {{output}} (or a parameter made "
                "from them) in its place, since in storage the file lies elsewhere while the job runs."
            )


def _rules(names: list[str]) -> str:
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"the rule{'s' if len(names) > 1 else ''} {shown}"


def _literal(job: Any) -> str | None:
    """A path of an input or output file that stands literally in the job's shell command."""
    command = job.rule.shellcmd
    if not command:
        return None
    for file in [*job.output, *job.input]:
        path = job.literal_path(file)
        # Whether it is there at all comes first: a rule may have thousands of files, each with its own expression.
        if not path or len(path) < 3 or path not in command:
            continue
        if re.search(rf"(?<![\w/.{{-]){re.escape(path)}(?![\w/-])", command):
            return str(path)
    return None
