"""The beginning and the end of a run on its prefix.

At the beginning it takes the prefix's lock, which the renewals keep from then on, with the leases of pools, and deletes
what earlier runs could not. At its end, however that comes, all that it has made is deleted; or left to the next run
with `--az-batch-on-exit detach`, or to another run that has the prefix by now.
"""

import atexit
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from snakemake.azure import retry, signals
from snakemake.azure.batch import orphans
from snakemake.azure.batch.kept_nodes import is_kept, is_kept_with_its_pool
from snakemake.azure.batch.lease import PoolLeases, Renewals
from snakemake.azure.batch.node_removal import NodeRemovals, NodeRemover
from snakemake.azure.batch.resources import JOB, POLICY, POOL, SOURCES, TOKEN
from snakemake.azure.batch.run import BatchRun
from snakemake.azure.batch.warm_pools import is_warm
from snakemake.azure.blob.node_access import revoke
from snakemake.azure.blob.record import LEASE as LOCK_LASTS
from snakemake.azure.blob.record import LockLost, Record
from snakemake.azure.blob.stored_logs import StoredLogs
from snakemake.azure.run_record import RunRecord
from snakemake.azure.signals import unfinished, uninterrupted
from snakemake.azure.sources import delete_blob
from snakemake.executors.azure_batch_checks import Checked
from snakemake.executors.azure_batch_journal import RunJournal

LEASE_PATIENCE = 300.0
"""Seconds that a pool is waited for which has no lease, as nodes are being removed from it."""


class Lifecycle:
    """run: the Azure side, None as long as there is none; lost: called when another run has taken the prefix; home:
    where notes of what could not be deleted are; journal: that of the run; ending: called when it ends."""

    def __init__(
        self,
        checked: Checked,
        record: RunRecord,
        leases: PoolLeases,
        removals: NodeRemovals,
        home: Path,
        logger: Any,
        run: Callable[[], BatchRun | None],
        lost: Callable[[Exception], None],
        journal: RunJournal,
        ending: Callable[[], None] = lambda: None,
    ) -> None:
        self._checked, self._record, self._home, self._logger = checked, record, home, logger
        self._run, self._journal, self._ending = run, journal, ending
        now = checked.batch.clock.now
        self._remover = NodeRemover(checked.batch, removals, leases, now, journal.journal)
        self.renewals = Renewals(
            checked.batch,
            leases,
            now=now,
            jobs=self._job_ids,
            renew_lock=record.renew,
            lock_every=LOCK_LASTS / 3,
            fatal=LockLost,
            lost=lost,
            say=logger.info,
            journal=journal.journal,
            remove_nodes=self._remover.step,
        )
        self._leaving = threading.Lock()
        self._is_over = False

    def begin(self) -> Record | None:
        """Makes sure that no other run has the prefix; what the last one has left there.

        Raises
        ------
        RunLocked: another run has it.
        BlobError: storage could not be asked.
        """
        # For ends that Snakemake does not catch; after a shutdown there is nothing left to do.
        atexit.register(self.end)
        unfinished.append(self.end)
        signals.listen()
        before = self._record.begin()
        self._journal.begin(before)
        self.renewals.start()
        # Before the takeover: what is being deleted is not taken over.
        self._delete_orphans()
        return before

    def note_left(self, left: Sequence[tuple[str, str]]) -> None:
        """Notes what can't be deleted now, as pairs of kind and name, for the next run in this directory."""
        orphans.note(self._checked.run_id, self._endpoints(), left, self._home)

    def end(self) -> None:
        """Deletes what the run made. That costs money as long as it exists, so that no signal stops it. Two threads may
        call it at once (`snakemake.azure.signals`)."""
        with uninterrupted():
            self._ending()
            self._leave()
        atexit.unregister(self.end)
        with suppress(ValueError):
            unfinished.remove(self.end)

    def _leave(self) -> None:
        with self._leaving:
            if self._is_over:
                return
            if self._record.lost:
                self._logger.warning(
                    "Azure Batch: what this run has made is another run's now, and is not deleted."
                )
                self._record.end()
                self._journal.end("lost")
            elif self._checked.settings.on_exit == "detach" and signals.stopping.is_set():
                self._detach()
            else:
                self._delete_all()
            self.renewals.stop()
            self._is_over = True

    def _delete_all(self) -> None:
        run = self._run()
        for deleted in run.close() if run else ():
            self._logger.info(f"Azure Batch: deleted the {deleted}.")
        self._record.end(all_gone=not (run and run.left))
        if run and (stays := run.kept_nodes.stays()):
            self._tell_what_stays(stays, run.left)
        self._journal.end("interrupted" if signals.stopping.is_set() else "finished")

    def _tell_what_stays(
        self, stays: Sequence[tuple[str, str, str]], left: Sequence[tuple[str, str]]
    ) -> None:
        """Pools with the node of a failed task, which end by themselves; the next run here deletes what is left."""
        ids = [*((POOL, pool) for pool, _, _ in stays), *((JOB, job) for _, job, _ in stays)]
        self.note_left([*left, *dict.fromkeys(ids)])
        for pool, job, until in stays:
            self._logger.warning(
                f"Azure Batch: the pool {pool} stays until {until} for the failed task on its node, and has no nodes "
                f"after that; the next run in this directory deletes it, or you do: az batch pool delete --pool-id "
                f"{pool} --yes, az batch job delete --job-id {job} --yes"
            )

    def _detach(self) -> None:
        if left := self._remover.finish(LEASE_PATIENCE):
            self._logger.warning(
                f"Azure Batch: without this client, nothing ends the nodes of {', '.join(left)}, whose broken nodes "
                "are just being removed: start the next run soon, or snakemake --az-batch-sweep delete."
            )
        self._record.detach()
        self._journal.end("detached")
        minutes, prefix = self._checked.settings.lease, self._checked.source_prefix
        self._logger.info(
            f"Azure Batch: the tasks go on without this client, and the nodes for {minutes} minutes; the next run "
            f"on az://{prefix} takes them over."
        )

    def _job_ids(self) -> Sequence[str]:
        run = self._run()
        return run.job_ids() if run else ()

    def _endpoints(self) -> orphans.Account:
        return orphans.Account(self._checked.batch.account.endpoint, self._checked.blob_account.url)

    def _delete_orphans(self) -> None:
        """What an earlier run in this directory could not delete; it is no reason to wait."""
        batch, account = self._checked.batch, self._checked.blob_account
        deleters = {
            # A pool that stays may be another run's by now, and ends by its lease.
            POOL: lambda name: (
                None if is_kept(batch, name) else not is_warm(name) and batch.delete_pool(name)
            ),
            JOB: lambda name: None if is_kept_with_its_pool(batch, name) else batch.delete_job(name),
            SOURCES: lambda name: delete_blob(account, name.removeprefix("az://")),
            "logs of tasks": lambda name: StoredLogs(account, name.removeprefix("az://")).delete(),
            TOKEN: lambda name: delete_blob(account, name.removeprefix("az://")),
            POLICY: lambda run: revoke(account, self._checked.source_prefix.partition("/")[0], run),
        }
        with retry.process.no_longer_than(30):
            orphans.delete(self._endpoints(), deleters, self._logger.info, self._logger.warning, self._home)
