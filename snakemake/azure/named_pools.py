"""Pools that somebody lists by hand: a VM size each, and how many nodes and task slots per node such a pool may have.

They come from `--az-batch-pools`, as `SIZE` or `SIZE,nodes=N,slots-per-node=N`, or from the file of
`--az-batch-config`, as a list of mappings with the keys `vm-size`, `nodes` and `slots-per-node`. What an entry does not
say, the options for all pools do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snakemake.azure.options import SettingsError, check_bounds

SIZE, NODES, SLOTS = "vm-size", "nodes", "slots-per-node"
OPTION = "--az-batch-pools"


@dataclass(frozen=True)
class NamedPool:
    """A pool of `vm_size`. nodes: the most that it may have; slots_per_node: task slots of each; None for what all
    other pools have."""

    vm_size: str
    nodes: int | None = None
    slots_per_node: int | None = None


def read(entries: Sequence[str] | None) -> tuple[NamedPool, ...]:
    """The pools of `--az-batch-pools`.

    Raises
    ------
    SettingsError: an entry says something else than that, or a size stands there twice.
    """
    pools = tuple(map(_pool, entries or ()))
    sizes = [pool.vm_size.lower() for pool in pools]
    for pool in pools:
        if sizes.count(pool.vm_size.lower()) > 1:
            raise SettingsError(
                f"{OPTION} names {pool.vm_size} more than once: a run has one pool of a size."
            )
    return pools


def sizes(entries: Sequence[str] | None) -> str | None:
    """Their VM sizes, as `--az-batch-vm-size` takes them."""
    return ",".join(pool.vm_size for pool in read(entries)) or None


def entry(pool: Mapping[Any, Any]) -> str:
    """What `--az-batch-pools` takes for a pool of the file of `--az-batch-config`."""
    size = str(pool.get(SIZE) or "")
    return ",".join([size, *(f"{name}={value}" for name, value in pool.items() if name != SIZE)])


def _pool(text: str) -> NamedPool:
    size, *rest = (part.strip() for part in text.split(","))
    if not size or "=" in size or size.lower() == "auto":
        raise SettingsError(
            f"{OPTION} {text!r} does not begin with the name of a VM size: give SIZE or SIZE,{NODES}=N,{SLOTS}=N."
        )
    said: dict[str, int] = {}
    for part in rest:
        name, _, value = (each.strip() for each in part.partition("="))
        if name not in (NODES, SLOTS) or name in said or not value.isascii() or not value.isdigit():
            raise SettingsError(
                f"{OPTION} {text!r} has {part!r}, which it does not take: after the size come {NODES}=N and {SLOTS}=N."
            )
        said[name] = int(value)
        check_bounds(said[name], 1, None, f"pools {size},{name}", "give")
    return NamedPool(size, said.get(NODES), said.get(SLOTS))
