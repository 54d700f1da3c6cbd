"""Where the last run of this workflow may have left something, as the command line says; looked at when the jobs are
known.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snakemake.azure.batch.account import BatchAccount
    from snakemake.azure.batch.recovery import LeftTask
    from snakemake.azure.blob.account import BlobAccount
    from snakemake.azure.blob.record import Record


@dataclass
class Place:
    """The accounts, the prefix (`CONTAINER[/PATH]`) and the image of the run to come."""

    batch: "BatchAccount"
    blobs: "BlobAccount"
    prefix: str
    image: str
    _left: "Left | None" = field(default=None, repr=False)

    def look(self, say: Callable[[str], None], wait: bool) -> "Left":
        """What the last run has left; looked for once. With `wait`, a lock that may be a dead client's is waited for.

        Raises
        ------
        RunLocked: the last run goes on, with `wait`.
        """
        from snakemake.azure.blob.record import RunLock

        if self._left is None:
            lock = RunLock(self.blobs, self.prefix, say)
            found = lock.wait() if wait else lock.read()
            record = found.record if found else None
            live = bool(found and found.locked and record and not record.client.is_gone)
            self._left = Left(record, live, self._tasks(record))
        return self._left

    def _tasks(self, record: "Record | None") -> "list[LeftTask]":
        from snakemake.azure.batch.client import Batch
        from snakemake.azure.batch.recovery import tasks_left

        if record is None or record.batch != self.batch.endpoint:
            return []
        batch = Batch(self.batch)
        try:
            return tasks_left(batch, [job for run in record.runs for job in run.jobs])
        finally:
            batch.close()


@dataclass(frozen=True)
class Left:
    """A run's record and its tasks; `live`: that run goes on."""

    record: "Record | None"
    live: bool
    tasks: "list[LeftTask]"


place: Place | None = None
"""None where jobs do not run on Azure Batch."""
