"""One pool: how it is asked for, how large it is, and whether it will ever run anything.

The client sizes the pool: it starts with the nodes that the first jobs need and goes with the work, up to a limit
(`snakemake.azure.batch.sizing`), under a lease (`snakemake.azure.batch.lease`). `assess` is the one place that reads
the service's signs (resize errors, node states) and tells a pool that needs time from one that will never come up.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.batch.sizing import Prices
from snakemake.azure.wire import lower

if TYPE_CHECKING:
    from azure.batch.models import BatchPoolCreateOptions

    from snakemake.azure.batch.os_images import OsImage

# https://learn.microsoft.com/azure/batch/batch-pool-node-error-checking
QUOTA_ERRORS = {
    "accountcorequotareached": "dedicated cores",
    "accountlowprioritycorequotareached": "Spot cores",
    "accountspotcorequotareached": "Spot cores",
    "accountvmseriescorequotareached": "cores of this VM series",
}
FATAL_RESIZE_ERRORS = {"unsupportedvmsize"}
USABLE = {"idle", "running"}
COMING = {"creating", "starting", "waitingforstarttask", "rebooting", "reimaging", "upgradingos", "unknown"}


class PoolError(WorkflowError):
    """The pool will not run the jobs."""


@dataclass(frozen=True)
class PoolPlan:
    """A pool to be created: `slots` are task slots per node, `max_nodes` bounds its size, `prices` are those of a
    node. `os_image` is None for a pool that another run has made.
    """

    id: str
    vm_size: str
    slots: int
    max_nodes: int
    image: str
    os_image: "OsImage | None"
    metadata: tuple[tuple[str, str], ...] = ()
    prices: Prices = Prices()
    buys_spot: bool = False
    """Whether its new nodes are Spot nodes."""

    def options(self, formula: str, interval: timedelta) -> "BatchPoolCreateOptions":
        """The request body: a pool that scales by the formula, with nodes that pull the image before they take tasks.

        https://learn.microsoft.com/azure/batch/batch-docker-container-workloads
        """
        from azure.batch import models

        assert self.os_image is not None, "a pool that is there already"
        return models.BatchPoolCreateOptions(
            id=self.id,
            display_name="Snakemake",
            vm_size=self.vm_size,
            virtual_machine_configuration=models.VirtualMachineConfiguration(
                image_reference=models.BatchVmImageReference(
                    publisher=self.os_image.publisher,
                    offer=self.os_image.offer,
                    sku=self.os_image.sku,
                    version=self.os_image.version,
                ),
                node_agent_sku_id=self.os_image.node_agent_sku_id,
                container_configuration=models.BatchContainerConfiguration(
                    type=models.ContainerType.DOCKER_COMPATIBLE, container_image_names=[self.image]
                ),
            ),
            enable_auto_scale=True,
            auto_scale_formula=formula,
            auto_scale_evaluation_interval=interval,
            task_slots_per_node=self.slots,
            task_scheduling_policy=models.BatchTaskSchedulingPolicy(
                node_fill_type=models.BatchNodeFillType.PACK
            ),
            metadata=[models.BatchMetadataItem(name=k, value=v) for k, v in self.metadata] or None,
        )

    def fits(self, other: "PoolPlan") -> bool:
        """Whether jobs for which this pool is meant can run in the other one as well."""
        return (self.vm_size.lower(), self.slots, self.image) == (
            other.vm_size.lower(),
            other.slots,
            other.image,
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
            texts.append(": ".join(filter(None, (info.failure_info.code, info.failure_info.message))))
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


def assess(pool: PoolView, waited: timedelta, patience: timedelta) -> str | None:
    """Why the pool will not run anything, in one sentence, or None while there is hope.

    `waited` is how long there has been work and no usable node. Resize errors count only when the allocation is
    steady (they are stale otherwise) and no node is there: what a pool has, it may use.
    """
    if pool.usable:
        return None
    if pool.steady and pool.current == 0:
        for code, message in pool.resize_errors:
            if what := QUOTA_ERRORS.get(code.lower()):
                return (
                    f"The Batch account has no quota left for {what} to start a node of {pool.vm_size} ({code}: "
                    f"{message}): ask for quota in the portal, or set --az-batch-vm-size to a size of another series."
                )
            if code.lower() in FATAL_RESIZE_ERRORS:
                return (
                    f"The region of the Batch account does not offer {pool.vm_size} ({code}: {message}): set "
                    "--az-batch-vm-size."
                )
    broken = [node for node in pool.nodes if node.broken]
    if broken and len(broken) == len(pool.nodes):
        reason = next((node.error for node in broken if node.error), f"state {broken[0].state}")
        hint = ""
        if "image" in reason.lower() or "container" in reason.lower():
            hint = " Check --container-image, and that the nodes may pull it."
        return f"No node of the pool {pool.id} is usable: {reason.rstrip('.')}.{hint}"
    if waited >= patience:
        last = pool.resize_errors[0] if pool.resize_errors else None
        because = f" The last allocation error was {last[0]}: {last[1]}" if last else ""
        return (
            f"No node of the pool {pool.id} became usable within {int(patience.total_seconds() // 60)} minutes "
            f"({pool.summary()}).{because} Set --az-batch-node-timeout to wait longer, or --az-batch-vm-size to "
            "another size."
        )
    return None


def wants_retry(pool: PoolView) -> bool:
    """Whether the allocation ended without enough nodes for a reason that may pass (a regional shortage)."""
    passing = {
        "allocationfailed", "allocationtimedout", "resizestopped", "batchoutofcapacity",
        "overconstrainedallocationrequesterror",
    }  # fmt: skip
    return (
        pool.steady
        and pool.current < pool.target
        and any(c.lower() in passing for c, _ in pool.resize_errors)
    )
