"""What a VM size has to give, and how many task slots a job takes of it.

The figures are those of Azure's size pages
(https://learn.microsoft.com/azure/virtual-machines/sizes/overview), kept in `data/vm_sizes.json`. Azure adds
sizes all the time, so a name that is not in the table but follows the naming convention
(https://learn.microsoft.com/azure/virtual-machines/vm-naming-conventions) is taken as well: its vCPUs are in
the name, its memory and disk are not known.
"""

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from snakemake_interface_common.exceptions import WorkflowError

# https://learn.microsoft.com/azure/batch/batch-quota-limit: 4 per core of the node, and 256 in all.
SLOTS_PER_VCPU = 4
SLOTS_PER_NODE = 256

# Family letters, vCPUs, constrained vCPUs, additive features, accelerator or variant, version.
_CONVENTION = re.compile(
    r"Standard_(?P<family>B|D|DC|E|EB|EC|F|FX|H|HB|HC|HX|L|M|NC|NCC|ND|NG|NM|NP|NV)(?P<vcpus>[1-9]\d{0,3})"
    r"(?:-(?P<active>[1-9]\d{0,3}))?(?P<features>[abcdeilmnoprst]*)(?P<variant>(?:_(?!v\d)(?:[A-Z0-9]{2,}|\d)){0,2})"
    r"(?:_v(?P<version>[1-9]\d?))?",
    re.IGNORECASE,
)
# The first generations numbered their sizes without regard to vCPUs (a D3_v2 has 4): the names tell nothing.
_NUMBERED = re.compile(r"Standard_(A|D|DS|G|GS)\d+(-\d+)?[a-z]*(_v2)?", re.IGNORECASE)


@dataclass(frozen=True)
class VmSize:
    """One VM size: `memory_gib`, `temp_disk_gib` and `gpus` are None where they are not known.

    `temp_disk_gib` is the disk that comes formatted and mounted, where Batch puts its tasks; 0 means that
    they lie on the OS disk. `gpus` counts devices; a part of a GPU counts as one. `generation2` tells whether
    the size boots generation 2 images (https://learn.microsoft.com/azure/virtual-machines/generation-2).
    """

    name: str
    vcpus: int
    memory_gib: float | None
    temp_disk_gib: float | None
    gpus: int | None
    generation2: bool

    @property
    def memory_mib(self) -> int | None:
        return None if self.memory_gib is None else int(self.memory_gib * 1024)

    @property
    def disk_mib(self) -> int | None:
        """The temporary disk's, None where it is not known, or where tasks lie on the OS disk."""
        return int(self.temp_disk_gib * 1024) if self.temp_disk_gib else None

    @property
    def arm(self) -> bool:
        """Whether its processors are Arm64 ones, which the letter p among a size's features says."""
        match = _CONVENTION.fullmatch(self.name)
        return match is not None and "p" in match["features"].lower()


class UnknownVmSize(WorkflowError):
    """The name is no VM size of Azure's; `near` holds up to three names that look like it.

    The message leaves it to the caller to say which option or rule gave the name.
    """

    def __init__(self, name: str, near: list[str]):
        self.name, self.near = name, near
        hint = f"; did you mean {' or '.join(near)}?" if near else ", such as Standard_D4ds_v5 is."
        super().__init__(f"{name!r} is not a VM size of Azure{hint}")


GPU = "gpu"


class DoesNotFit(WorkflowError):
    """A job asks for more than one whole node has; `resource` is Snakemake's name of what is short.

    `sizes` tells where the node's size comes from where there was a choice (`of the sizes A, B the largest`).
    """

    def __init__(self, resource: str, needed: int, available: int, vm: VmSize, sizes: str = "") -> None:
        self.resource, self.needed, self.available, self.vm = resource, needed, available, vm
        node = f"{sizes}, {vm.name}," if sizes else f"a node of size {vm.name}"
        smaller = "lower what the rule asks for, or "
        if resource == "threads":
            smaller = f"let it use fewer with --max-threads {available}, or "
        if resource == "disk_mib":
            smaller = (
                "lower what the rule asks for, give the nodes a larger disk with --az-batch-data-disk, or "
            )
        super().__init__(
            f"A job needs {needed} {_UNITS.get(resource, resource)}, but {node} has {available}: {smaller}choose a "
            "larger size with --az-batch-vm-size or the rule's az_vm_size."
        )


_UNITS = {
    "mem_mib": "MiB of memory (mem_mb)",
    "disk_mib": "MiB of the tasks' disk (disk_mb)",
    GPU: "GPUs (gpu)",
}


@cache
def table() -> Mapping[str, VmSize]:
    """All sizes whose figures are known, by their lower-case names."""
    data = json.loads((files("snakemake.azure.batch") / "data" / "vm_sizes.json").read_text(encoding="utf-8"))
    sizes = [
        VmSize(
            name=s["name"].format(n=n),
            vcpus=n,
            memory_gib=n * s["memory"],
            temp_disk_gib=None if s["disk"] is None else n * s["disk"],
            gpus=0,
            generation2=s["generation2"],
        )
        for s in data["series"]
        for n in s["vcpus"]
    ]
    sizes += [VmSize(name, *figures) for name, figures in data["sizes"].items()]
    return {size.name.lower(): size for size in sizes}


