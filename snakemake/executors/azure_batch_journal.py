"""The journal of a run (`snakemake.azure.report.journal`): which file it is, what the executor alone can tell it, and
what is said of it at the end."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure import retry
from snakemake.azure.batch.pools import PoolPlan
from snakemake.azure.batch.recovery import LeftTask
from snakemake.azure.batch.vm_sizes import VmSize, vm_size
from snakemake.azure.blob.record import Record
from snakemake.azure.report.choice import read_journal
from snakemake.azure.report.costs import costs
from snakemake.azure.report.journal import HOME, Journal, JournalFile, of_runs, read
from snakemake.azure.report.summary import sentences
from snakemake.common import __version__
from snakemake.executors.azure_batch_checks import Checked
from snakemake.executors.azure_batch_tasks import asked


class RunJournal:
    """In `home`, an absolute path. Nothing is written before `begin`; nothing that fails here ends a run."""

    def __init__(self, home: Path, checked: Checked, logger: Any) -> None:
        self._home, self._checked, self._logger = home, checked, logger
        report = checked.settings.report
        self._report = report.absolute() if report else None
        self._file = JournalFile(home / f"{checked.run_id}.jsonl")
        self._pools: set[str] = set()
        self._has_begun = False
        self.journal = Journal(lambda line: self._file.append(line), checked.batch.clock.now, logger.warning)

    def begin(self, before: Record | None) -> None:
        """The run begins; on what `before` says that another one has left, it goes on in that one's file."""
        checked, runs = self._checked, [run.id for run in before.runs] if before else []
        with self.journal.guarded():
            if runs and (path := of_runs(self._home, runs)):
                self._file = JournalFile(path)
                self.journal.go_on(read(path))
            elif runs and checked.settings.max_cost is not None:
                self._logger.warning(
                    f"Azure Batch: the journal of the run {runs[0]} is not below this directory, so what it has spent "
                    "is not known, and is not taken off --az-batch-max-cost; its nodes that are still there are."
                )
        self._has_begun = True
        self.journal.note(
            "run",
            run=checked.run_id,
            account=checked.batch.account.endpoint,
            prefix=checked.source_prefix,
            workflow=Path.cwd().name,
            version=__version__,
            lease_minutes=checked.settings.lease,
        )
        retry.process.note = self.journal.note

    def pool(self, pool_id: str, vm: VmSize, slots: int, own: bool = True) -> None:
        """The pool is there, or about to be: what its nodes are, and what they cost now."""
        if pool_id in self._pools:
            return
        self._pools.add(pool_id)
        prices = self._checked.placement.prices
        source, currency = prices.origin(vm)
        is_listed = {False: prices.knows(vm), True: vm.name.lower() in prices.spot}
        dated = source if "as of" in source else f"{source}, as of {self._checked.batch.clock.now():%Y-%m-%d}"
        self.journal.note(
            "pool",
            pool=pool_id,
            vm_size=vm.name,
            vcpus=vm.vcpus,
            memory_mib=vm.memory_mib,
            slots=slots,
            own=own,
            price=prices.of(vm),
            spot_price=prices.of(vm, spot=True),
            price_kind="listed" if is_listed[False] else "estimated",
            spot_price_kind="listed" if is_listed[True] else "estimated",
            currency=currency,
            price_source=dated,
        )

    def took_over(self, plans: Iterable[PoolPlan], taken: Mapping[Any, LeftTask]) -> None:
        """Pools and tasks of another run, the tasks by the jobs that they are. Whatever that run has noted of them may
        be on another machine."""
        with self.journal.guarded():
            for plan in plans:
                self.pool(plan.id, vm_size(plan.vm_size), plan.slots)
            for job, task in taken.items():
                self.journal.note(
                    "submitted",
                    task=task.id,
                    rule=job.name,
                    batch_job=task.job_id,
                    pool=task.pool_id,
                    slots=task.slots,
                    **asked(job),
                )
                if task.verdict is not None:
                    self.journal.note("ended", **task.verdict.noted(task.pool_id))

    def end(self, how: str) -> None:
        """The run is over, or this client's part of it; says what it has cost. Nothing, where it has not begun."""
        if not self._has_begun:
            return
        self.journal.note("requests", services=retry.requests())
        self.journal.note("run_over", run=self._checked.run_id, how=how)
        with self.journal.guarded():
            for sentence in sentences(costs(read(self._file.path)), HOME / self._file.path.name):
                self._logger.info(sentence)
        self._write_report()

    def _write_report(self) -> None:
        if self._report is None:
            return
        from snakemake.azure.report.report_command import write

        try:
            write(read_journal(self._file.path), self._file.path, self._report)
        except WorkflowError as e:
            self._logger.warning(f"Azure Batch: {e}")
        else:
            self._logger.info(f"Azure Batch: the report is {self._report}.")
