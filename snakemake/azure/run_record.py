"""A run's own record while it goes on: in storage, where it is the run's lock, and a copy in the working directory."""

import threading
from dataclasses import replace
from pathlib import Path

from snakemake.azure.batch.run_settings import Made
from snakemake.azure.blob.record import LockLost, Record, RunLock, RunMade
from snakemake.azure.process import Process

LOCAL = Path(".snakemake") / "azure_batch" / "run.json"


class RunRecord:
    """The record of the run `run_id`, whose Batch account is at `batch`; `local` is the copy's path."""

    def __init__(self, lock: RunLock, run_id: str, batch: str, local: Path = LOCAL) -> None:
        self.lock = lock
        self._id, self._batch, self._local = run_id, batch, local
        self._record: Record | None = None
        self._lost = False
        self._writing = threading.Lock()

    def begin(self) -> Record | None:
        """Takes the lock; the record that another run has left.

        Raises
        ------
        RunLocked: that run goes on.
        BlobError: storage could not be asked.
        """
        record = Record(Process.current(), self._batch, (RunMade(self._id),))
        before = self.lock.acquire(record)
        self._record = replace(record, runs=(*record.runs, *(before.runs if before else ())))
        self._copy()
        return before

    def note(self, made: Made) -> None:
        """Writes down what the run has made, or is about to make.

        Raises
        ------
        LockLost: another run has the prefix by now.
        """
        with self._writing:
            assert self._record is not None
            sources = next(iter(made.made("source archive")), "").removeprefix("az://")
            state = RunMade(made.id, made.made("pool"), made.jobs(), sources)
            self._record = self._record.with_run(state)
            self.lock.write(self._record)
            self._copy()

    def renew(self) -> None:
        """Raises LockLost where another run has the prefix by now."""
        try:
            self.lock.renew()
        except LockLost:
            self._lost = True
            raise

    @property
    def lost(self) -> bool:
        """Whether another run has all that there is."""
        return self._lost

    def detach(self) -> None:
        """Leaves all to the next run, and the lock to whoever comes."""
        with self._writing:
            if self._record is not None and not self._lost:
                self._record = replace(self._record, detached=True)
                self.lock.write(self._record)
                self._copy()
            self.lock.release(delete=False)

    def end(self, all_gone: bool = True) -> None:
        """The run is over. What could not be deleted stays noted, for the next run."""
        with self._writing:
            self.lock.release(delete=all_gone)
            if all_gone and self._record is not None and not self._lost:
                self._local.unlink(missing_ok=True)
            self._record = None

    def _copy(self) -> None:
        assert self._record is not None
        self._local.parent.mkdir(parents=True, exist_ok=True)
        self._local.write_bytes(self._record.to_json())
