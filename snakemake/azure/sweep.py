"""`snakemake --az-batch-sweep`: what runs that are over have left in a Batch account and beside the files of workflows.

Pools and Batch jobs name their run, and the record of it in storage, in their metadata. A run goes on while the lock of
its record is held. What is deleted is deleted under that lock, so that no run begins on it meanwhile.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.batch import kept_nodes, warm_pools
from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.lease import held_until
from snakemake.azure.blob import policies
from snakemake.azure.blob.errors import explained
from snakemake.azure.blob.record import FOLDER, Record, RunLock, RunLocked
from snakemake.azure.blob.service import connect
from snakemake.azure.process import Process

if TYPE_CHECKING:
    from snakemake.azure.blob.account import BlobAccount

RUN = "snakemake-run"
RECORD = "snakemake-record"
RECORD_NAME = "run.json"


@dataclass
class Leftover:
    """What a run has left. `prefix` is its `CONTAINER[/PATH]`, empty where it is unknown or in another storage account;
    `state` says whether the run is over; `node_hours` are those of the nodes that are there now.
    """

    run: str
    prefix: str = ""
    state: str = "unknown"
    since: datetime | None = None
    pools: list[str] = field(default_factory=list)
    unleased: set[str] = field(default_factory=set)
    """Pools that no formula sizes: the client has died, or is about to go on, while it removed a node."""
    kept: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    blobs: list[str] = field(default_factory=list)
    policies: list[str] = field(default_factory=list)
    """Containers with a stored access policy of the run."""
    nodes: int = 0
    node_hours: float = 0.0
    vm_sizes: set[str] = field(default_factory=set)

    @property
    def is_over(self) -> bool:
        return self.state == "over"

    def lines(self, now: datetime) -> list[str]:
        """For people."""
        age = f", {_hours(now - self.since)} old" if self.since else ""
        cost = (
            f", {self.nodes} nodes of {', '.join(sorted(self.vm_sizes))} for {self.node_hours:.1f} node-hours so far"
            if self.nodes
            else ""
        )
        stored = [f"of az://{container}" for container in self.policies]
        what = [
            ("pool", [*self.pools, *self.kept]),
            ("Batch job", self.jobs),
            ("blob", self.blobs),
            ("stored access policy", stored),
        ]
        return [
            f"{self.run} ({_STATES.get(self.state, self.state)}{age}{cost})",
            *(f"    {kind} {name}{self._lease(name)}" for kind, names in what for name in sorted(names)),
        ]

    def _lease(self, name: str) -> str:
        return ", which has no lease: its nodes stay until it is deleted" if name in self.unleased else ""


_STATES = {
    "over": "over",
    "kept": "for the next run that wants such a pool: not touched",
    "failed": "over; the node of a failed task is kept: not touched while that lasts",
    "live": "goes on: not touched",
    "detached": "detached, for the next run to take over: not touched while its lease lasts",
    "unknown": "not known to be over, as its record is not in this storage account: not touched",
}


def _hours(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


class Sweep:
    """Finds and deletes. `prefixes` (`CONTAINER[/PATH]`) are looked at besides those that pools and Batch jobs name."""

    def __init__(
        self,
        batch: Batch,
        blobs: "BlobAccount",
        prefixes: Iterable[str],
        say: Callable[[str], None],
    ) -> None:
        self._batch, self._blobs, self._say = batch, blobs, say
        self._prefixes = list(prefixes)
        self._found: dict[str, Leftover] = {}
        self._records: dict[str, str] = {}

    def find(self) -> list[Leftover]:
        """All that runs have left, and what belongs to those that go on. Raises BatchError or BlobError."""
        pools, jobs = self._batch.list_pools(), self._batch.list_jobs()
        leases: dict[str, datetime] = {}
        failed: set[str] = set()
        for pool in pools:
            self._note_kept(pool)
            if left := self._of(pool):
                if (until := kept_nodes.kept_until(pool)) and until > self._batch.clock.now():
                    failed.add(left.run)
                left.pools.append(pool.id)
                if pool.enable_auto_scale is False:
                    left.unleased.add(pool.id)
                self._count_nodes(left, pool)
                leases[left.run] = max(
                    held_until(pool.auto_scale_formula) or pool.creation_time,
                    leases.get(left.run, pool.creation_time),
                )
        for job in jobs:
            if left := self._of(job):
                left.jobs.append(job.id)
        for prefix in dict.fromkeys([*self._prefixes, *(p for p in self._records.values() if p)]):
            self._look_at(prefix, leases)
        for run in failed:
            self._found[run].state = "failed"
        return sorted(self._found.values(), key=lambda left: left.run)

    def _note_kept(self, pool: Any) -> None:
        """A pool that a run has left for the next one, which nobody has while this says so."""
        if until := warm_pools.kept_until(pool):
            left = self._found.setdefault(
                f"kept {pool.id}", Leftover(f"kept until {until:%Y-%m-%d %H:%M} UTC")
            )
            left.since, left.kept = pool.creation_time, [pool.id]
            left.state = "over" if until < self._batch.clock.now() else "kept"
            self._count_nodes(left, pool)

    def _delete_kept(self, name: str) -> None:
        pool = self._batch.get_pool(name)
        if warm_pools.kept_until(pool) is None or not self._batch.delete_unchanged(pool):
            raise WorkflowError("a run has just taken it")

    def _of(self, entity: Any) -> Leftover | None:
        named = {item.name: item.value for item in entity.metadata or []}
        if not (run := named.get(RUN)):
            return None
        left = self._found.setdefault(run, Leftover(run))
        left.since = min(filter(None, (left.since, entity.creation_time)))
        base = f"{self._blobs.url}/"
        url = named.get(RECORD, "")
        if url.startswith(base):
            left.prefix = url.removeprefix(base).removesuffix(f"/{FOLDER}/{RECORD_NAME}")
            self._records[run] = left.prefix
        return left

    def _count_nodes(self, left: Leftover, pool: Any) -> None:
        now = self._batch.clock.now()
        nodes = self._batch.list_nodes(pool.id)
        left.nodes += len(nodes)
        left.vm_sizes.add(pool.vm_size)
        times = [node.allocation_time or now for node in nodes]
        left.node_hours += sum(max(0.0, (now - time).total_seconds()) for time in times) / 3600

    def _look_at(self, prefix: str, leases: dict[str, datetime]) -> None:
        """Blobs of runs below the prefix, and whether a run has it."""
        found = RunLock(self._blobs, prefix, self._say).read()
        record = found.record if found else None
        live = bool(found and found.locked and not (record and record.client.is_gone))
        runs = {run.id for run in record.runs} if record else set()
        for run, blob in self._run_blobs(prefix):
            left = self._found.setdefault(run, Leftover(run, prefix))
            left.prefix = left.prefix or prefix
            left.blobs.append(f"az://{prefix.partition('/')[0]}/{blob.name}")
            left.since = min(filter(None, (left.since, blob.last_modified)))
        self._look_at_policies(prefix)
        for left in self._found.values():
            if left.prefix != prefix:
                continue
            lease = leases.get(left.run)
            leased = lease is not None and lease > self._batch.clock.now()
            left.state = "over"
            if left.run in runs and live:
                left.state = "live"
            elif left.run in runs and record and record.detached and leased:
                left.state = "detached"

    def _look_at_policies(self, prefix: str) -> None:
        """Those that runs have stored in the prefix's container. One that has nothing else may be of a run with another
        prefix, and is known to be over when its time is."""
        container = prefix.partition("/")[0]
        with connect(self._blobs) as service, explained(self._blobs, f"az://{container}"):
            found = policies.of_runs(service.get_container_client(container), self._batch.clock.now())
        for run, ended in found.items():
            left = self._found.setdefault(run, Leftover(run, state="over" if ended else "unknown"))
            if container not in left.policies:
                left.policies.append(container)

    def _run_blobs(self, prefix: str) -> list[tuple[str, Any]]:
        from azure.core.exceptions import ResourceNotFoundError

        container, _, path = prefix.partition("/")
        folder = f"{path}/{FOLDER}/" if path else f"{FOLDER}/"
        with connect(self._blobs) as service, explained(self._blobs, f"az://{prefix}"):
            try:
                blobs = list(service.get_container_client(container).list_blobs(name_starts_with=folder))
            except ResourceNotFoundError:
                return []
        inner = [(blob.name.removeprefix(folder).partition("/"), blob) for blob in blobs]
        return [(run, blob) for (run, slash, _), blob in inner if slash]

    def delete(self, found: Iterable[Leftover]) -> int:
        """Deletes what runs that are over have left, under the lock of their prefix; how many things could not be."""
        failed = 0
        by_prefix: dict[str, list[Leftover]] = {}
        for left in found:
            if left.is_over:
                by_prefix.setdefault(left.prefix, []).append(left)
        for prefix, runs in by_prefix.items():
            if not prefix:
                # Nothing that a run could begin on.
                failed += sum(self._delete(left) for left in runs)
                continue
            lock = RunLock(self._blobs, prefix, self._say)
            try:
                lock.acquire(Record(Process.current(), self._batch.account.endpoint))
            except RunLocked as error:
                self._say(f"Not touched: {error}")
                continue
            failed_here = sum(self._delete(left) for left in runs)
            lock.release(delete=not failed_here)
            failed += failed_here
        return failed

    def _delete(self, left: Leftover) -> int:
        failed = 0
        steps: list[tuple[str, str, Callable[[str], Any]]] = [
            *(("blob", name, self._delete_blob) for name in left.blobs),
            *(("Batch job", name, self._batch.delete_job) for name in left.jobs),
            *(("pool", name, self._batch.delete_pool) for name in left.pools),
            *(("pool", name, self._delete_kept) for name in left.kept),
            *(
                ("stored access policy", name, partial(self._delete_policy, left.run))
                for name in left.policies
            ),
        ]
        for kind, name, delete in steps:
            try:
                delete(name)
                self._say(f"Deleted the {kind} {name}.")
            except WorkflowError as error:
                failed += 1
                self._say(f"The {kind} {name} could not be deleted: {error}")
        return failed

    def _delete_policy(self, run: str, container: str) -> None:
        with connect(self._blobs) as service, explained(self._blobs, f"az://{container}"):
            try:
                policies.delete(service.get_container_client(container), run)
            except policies.NoRoom as error:
                raise WorkflowError(f"{error}.") from None

    def _delete_blob(self, name: str) -> None:
        from azure.core.exceptions import ResourceNotFoundError

        container, _, blob = name.removeprefix("az://").partition("/")
        with connect(self._blobs) as service, explained(self._blobs, name):
            try:
                service.get_blob_client(container, blob).delete_blob()
            except ResourceNotFoundError:
                return


def sweep(
    batch: Batch, blobs: "BlobAccount", prefixes: Iterable[str], delete: bool, say: Callable[[str], None]
) -> int:
    """Says what there is, and deletes it if told; the command's exit code."""
    work = Sweep(batch, blobs, prefixes, say)
    found = work.find()
    for left in found:
        for line in left.lines(batch.clock.now()):
            say(line)
    over = [left for left in found if left.is_over]
    if not found:
        say(f"No run has left anything in the Batch account {batch.account.name}.")
    if delete:
        return 1 if work.delete(over) else 0
    if over:
        say(
            f"{len(over)} of {len(found)} runs are over; --az-batch-sweep delete deletes what they have left."
        )
    return 0
