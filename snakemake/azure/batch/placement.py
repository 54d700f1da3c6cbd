"""Where a job runs: which pool it goes to, how many task slots of a node it takes, and what that pool is made of.

Batch binds a job to one pool and a pool to one VM size, so there is a pool for each VM size that is asked for. A pool's
key is that size's name in lower case, empty for the run's own size.
"""

import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from snakemake.azure.batch import vm_sizes
from snakemake.azure.batch.ids import derived_id
from snakemake.azure.batch.os_images import OsImages
from snakemake.azure.batch.pool_definition import PLAIN, PoolDefinition
from snakemake.azure.batch.pools import PoolPlan
from snakemake.azure.batch.vm_sizes import VmSize
from snakemake.azure.settings import DEFAULT_NODES, DEFAULT_VM_SIZE, ExecutorSettings, SettingsError


@dataclass(frozen=True)
class ExistingPool:
    """A pool that the run uses and does not own."""

    id: str
    vm: VmSize
    slots: int


@dataclass(frozen=True)
class Demand:
    """What a job asks for: `mem_mib` in MiB, `runtime` from start to end, `slots` where the job names them itself."""

    threads: int
    mem_mib: int | None = None
    vm_size: str = ""
    slots: int | None = None
    runtime: timedelta | None = None


@dataclass(frozen=True)
class Place:
    """A job's place: the key of its pool, the node's size and slots, and how many of these the job takes."""

    key: str
    vm: VmSize
    slots_per_node: int
    slots: int

    @property
    def cores(self) -> int:
        """The vCPUs that are the job's share of its node, at least one."""
        return max(1, math.floor(self.vm.vcpus * self.slots / self.slots_per_node))


@dataclass
class Placement:
    """Finds places for jobs; `existing` is the pool of --az-batch-pool-id, which then takes all of them."""

    settings: ExecutorSettings
    os_images: OsImages
    existing: ExistingPool | None = None
    definition: PoolDefinition = PLAIN
    _sizes: dict[str, VmSize] = field(default_factory=dict)

    @property
    def default_size(self) -> VmSize:
        if "" not in self._sizes:
            self._sizes[""] = vm_sizes.vm_size(self.settings.vm_size or DEFAULT_VM_SIZE)
        return self._sizes[""]

    def sizes_of(self, names: Iterable[str]) -> list[VmSize]:
        """The VM sizes of these names; those that Azure has not are left to the jobs that ask for them."""
        found = []
        for name in sorted(names):
            with suppress(vm_sizes.UnknownVmSize):
                found.append(vm_sizes.vm_size(name))
        return found

    def place(self, demand: Demand) -> Place:
        """
        Raises
        ------
        SettingsError: the pool that exists has another size, or the job asks for more slots than a node has.
        vm_sizes.UnknownVmSize, vm_sizes.DoesNotFit: no such size; or the job is too large for its node.
        """
        key = self._key(demand.vm_size)
        vm = self.existing.vm if self.existing else self._sizes[key]
        per_node = self.existing.slots if self.existing else self._slots_per_node(vm)
        slots = demand.slots or vm_sizes.slots_for(demand.threads, demand.mem_mib, vm, per_node)
        if slots > per_node:
            # Batch would accept the task and never run it: https://github.com/Azure/Batch/issues/117
            raise SettingsError(
                f"The job needs {slots} task slots and a node of {vm.name} has {per_node}: lower az_slots, or set "
                "az_vm_size to a larger size."
            )
        return Place(key, vm, per_node, slots)

    def _key(self, wanted: str) -> str:
        if wanted and self.existing:
            raise SettingsError(
                f"The rule asks for az_vm_size={wanted}, but with --az-batch-pool-id all jobs run in that pool."
            )
        name, default = wanted.lower(), self.default_size
        if name not in self._sizes:
            self._sizes[name] = vm_sizes.vm_size(wanted)
        return "" if self._sizes[name] == default else name

    def _slots_per_node(self, vm: VmSize) -> int:
        wanted = self.settings.slots_per_node
        return vm_sizes.task_slots(vm) if wanted is None else min(wanted, vm_sizes.most_slots(vm))

    def default_place(self) -> Place:
        """Where a small job without wishes of its own goes."""
        return self.place(Demand(threads=1, slots=1))

    def pool_plan(self, place: Place, run_id: str, number: int, image: str) -> PoolPlan:
        """The plan of the run's pool for such places, its `number`-th one."""
        os_image = None if self.existing else self.os_images.for_vm(place.vm)
        return PoolPlan(
            id=derived_id(run_id, "pool", str(number)),
            vm_size=place.vm.name,
            slots=place.slots_per_node,
            max_nodes=self.settings.nodes or DEFAULT_NODES,
            image=image,
            os_image=os_image,
            metadata=(("snakemake-run", run_id),),
            definition=self.definition,
            tasks_per_node=max(1, place.slots_per_node // place.slots),
            made_of=self.definition.digest(place.vm.name, place.slots_per_node, image, os_image),
        )
