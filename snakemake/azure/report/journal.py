"""The journal of a run: one file, one line an event, written as it happens.

`.snakemake/azure_batch/RUN.jsonl` has a JSON object a line, with `at` (UTC, the service's clock), `event`, and what
`EVENTS` says of it. Each line is one write to the end of the file, so that what a crash leaves is whole but for its
last line at most, which readers skip. A run that takes another one over goes on in that one's file, after a further
`run`.

Lines about nodes are what looks at a pool have shown, and only what is new: from them follows from when to when each
node was there, and of which price. Lines about tasks are those of the client (`submitted`), of the service (`ended`,
with the times by its clock), and of the node (`used`), which come when the run reads them, near its end: when inputs
were there, when the job ran, when its outputs were stored.

A journal only helps: what goes wrong here is said once, and ends no run.
"""

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from snakemake.azure.secrets import without_secrets
from snakemake.azure.wire import lower

HOME = Path(".snakemake") / "azure_batch"
"""Where journals are, below the working directory."""

EVENTS: Mapping[str, tuple[str, ...]] = {
    # A run begins, on this account; its pools end `lease_minutes` after it is heard of for the last time. `workflow`:
    # the name of its working directory.
    "run": ("run", "account", "prefix", "workflow", "version", "lease_minutes"),
    # How it ended: finished, interrupted, detached, or lost to another run.
    "run_over": ("run", "how"),
    # A pool, before it is made: vCPUs, memory in MiB and task slots of a node; its price an hour, dedicated and Spot
    # (null: not known), where that is from, and whether it is `listed` or `estimated`; `own`: whether the run pays it.
    "pool": (
        "pool", "vm_size", "vcpus", "memory_mib", "slots", "own",
        "price", "spot_price", "price_kind", "spot_price_kind", "currency", "price_source",
    ),
    # A node stays until then for a task that has failed on it.
    "kept": ("pool", "node", "task", "rule", "until"),
    # The pool has fewer nodes than it was asked for, for a reason that may pass: `why` in a word or two; "" when it has
    # got them.
    "pool_short": ("pool", "why"),
    # The service removes a node that is broken, so that another one can come: `why` it is.
    "node_removed": ("pool", "node", "why"),
    # The run has given the pool up: deleted, or kept for others.
    "pool_gone": ("pool", "how"),
    # So many nodes are wanted from now on.
    "size": ("pool", "dedicated", "spot"),
    # A node that is new, or in another state, or with other slots in use. `allocated`: when it came; `since`: when it
    # came into its state, see https://learn.microsoft.com/rest/api/batchservice/nodes/list-nodes#batchnodestate
    "node": ("pool", "node", "state", "spot", "allocated", "since", "used_slots"),
    # A look does not show it any more; `seen`: the last one that did.
    "node_gone": ("pool", "node", "seen"),
    # A task, with what its job asked for (null: nothing), and `computed`: what of that the rule works out by itself.
    "submitted": (
        "task", "rule", "batch_job", "pool", "slots", "group", "attempt", "wildcards",
        "threads", "mem_mb", "disk_mb", "runtime", "computed",
    ),
    # By the service: where and from when to when it ran (its last time); `why` it failed, and whether by its node's or
    # the service's fault.
    "ended": ("task", "pool", "node", "started", "ended", "success", "exit_code", "why", "service_fault", "ran"),
    # By the node, see `snakemake.azure.node.usage`.
    "used": (
        "task", "node", "code", "ended", "cpu_seconds", "memory_bytes", "memory_of", "disk_bytes",
        "received_bytes", "sent_bytes", "start_seconds", "stage_in_seconds", "job_seconds", "stage_out_seconds",
    ),
    # What nodes may cost, of --az-batch-max-cost, is reached: nothing more begins.
    "max_cost_reached": ("amount", "spent", "currency"),
    # A service does not answer, and answers again after so many seconds.
    "outage": ("service", "why", "seconds"),
    "outage_over": ("service", "seconds"),
    # How many requests each service has been sent so far.
    "requests": ("services",),
}  # fmt: skip
"""Names of events, and of their values."""

_NAMES = {event: frozenset(names) for event, names in EVENTS.items()}


class Node(Protocol):
    """A node as a list of them has it (`azure.batch.models.BatchNode`)."""

    @property
    def id(self) -> str | None: ...
    @property
    def state(self) -> Any: ...
    @property
    def is_dedicated(self) -> bool | None: ...
    @property
    def allocation_time(self) -> datetime | None: ...
    @property
    def state_transition_time(self) -> datetime | None: ...
    @property
    def running_task_slots_count(self) -> int | None: ...


@dataclass(frozen=True)
class Event:
    """A line of a journal."""

    at: datetime
    event: str
    values: Mapping[str, Any]


@dataclass
class _Pool:
    looked: datetime
    nodes: dict[str, tuple[Any, ...]] = field(default_factory=dict)


def _nothing(_: bytes) -> None:
    pass


def _nobody(_: str) -> None:
    pass