@cache
def _series() -> frozenset[str]:
    return frozenset(re.sub(r"\d+", "#", name, count=1) for name in table())


def vm_size(name: str) -> VmSize:
    """The size of that name, whatever its case; raises UnknownVmSize.

    A constrained size (`Standard_E32-8s_v5`) has the vCPUs after the hyphen and else all of its base size
    (https://learn.microsoft.com/azure/virtual-machines/constrained-vcpu).
    """
    found = table().get(name.lower())
    if found is not None:
        return found
    constrained = re.fullmatch(
        r"(Standard_[A-Z]+)([1-9]\d*)-([1-9]\d*)([a-z]*(?:_\w+)?)", name, re.IGNORECASE
    )
    if constrained:
        base = table().get(f"{constrained[1]}{constrained[2]}{constrained[4]}".lower())
        if base is not None and int(constrained[3]) < base.vcpus:
            stem, tail = re.split(r"(?<=[A-Za-z])\d+", base.name, maxsplit=1)
            return replace(
                base, name=f"{stem}{constrained[2]}-{constrained[3]}{tail}", vcpus=int(constrained[3])
            )
    match = _CONVENTION.fullmatch(name)
    # A series that the table has is there in full: a number that it lacks is a slip, not a new size.
    known_series = series(name) in _series()
    if match is None or known_series or _NUMBERED.fullmatch(name) or _too_many_active(match):
        raise UnknownVmSize(name, _near(name))
    return VmSize(
        name=name,
        vcpus=int(match["active"] or match["vcpus"]),
        memory_gib=None,
        temp_disk_gib=None,
        gpus=None if match["family"].upper().startswith("N") else 0,
        generation2=True,  # every family that is still sold, but A
    )


def series(name: str) -> str:
    """What sizes of a series have in common: the lower-case name without its number."""
    return re.sub(r"\d+(-\d+)?", "#", name.lower(), count=1)


def vcpus(name: str) -> int:
    """Those of a size by its name, 1 where it is not known."""
    try:
        return vm_size(name).vcpus
    except UnknownVmSize:
        return 1


def _too_many_active(match: re.Match[str]) -> bool:
    return match["active"] is not None and int(match["active"]) >= int(match["vcpus"])


def _near(name: str) -> list[str]:
    if len(name) < 3:
        return []
    wanted = name.lower() if name.lower().startswith("standard_") else f"standard_{name.lower()}"
    return [table()[n].name for n in difflib.get_close_matches(wanted, table(), n=3, cutoff=0.75)]


class SlotsOutOfBounds(WorkflowError):
    """Batch does not allow a node as many task slots, or as few."""


def most_slots(vm: VmSize) -> int:
    """The most slots a node may have: 4 per vCPU, and 256 in all.

    https://learn.microsoft.com/azure/batch/batch-parallel-node-tasks
    """
    return min(SLOTS_PER_VCPU * vm.vcpus, SLOTS_PER_NODE)


def task_slots(vm: VmSize, wanted: int | None = None) -> int:
    """The slots of a node: as many as wanted, else one per vCPU; raises SlotsOutOfBounds."""
    most = most_slots(vm)
    if wanted is None:
        return min(vm.vcpus, most)
    if not 1 <= wanted <= most:
        raise SlotsOutOfBounds(
            f"A node of size {vm.name} takes 1 to {most} tasks at once, not {wanted}: change "
            "--az-batch-slots-per-node or --az-batch-vm-size."
        )
    return wanted


@dataclass(frozen=True)
class Share:
    """What a job asks of a node: memory and disk in MiB, None or 0 for no particular amount. `disk_is_guess`: nobody
    has asked for the disk, it is Snakemake's default, and one that no node has is no reason not to run."""

    threads: int
    mem_mib: int | None = None
    disk_mib: int | None = None
    gpus: int = 0
    disk_is_guess: bool = False

    def slots(self, vm: VmSize, slots_per_node: int) -> int:
        """The slots that it needs: the largest of its shares of the node's vCPUs, memory, temporary disk and GPUs,
        rounded up, at least 1. What is not known of the size does not count.

        Raises DoesNotFit when it is too large for a whole node.
        """
        asked = [
            ("threads", self.threads, vm.vcpus),
            ("mem_mib", self.mem_mib, vm.memory_mib),
            ("disk_mib", self.disk_mib, vm.disk_mib),
            (GPU, self.gpus, vm.gpus),
        ]
        shares = [1]
        for resource, needed, available in asked:
            if not needed or available is None:
                continue
            if needed > available:
                if resource != "disk_mib" or not self.disk_is_guess:
                    raise DoesNotFit(resource, needed, available, vm)
                needed = available
            shares.append(-(-needed * slots_per_node // available))
        return max(shares)


def slots_for(threads: int, mem_mib: int | None, vm: VmSize, slots_per_node: int) -> int:
    """`Share.slots` of a job that asks for threads and memory only."""
    return Share(threads, mem_mib).slots(vm, slots_per_node)
