"""What a run's nodes may cost (`--az-batch-max-cost`), and how the run ends when that is reached: nothing begins any
more, what runs comes to its end, and one sentence says what was spent and what is left to do.

How many nodes the rest pays for is decided in `snakemake.azure.batch.budget`, at each look of the lease's thread; here
is what follows for jobs.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.batch.budget import Budget
from snakemake.azure.batch.draining import Draining
from snakemake.azure.batch.placement import Place
from snakemake.azure.batch.prices import Prices
from snakemake.azure.batch.run import BatchRun
from snakemake.azure.batch.targets import NodePrices
from snakemake.azure.batch.vm_sizes import vm_size
from snakemake.azure.report.journal import Journal
from snakemake.azure.report.meter import Meter
from snakemake.azure.report.summary import amount, number
from snakemake.azure.settings import ExecutorSettings, SettingsError


class MaxCostReached(WorkflowError):
    """The nodes have cost what they may, and jobs are left."""


def budget_of(settings: ExecutorSettings, prices: Prices, meter: Meter) -> Budget | None:
    """That of --az-batch-max-cost, if it is given; nodes of failed jobs that are kept are in it."""
    if settings.max_cost is None:
        return None

    def of_size(name: str) -> NodePrices:
        vm = vm_size(name)
        return NodePrices(prices.of(vm), prices.of(vm, spot=True))

    return Budget(settings.max_cost, of_size, meter, timedelta(minutes=settings.keep_failed or 0))


def check_pays(settings: ExecutorSettings, prices: Prices, place: Place) -> None:
    """
    Raises
    ------
    SettingsError: the amount is not enough to begin with a node of the place.
    """
    budget = budget_of(settings, prices, Meter())
    if budget is None:
        return
    source, currency = prices.origin(place.vm)
    price = prices.of(place.vm, place.spot)
    if not budget.pays_for(price):
        least = f"{budget.hold.total_seconds() / 60:.1f} minutes"
        raise SettingsError(
            f"--az-batch-max-cost {budget.amount:g} does not pay for one node of {place.vm.name} "
            f"({_money(price, currency)} an hour by {source}) for {least}, the least for which nodes are asked for: "
            "give more, or set --az-batch-vm-size to a cheaper size."
        )


def _money(value: float, currency: str) -> str:
    return f"{number(value)} {currency}".rstrip()


class MaxCost:
    """For `workflow` (Snakemake's); `budget` is None where there is none. Prices and spending are those of `meter`."""

    def __init__(
        self,
        workflow: Any,
        budget: Budget | None,
        meter: Meter,
        journal: Journal,
        now: Callable[[], datetime],
        warn: Callable[[str], None],
    ) -> None:
        self._workflow, self._budget, self._meter = workflow, budget, meter
        self._journal, self._now, self._warn = journal, now, warn
        self._held: list[Any] = []
        self._draining: Draining | None = None

    @property
    def is_reached(self) -> bool:
        return self._budget is not None and self._budget.is_reached

    def hold(self, jobs: Iterable[Any]) -> None:
        """Jobs that are ready and are not begun, once the amount is reached."""
        self._held += jobs

    def look(self, run: BatchRun) -> None:
        """Once the amount is reached, sees to it that nothing begins; to be called before each poll."""
        if not self.is_reached:
            return
        if self._draining is None:
            self._draining = Draining(run.batch, run.queues)
            running = self._draining.look()
            self._tell(running)
        else:
            self._draining.look()

    def check(self, run: BatchRun) -> None:
        """
        Raises
        ------
        MaxCostReached: nothing runs any more, and jobs are left.
        """
        if self._draining is None or not self._draining.is_over or not (self._held or run.open_tasks):
            return
        scheduler = self._workflow.scheduler
        if any(job.is_local for job in list(scheduler.running if scheduler else ())):
            return
        dag = self._workflow.dag
        left = sum(not dag.finished(job) for job in dag.needrun_jobs())
        raise MaxCostReached(
            f"Azure Batch: --az-batch-max-cost {self._amount} is reached: the nodes have cost about {self._spent()}; "
            f"{left} of {len(dag)} jobs are left to do. Run again with another amount to go on with them."
        )

    def _tell(self, running: int) -> None:
        assert self._budget is not None
        money = self._meter.money(self._now())
        self._journal.note(
            "max_cost_reached",
            amount=self._budget.amount,
            spent=sum(money.values()),
            currency=self._currency,
        )
        self._warn(
            f"Azure Batch: --az-batch-max-cost {self._amount} does not pay for more: the nodes have cost about "
            f"{self._spent()}. No job begins any more; {running} that run come to their end."
        )

    @property
    def _currency(self) -> str:
        return next((pool.currency for pool in list(self._meter.pools.values()) if pool.currency), "")

    @property
    def _amount(self) -> str:
        assert self._budget is not None
        return f"{self._budget.amount:g} {self._currency}".rstrip()

    def _spent(self) -> str:
        money = self._meter.money(self._now()) or {self._currency: 0.0}
        by = " and ".join(self._meter.sources)
        return amount(money) + (f" by {by}" if by else "")
