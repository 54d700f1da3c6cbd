"""What keeps a pool from having nodes: told from the service's signs. No I/O, no clock.

A pool without a usable node either needs time, or something is wrong that another size, a while, or somebody's hand
can mend. `assess` is the one place that reads the service's signs for that: resize errors, which count only when the
allocation is steady and no node is there (they are stale otherwise, and what a pool has, it may use), and nodes that
can't be set up. What follows from it is decided in `snakemake.azure.batch.fallback`.

https://learn.microsoft.com/azure/batch/batch-pool-node-error-checking
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum

from snakemake.azure.batch.pools import NodeView, PoolView

QUOTAS = {
    "accountcorequotareached": "dedicated cores",
    "accountlowprioritycorequotareached": "Spot cores",
    "accountspotcorequotareached": "Spot cores",
    "accountvmseriescorequotareached": "cores of this VM series",
}
SHORTAGES = {
    "allocationfailed", "allocationtimedout", "resizestopped", "batchoutofcapacity",
    "overconstrainedallocationrequesterror",
}  # fmt: skip
SAME_FAULTS = 3
"""So many nodes that broke in the same way are enough: the next ones would, too."""


class Kind(Enum):
    """SHORTAGE: the region has no machine now. QUOTA, SPOT_QUOTA, SERIES_QUOTA: the account's cores of a kind are used
    up, or there are none. UNSUPPORTED: the region does not have the size, or it does not boot the image. BROKEN: nodes
    come and can't be set up. LATE: patience is over."""

    SHORTAGE = "shortage"
    QUOTA = "quota"
    SPOT_QUOTA = "Spot quota"
    SERIES_QUOTA = "quota of a series"
    UNSUPPORTED = "unsupported"
    BROKEN = "broken"
    LATE = "late"


_QUOTA_KINDS = {
    "dedicated cores": Kind.QUOTA,
    "Spot cores": Kind.SPOT_QUOTA,
    "cores of this VM series": Kind.SERIES_QUOTA,
}
QUOTA_KINDS = frozenset(_QUOTA_KINDS.values())


@dataclass(frozen=True)
class Trouble:
    """Why a pool has no usable node: `text` is a sentence that names the option which helps, `why` the reason alone, as
    the service gives it."""

    kind: Kind
    text: str
    why: str

    @property
    def is_of_size(self) -> bool:
        """Whether nodes of another size may come."""
        return self.kind in (Kind.SHORTAGE, Kind.SERIES_QUOTA, Kind.UNSUPPORTED)


def assess(
    pool: PoolView,
    waited: timedelta,
    patience: timedelta,
    broken: Iterable[str] = (),
    replaced: bool = False,
) -> Trouble | None:
    """What is wrong with a pool, or None while there is no sign of it, or a node can be used.

    `waited` is how long there has been work and no usable node; `broken` are the reasons for which nodes of the pool
    have broken that are gone; `replaced`: others come in the places of those that are there.
    """
    if pool.usable:
        return None
    if trouble := _of_nodes(pool, list(broken), replaced):
        return trouble
    short = _of_allocation(pool)
    if short and (short.kind not in (Kind.SHORTAGE,) or waited < patience):
        return short
    if waited >= patience:
        last = pool.resize_errors[0] if pool.resize_errors else None
        because = f" The last allocation error was {last[0]}: {last[1]}." if last else ""
        return Trouble(
            Kind.LATE,
            f"No node of the pool {pool.id} became usable within {int(patience.total_seconds() // 60)} minutes "
            f"({pool.summary()}).{because} Set --az-batch-node-timeout to wait longer, or --az-batch-vm-size to "
            "another size, or several.",
            f"{last[0]}: {last[1]}" if last else "no node came",
        )
    return None


