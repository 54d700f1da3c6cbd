"""What a dry run says that a run would need (`snakemake.azure.report.estimate`): here, the DAG becomes jobs that have
places. A rule's jobs all go where its first one does."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.batch.placement import Placement
from snakemake.azure.batch.targets import NodePrices
from snakemake.azure.preflight.account import prices as list_prices
from snakemake.azure.report.estimate import Place, PlannedJob, estimate, sentences
from snakemake.azure.report.history import history
from snakemake.azure.report.journal import HOME
from snakemake.azure.settings import DEFAULT_NODES, ExecutorSettings, endpoint, resolve
from snakemake.executors.azure_batch_jobs import is_here
from snakemake.executors.azure_batch_tasks import SpotRules, demand


def tell(workflow: Any, given: ExecutorSettings | None, say: Callable[[str], None]) -> None:
    """Says it; nothing where the nodes are somebody else's, or nothing is to run on any. What goes wrong here is no
    reason not to run."""
    settings = resolve(given or ExecutorSettings())
    if settings.pool_id is not None:
        return
    try:
        known = history(Path.cwd() / HOME)
        jobs, places = _Planner(workflow, settings).plan()
        if places:
            for sentence in sentences(estimate(jobs, places, known), known, settings.max_cost):
                say(sentence)
    except Exception as e:  # noqa: BLE001
        say(f"Azure Batch: no estimate could be made ({type(e).__name__}: {e}).")


class _Planner:
    def __init__(self, workflow: Any, settings: ExecutorSettings) -> None:
        self._workflow, self._dag = workflow, workflow.dag
        self._prices = list_prices(settings, endpoint(settings.account_url or ""))
        self._placement = Placement(settings, None, prices=self._prices)
        self._spot = SpotRules(settings.spot or 0, workflow.remote_execution_settings)
        self._most = settings.nodes or DEFAULT_NODES
        self._places: dict[str, Place] = {}
        self._rules: dict[str, tuple[str | None, int, float | None]] = {}

    def plan(self) -> tuple[list[PlannedJob], dict[str, Place]]:
        """The jobs that are to run, groups as one, and their places."""
        dag = self._dag
        jobs = list(dag.needrun_jobs(exclude_finished=False))
        units = {job: dag.get_job_group(job) or job for job in jobs}
        numbers = {unit: number for number, unit in enumerate(dict.fromkeys(units.values()))}
        after: list[set[int]] = [set() for _ in numbers]
        for job, unit in units.items():
            number = numbers[unit]
            after[number].update(numbers[units[one]] for one in dag.dependencies[job] if one in units)
            after[number].discard(number)
        return [self._planned(unit, after[number]) for unit, number in numbers.items()], self._places

    def _planned(self, unit: Any, after: Iterable[int]) -> PlannedJob:
        name = unit.name
        if not unit.is_group() and unit.rule.norun:
            return PlannedJob("", None, after=tuple(after))
        if name not in self._rules:
            self._rules[name] = self._of_rule(unit)
        place, slots, runtime = self._rules[name]
        return PlannedJob(name, place, slots, runtime, tuple(after))

    def _of_rule(self, unit: Any) -> tuple[str | None, int, float | None]:
        """The key of the place, slots there, and a runtime in seconds, of a job of this rule or a group."""
        if not unit.is_group() and is_here(self._workflow, unit):
            return None, 1, None
        try:
            wanted = replace(demand(unit), spot=self._spot.tries_of(unit) > 0)
            place = self._placement.take(wanted)
        except (WorkflowError, OSError):
            return None, 1, None  # what can't be told yet
        vm = place.vm
        source, currency = self._prices.origin(vm)
        self._places[place.key] = Place(
            vm.name,
            place.slots_per_node,
            self._most,
            NodePrices(self._prices.of(vm), self._prices.of(vm, spot=True)),
            place.spot,
            source,
            currency,
            self._prices.is_known(vm, place.spot),
        )
        return place.key, place.slots, wanted.runtime.total_seconds() if wanted.runtime else None
