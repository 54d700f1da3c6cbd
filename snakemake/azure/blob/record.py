"""A run's record beside its files in storage: who runs, and what that run has made; and the lock that it is.

`PREFIX/.snakemake-azbatch/run.json` is there while there is anything to find. The client that runs holds a lease on
the blob, which ends by itself some seconds after the client is gone.
https://learn.microsoft.com/rest/api/storageservices/lease-blob
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.blob.errors import error_code, explained
from snakemake.azure.blob.service import connect
from snakemake.azure.process import Process

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient

    from snakemake.azure.blob.account import BlobAccount

FOLDER = ".snakemake-azbatch"
LEASE = 30
"""Seconds that the lock outlives its client; from 15 to 60."""


class RunLocked(WorkflowError):
    """Another run has the prefix."""


class LockLost(WorkflowError):
    """Another run took the prefix over while this one could not renew its lock."""


@dataclass(frozen=True)
class RunMade:
    """What a run has, or may have, in Azure. `jobs` are ids of Batch jobs, each with the id of its pool; `pools` those
    of the run's own pools; `sources` is the archive's `CONTAINER/BLOB`, empty before there is one.
    """

    id: str
    pools: tuple[str, ...] = ()
    jobs: tuple[tuple[str, str], ...] = ()
    sources: str = ""


@dataclass(frozen=True)
class Record:
    """What `run.json` says: the client, its run first in `runs` and then those that it took over, and the URL of their
    Batch account. `detached`: the client has left the tasks to the next run.
    """

    client: Process
    batch: str
    runs: tuple[RunMade, ...] = field(default_factory=tuple)
    detached: bool = False

    def to_json(self) -> bytes:
        data = asdict(self) | {"version": 1, "client": self.client.to_json()}
        return json.dumps(data, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Record | None":
        """None for what is no record, such as one that was never written."""
        try:
            read = json.loads(data)
            runs = tuple(
                RunMade(
                    run["id"],
                    tuple(run["pools"]),
                    tuple((job, pool) for job, pool in run["jobs"]),
                    run["sources"],
                )
                for run in read["runs"]
            )
            return cls(Process.from_json(read["client"]), read["batch"], runs, bool(read["detached"]))
        except (ValueError, KeyError, TypeError):
            return None

    def with_run(self, run: RunMade) -> "Record":
        """This record with a newer state of its own run."""
        return replace(self, runs=(run, *(other for other in self.runs if other.id != run.id)))


@dataclass(frozen=True)
class Found:
    """A record as it lies in storage; `locked`: somebody holds its lease."""

    record: Record | None
    locked: bool


class RunLock:
    """The record of the prefix `CONTAINER[/PATH]`, and its lock. Methods raise BlobError; `held` needs no request."""

    def __init__(
        self,
        account: "BlobAccount",
        prefix: str,
        say: Callable[[str], None],
        pause: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.account = account
        self.prefix = prefix
        self._say = say
        self._pause = pause
        self._now = now
        self._lease = ""
        self._client: Process | None = None
        self._over = False

    @property
    def name(self) -> str:
        return record_name(self.prefix)

    @property
    def held(self) -> bool:
        return bool(self._lease)

    def read(self) -> Found | None:
        """What is there; None where there is nothing."""
        from azure.core.exceptions import ResourceNotFoundError

        with self._blob() as blob:
            try:
                download = blob.download_blob()
                locked = str(download.properties.lease.state).lower() == "leased"
                return Found(Record.from_json(download.readall()), locked)
            except ResourceNotFoundError:
                return None

    def wait(self) -> Found | None:
        """What is there, once no live run has it. A client that is certainly gone loses its lock at once; one of which
        nothing is known has the time to show itself.

        Raises
        ------
        RunLocked: a live run has it.
        """
        found = self.read()
        if found is None or not found.locked:
            return found
        client = found.record.client if found.record else None
        if client and client.is_gone:
            self._break()
            return self.read()
        if client and client.is_visible:
            raise self._refusal(found.record)
        self._say(
            f"Azure Batch: waiting up to {LEASE} seconds for the lock of a run that may be over"
            f"{f': {client}' if client else ''}."
        )
        end = self._now() + LEASE + 2
        while (found := self.read()) is not None and found.locked:
            if self._now() > end:
                raise self._refusal(found.record)
            self._pause(1)
        return found

    def acquire(self, record: Record) -> Record | None:
        """Takes the lock and writes the record, with the runs of the one that was there before, which it returns.

        Raises
        ------
        RunLocked: a live run has it.
        """
        self.wait()
        self._client, self._over = record.client, False
        with self._blob() as blob:
            self._create(blob, record)
            self._lease = self._take(blob)
        found = self.read()
        before = found.record if found and found.record and found.record.client != record.client else None
        self.write(replace(record, runs=(*record.runs, *before.runs)) if before else record)
        return before

    def _create(self, blob: "BlobClient", record: Record) -> None:
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        def put() -> None:
            with suppress(ResourceExistsError):
                blob.upload_blob(record.to_json(), overwrite=False)

        try:
            put()
        except ResourceNotFoundError as error:
            if error_code(error) != "ContainerNotFound":
                raise
            with suppress(ResourceExistsError), connect(self.account) as service:
                service.create_container(self.prefix.partition("/")[0])
            put()

    def _take(self, blob: "BlobClient") -> str:
        from azure.core.exceptions import HttpResponseError
        from azure.storage.blob import BlobLeaseClient

        lease = BlobLeaseClient(blob)
        try:
            lease.acquire(lease_duration=LEASE)
        except HttpResponseError as error:
            if error_code(error) != "LeaseAlreadyPresent":
                raise
            found = self.read()
            raise self._refusal(found.record if found else None) from None
        return str(lease.id)

    def write(self, record: Record) -> None:
        """Replaces the record; the lock must be held. Raises LockLost where another run has it by now."""
        from azure.storage.blob import BlobLeaseClient

        def put(blob: "BlobClient") -> None:
            blob.upload_blob(record.to_json(), overwrite=True, lease=BlobLeaseClient(blob, self._lease))

        self._while_held(put)

    def renew(self) -> None:
        """Raises LockLost where another run has it by now."""
        from azure.storage.blob import BlobLeaseClient

        if self._lease:
            self._while_held(lambda blob: BlobLeaseClient(blob, self._lease).renew())

    def _while_held(self, work: "Callable[[BlobClient], object]", is_last: bool = False) -> None:
        from azure.core.exceptions import HttpResponseError

        with self._blob() as blob, _ours(self.prefix):
            try:
                work(blob)
            except HttpResponseError as error:
                # What another thread gives back is not taken again.
                if not _is_lost(error) or self._over != is_last or not self._take_again(blob):
                    raise
                work(blob)

    def _take_again(self, blob: "BlobClient") -> bool:
        """Whether a lock that ran out, as in an outage, is this run's again: nobody has taken it meanwhile."""
        from azure.core.exceptions import HttpResponseError
        from azure.storage.blob import BlobLeaseClient

        lease = BlobLeaseClient(blob)
        try:
            lease.acquire(lease_duration=LEASE)
        except HttpResponseError as error:
            if error.status_code not in (404, 409):
                raise
            return False
        there = Record.from_json(blob.download_blob().readall())
        if there is None or there.client != self._client:
            lease.release()
            return False
        self._lease = str(lease.id)
        return True

    def release(self, delete: bool = True) -> None:
        """Gives the lock back, with the record or without it; where another run has it by now, nothing happens. Once
        more does no harm."""
        from azure.storage.blob import BlobLeaseClient

        def give(blob: "BlobClient") -> None:
            lease = BlobLeaseClient(blob, self._lease)
            if delete:
                blob.delete_blob(lease=lease)
            else:
                lease.release()

        if not self._lease:
            return
        self._over = True
        try:
            self._while_held(give, is_last=True)
        except LockLost:
            pass
        finally:
            self._lease = ""

    def remove(self) -> None:
        """Removes a record that nobody holds."""
        from azure.core.exceptions import ResourceNotFoundError

        with self._blob() as blob, suppress(ResourceNotFoundError):
            blob.delete_blob()

    def _break(self) -> None:
        from azure.core.exceptions import HttpResponseError
        from azure.storage.blob import BlobLeaseClient

        with self._blob() as blob:
            try:
                BlobLeaseClient(blob).break_lease(lease_break_period=0)
            except HttpResponseError as error:
                if error.status_code not in (404, 409):  # it went by itself
                    raise

    def _refusal(self, record: Record | None) -> RunLocked:
        who = f"{record.client}" if record else "a client that has not said who it is"
        run = f"the run {record.runs[0].id} of " if record and record.runs else ""
        return RunLocked(
            f"Another run uses az://{self.prefix}: {run}{who}. Wait until it has ended, stop it, or give another "
            "--default-storage-prefix."
        )

    def _blob(self) -> "AbstractContextManager[BlobClient]":
        return _blob(self.account, self.name)