class Journal:
    """Notes events with `append`, which adds bytes to the end of the file. now: the clock (UTC). Methods may be called
    from any thread, and raise nothing; `warn` hears once of what goes wrong. Without arguments, nothing is noted."""

    def __init__(
        self,
        append: Callable[[bytes], None] = _nothing,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        warn: Callable[[str], None] = _nobody,
    ) -> None:
        self._append, self._now, self._warn = append, now, warn
        self._listeners: list[Callable[[Event], None]] = []
        self._is_silent = append is _nothing
        self._pools: dict[str, _Pool] = {}
        self._warned = False
        self._lock = threading.RLock()

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Calls it with each event that is noted from now on, in the thread that notes it and one at a time; also where
        the line can't be written. Times in it are datetimes."""
        self._listeners.append(listener)

    def note(self, event: str, **values: Any) -> None:
        """Adds a line. Times are datetimes, and None is null; what `EVENTS` does not name is a mistake."""
        with self.guarded():
            self._note(event, values)

    def note_used(self, lines: bytes) -> None:
        """What tasks have used, as their nodes wrote it: lines of JSON."""
        with self.guarded():
            for line in lines.splitlines():
                with suppress(ValueError):
                    told = json.loads(line)
                    self._note("used", {name: told[name] for name in EVENTS["used"] if name in told})

    def saw(self, pool_id: str, nodes: Iterable[Node]) -> None:
        """A look has shown these nodes of the pool, and no others."""
        with self.guarded():
            if self._is_silent:
                return
            now = self._now()
            pool = self._pools.setdefault(pool_id, _Pool(now))
            before, seen, pool.nodes = pool.nodes, pool.looked, {}
            for node in nodes:
                name, values = node.id or "", _values(node)
                pool.nodes[name] = tuple(values.values())
                if before.pop(name, None) != pool.nodes[name]:
                    self._note("node", {"pool": pool_id, "node": name, **values}, now)
            for name in before:
                self._note("node_gone", {"pool": pool_id, "node": name, "seen": seen}, now)
            pool.looked = now

    def knows(self, pool_id: str, node_id: str) -> bool:
        """Whether a look has shown the node; True where nothing is noted."""
        return self._is_silent or node_id in self._pools.get(pool_id, _Pool(self._now())).nodes

    def has_nodes(self, pool_id: str) -> bool:
        """Whether the last look has shown some, on their way out or not."""
        return bool((pool := self._pools.get(pool_id)) and pool.nodes)

    def looked(self, pool_id: str) -> datetime | None:
        """When a look was told of last."""
        return pool.looked if (pool := self._pools.get(pool_id)) else None

    def go_on(self, events: Iterable[Event]) -> None:
        """After these, of a run that is taken over: what there is still, the next looks tell anew. Listeners hear
        them."""
        last: datetime | None = None
        for event in events:
            for listener in self._listeners:
                listener(event)
            last = event.at
            pool_id = event.values.get("pool", "")
            if event.event == "node":
                self._pools.setdefault(pool_id, _Pool(last)).nodes[event.values["node"]] = ()
            elif event.event == "node_gone" and pool_id in self._pools:
                self._pools[pool_id].nodes.pop(event.values["node"], None)
            elif event.event == "pool_gone":
                self._pools.pop(pool_id, None)
        for pool in self._pools.values():
            pool.looked = last or pool.looked

    def _note(self, event: str, values: Mapping[str, Any], at: datetime | None = None) -> None:
        if unknown := values.keys() - _NAMES[event]:
            raise ValueError(f"no value of {event}: {', '.join(sorted(unknown))}")
        if self._is_silent:
            return
        told = Event(at or self._now(), event, values)
        with self._lock:
            for listener in self._listeners:
                with self.guarded():
                    listener(told)
            with self.guarded():
                text = _encode({"at": told.at, "event": event, **values})
                self._append(text.encode("utf-8", "surrogatepass") + b"\n")

    def guarded(self) -> "_Guard":
        """A block in which nothing that goes wrong ends more than the block."""
        return _Guard(self._fail)

    def _fail(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            self._warn(f"Azure Batch: the run's journal has gaps ({type(error).__name__}: {reason}).")


class _Guard:
    """Tells `fail` of what goes wrong in the block, and goes on after it."""

    def __init__(self, fail: Callable[[Exception], None]) -> None:
        self._fail = fail

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Exception):
            self._fail(error)
            return True
        return False


def _values(node: Node) -> dict[str, Any]:
    return {
        "state": lower(node.state),
        "spot": node.is_dedicated is False,
        "allocated": node.allocation_time,
        "since": node.state_transition_time,
        "used_slots": node.running_task_slots_count or 0,
    }


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


_encode = json.JSONEncoder(separators=(",", ":"), default=_plain).encode
"""Made once: `json.dumps` with options makes one each time."""


def sentence(text: str) -> str:
    """A sentence as a journal may keep it."""
    return without_secrets(text)


# -- files ------------------------------------------------------------------------------------------------------------


class JournalFile:
    """Adds to a file, which is made with the first line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def append(self, line: bytes) -> None:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            size = os.fstat(self._file).st_size
            if size and os.pread(self._file, 1, size - 1) != b"\n":
                line = b"\n" + line  # what was being written when that run died is no line
        os.write(self._file, line)


def parse(lines: Iterable[bytes | str]) -> Iterator[Event]:
    """The events of a journal's lines, without those that are broken."""
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            said = json.loads(line)
            at, event = datetime.fromisoformat(said.pop("at")), said.pop("event")
            yield Event(at, str(event), said)


def read(path: Path) -> list[Event]:
    """The events of a file, in their order; raises OSError."""
    with path.open("rb") as file:
        return list(parse(file))


def time(value: object) -> datetime | None:
    """A time among the values of an event, of a journal's line or as it was noted."""
    if isinstance(value, datetime):
        return value
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def journals(home: Path) -> list[Path]:
    """All below a directory, the newest first."""
    return sorted(home.glob("*.jsonl"), key=lambda path: path.stat().st_mtime, reverse=True)


def of_runs(home: Path, runs: Iterable[str]) -> Path | None:
    """The newest journal here of one of these runs."""
    wanted = set(runs)
    for path in journals(home):
        with suppress(OSError), path.open("rb") as file:
            begun = parse(line for line in file if b'"event":"run"' in line)
            if any(event.values.get("run") in wanted for event in begun):
                return path
    return None