def _of_allocation(pool: PoolView) -> Trouble | None:
    if not pool.steady or pool.current:
        return None
    for code, message in pool.resize_errors:
        name, why = code.lower(), f"{code}: {message}"
        if what := QUOTAS.get(name):
            return Trouble(
                _QUOTA_KINDS[what],
                f"The Batch account has no quota left for {what} to start a node of {pool.vm_size} ({why}): ask for "
                "quota in the portal, or set --az-batch-vm-size to a size of another series, or a smaller one.",
                why,
            )
        if name == "unsupportedvmsize" or "cannot boot" in message:
            return Trouble(
                Kind.UNSUPPORTED,
                f"The region of the Batch account has no nodes of {pool.vm_size} for this image ({why}): set "
                "--az-batch-vm-size.",
                why,
            )
        if name in SHORTAGES:
            return Trouble(
                Kind.SHORTAGE,
                f"The region has no machine of {pool.vm_size} at the moment ({why}): set --az-batch-vm-size to "
                "several sizes, or to another one.",
                why,
            )
    return None


def _of_nodes(pool: PoolView, gone: list[str], replaced: bool) -> Trouble | None:
    broken = [node for node in pool.nodes if node.broken]
    reasons = [reason_of(node) for node in broken] + gone
    if not reasons:
        return None
    reason, count = Counter(map(_kind_of, reasons)).most_common(1)[0]
    told = next(text for text in reasons if _kind_of(text) == reason).rstrip(".")
    is_all = bool(broken) and len(broken) == len(pool.nodes)
    if count < SAME_FAULTS and not (is_all and (not replaced or is_of_every_node(told))):
        return None
    return Trouble(Kind.BROKEN, f"No node of the pool {pool.id} is usable: {told}.{hint(told)}", told)


def reason_of(node: NodeView) -> str:
    return node.error or f"state {node.state}"


def _kind_of(reason: str) -> str:
    """The reason without what differs from node to node: its code."""
    return reason.partition(":")[0].strip().lower()


_REFUSED = (
    "unauthorized", "denied", "authentication required", "forbidden", "manifest unknown", "not found", "no such image",
    "does not exist", "not the name",
)  # fmt: skip


def is_of_every_node(reason: str) -> bool:
    """Whether the next node is sure to break in the same way: there is no such image, or its registry does not give
    it. A registry that is busy or does not answer may give it to the next one."""
    text = reason.lower()
    return "start task" not in text and "image" in text and any(words in text for words in _REFUSED)


_HINTS = (
    (
        ("ephemeral mount", "mount detection"),
        "Set --az-batch-os-image to an older version of the image, or to another one.",
    ),
    (("start task", "starttask"), "Check the script of --az-batch-start-task."),
    (
        ("unauthorized", "denied", "authentication", "forbidden"),
        "The image's registry wants a login: set AZ_BATCH_REGISTRY_USER and AZ_BATCH_REGISTRY_PASSWORD, or "
        "--az-batch-registry-identity, or check --container-image.",
    ),
    (
        ("diskfull", "disk full", "no space left"),
        "The nodes' disk is too small for the image: set --az-batch-os-disk, or --az-batch-docker-data temp "
        "with a --az-batch-vm-size that has a larger temporary disk, or use a smaller image.",
    ),
    (
        ("image", "container", "manifest"),
        "Check --container-image, and that the nodes may pull it.",
    ),
)


def hint(reason: str) -> str:
    """The sentence that names the option for a reason, with a space before it, or nothing."""
    text = reason.lower()
    return next((f" {told}" for words, told in _HINTS if any(word in text for word in words)), "")


def is_short(pool: PoolView) -> bool:
    """Whether the allocation ended without enough nodes for a reason that may pass: a shortage, or a quota that others
    use up."""
    codes = {code.lower() for code, _ in pool.resize_errors}
    return pool.steady and pool.current < pool.target and bool(codes & (SHORTAGES | set(QUOTAS)))


def shortage(pool: PoolView) -> str:
    """What the pool is short of, for people; "" where it has its nodes, or they may still come."""
    if not is_short(pool):
        return ""
    code = next(code.lower() for code, _ in pool.resize_errors if code.lower() in (SHORTAGES | set(QUOTAS)))
    return f"quota ({QUOTAS[code]})" if code in QUOTAS else f"machines of {pool.vm_size} in the region"


def held_by_others(trouble: Trouble, cores: int, minutes: int) -> Trouble:
    """The trouble with a quota that other pools use up."""
    return replace(
        trouble,
        text=f"{trouble.text.rstrip('.')}; other pools of the account hold {cores} cores, and were waited for for "
        f"{minutes} minutes (--az-batch-node-timeout).",
    )
