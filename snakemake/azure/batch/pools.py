"""One pool: how it is asked for, how large it is, and whether it will ever run anything.

The client sizes the pool: it starts with the nodes that the first jobs need and goes with the work, up to a limit
(`snakemake.azure.batch.sizing`), under a lease (`snakemake.azure.batch.lease`). What the service's signs mean is in
`snakemake.azure.batch.capacity`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.batch import vm_sizes
from snakemake.azure.batch.pool_definition import DEFINITION, PLAIN, PoolDefinition, create_options
from snakemake.azure.batch.sizing import NodePrices
from snakemake.azure.wire import lower

if TYPE_CHECKING:
    from azure.batch.models import BatchPoolCreateOptions

    from snakemake.azure.batch.os_images import OsImage

SPOT_KEY = ":spot"
USABLE = {"idle", "running"}
COMING = {"creating", "starting", "waitingforstarttask", "rebooting", "reimaging", "upgradingos", "unknown"}


class PoolError(WorkflowError):
    """The pool will not run the jobs."""


@dataclass(frozen=True)
class PoolPlan:
    """A pool to be created: `slots` are task slots per node, `max_nodes` bounds its size. `os_image` is None for a pool
    that another run has made. `made_of` is the digest of all that nodes are made of, see `PoolDefinition`;
    `tasks_per_node` how many tasks like its first one fit a node; `prices` are those of a node.
    """

    id: str
    vm_size: str
    slots: int
    max_nodes: int
    image: str
    os_image: "OsImage | None"
    metadata: tuple[tuple[str, str], ...] = ()
    definition: PoolDefinition = PLAIN
    made_of: str = ""
    tasks_per_node: int = 1
    prices: NodePrices = NodePrices()
    spot: bool = False
    """Whether it is for Spot nodes; dedicated ones may stand in for them."""

    buys_spot: bool = False
    """Whether its new nodes are Spot nodes."""

    scales: bool = True
    """Whether it has a formula; the client of another run may have died while it had none."""

    @property
    def key(self) -> str:
        """What the pool is known by within a run: its size, and whether it is for Spot nodes."""
        return self.vm_size.lower() + (SPOT_KEY if self.spot else "")

    @property
    def series(self) -> str:
        return vm_sizes.series(self.vm_size)

    def options(self, formula: str, interval: timedelta) -> "BatchPoolCreateOptions":
        """The request body: a pool that scales by the formula."""
        assert self.os_image is not None, "a pool that is there already"
        return create_options(
            self.id,
            self.vm_size,
            self.slots,
            self.image,
            self.os_image,
            self.definition,
            [*self.metadata, (DEFINITION, self.made_of)],
            formula,
            interval,
        )

    def fits(self, other: "PoolPlan") -> bool:
        """Whether jobs for which this pool is meant can run in the other one as well."""
        return (self.vm_size.lower(), self.slots, self.image, self.made_of, self.spot) == (
            other.vm_size.lower(),
            other.slots,
            other.image,
            other.made_of,
            other.spot,
        )

    def nodes_for(self, slots: int) -> int:
        """How many nodes `slots` of work ask for in a pool that has none yet."""
        return min(self.max_nodes, -(-slots // self.slots))


@dataclass(frozen=True)
class NodeView:
    """What a node tells about itself; `error` is empty when it is well."""

    id: str
    state: str
    error: str = ""

    @property
    def broken(self) -> bool:
        """Whether nobody repairs it. A node that is unusable without an error is one that the service can't reach,
        and starts again."""
        return self.state == "starttaskfailed" or (self.state == "unusable" and bool(self.error))

    @classmethod
    def of(cls, node) -> "NodeView":
        texts = []
        for error in node.errors or []:
            details = "; ".join(f"{d.name}: {d.value}" for d in error.error_details or [] if d.value)
            texts.append(": ".join(filter(None, (error.code, error.message, details))))
        info = node.start_task_info
        if info and info.failure_info:
            failed = (info.failure_info.code, info.failure_info.message)
            texts.append(": ".join(filter(None, ("start task", *failed))))
        return cls(node.id, lower(node.state), " / ".join(texts))


def _resize_message(error) -> str:
    """The service's fixed text, and the reason, which is among the values (that the size can't boot the image, say)."""
    reason = next((str(v.value) for v in error.error_values or [] if v.name == "Reason" and v.value), "")
    return " ".join(filter(None, (str(error.message or "").rstrip("."), f"({reason})" if reason else "")))


@dataclass(frozen=True)
class PoolView:
    """What the service tells about a pool. `resize_errors` are pairs of code and message."""

    id: str
    vm_size: str
    steady: bool
    target: int
    current: int
    resize_errors: tuple[tuple[str, str], ...] = ()
    nodes: tuple[NodeView, ...] = ()

    @classmethod
    def of(cls, pool, nodes: Sequence) -> "PoolView":
        return cls(
            id=pool.id,
            vm_size=pool.vm_size,
            steady=lower(pool.allocation_state) == "steady",
            target=(pool.target_dedicated_nodes or 0) + (pool.target_low_priority_nodes or 0),
            current=(pool.current_dedicated_nodes or 0) + (pool.current_low_priority_nodes or 0),
            resize_errors=tuple((str(e.code or ""), _resize_message(e)) for e in pool.resize_errors or []),
            nodes=tuple(NodeView.of(node) for node in nodes),
        )

    @property
    def usable(self) -> int:
        return sum(node.state in USABLE for node in self.nodes)

    def summary(self) -> str:
        """One line on the pool for people, such as `2 of 4 nodes ready (2 starting)`."""
        others = Counter(node.state for node in self.nodes if node.state not in USABLE)
        rest = ", ".join(f"{n} {state}" for state, n in sorted(others.items()))
        return f"{self.usable} of {self.target} nodes ready" + (f" ({rest})" if rest else "")