def record_name(prefix: str) -> str:
    """`CONTAINER/BLOB` of the record of a prefix."""
    return f"{prefix}/{FOLDER}/run.json"


def _is_lost(error: Any) -> bool:
    return error_code(error) in (
        "LeaseIdMismatchWithLeaseOperation",
        "LeaseIdMismatchWithBlobOperation",
        "LeaseLost",
        "LeaseNotPresentWithBlobOperation",
        "LeaseNotPresentWithLeaseOperation",
        "LeaseIsBrokenAndCannotBeRenewed",
        "LeaseIsBreakingAndCannotBeAcquired",
    )


@contextmanager
def _blob(account: "BlobAccount", name: str) -> "Iterator[BlobClient]":
    """A client for one blob, `CONTAINER/BLOB`; what it could not do is one sentence."""
    container, _, blob = name.partition("/")
    with connect(account) as service, explained(account, f"az://{name}"):
        yield service.get_blob_client(container, blob)


@contextmanager
def _ours(prefix: str) -> "Iterator[None]":
    """Says that the lock is lost where that is what the service's refusal means."""
    from azure.core.exceptions import HttpResponseError

    try:
        yield
    except HttpResponseError as error:
        if error.status_code != 404 and not _is_lost(error):
            raise
        raise LockLost(
            f"Another run has taken over az://{prefix}, as this one could not renew its lock in time; this one ends, "
            "and leaves to the other what there is."
        ) from None
