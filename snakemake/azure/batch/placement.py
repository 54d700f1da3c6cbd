"""Where a job runs: which pool it goes to, how many task slots of a node it takes, and what that pool is made of.

Batch binds a job to one pool and a pool to one VM size, so there is a pool for each size that is used, and one more
for its Spot nodes, as a task can't choose among the nodes of its pool. A job goes where its share of a node, in slots,
costs least among the sizes that it may go to, where a larger node counts as a little dearer, as more of it idles in the
end. A pool that the run has already takes the job when that costs little more: each pool pulls the image and idles for
itself.

A size that the region has none of at the moment is closed for a while: the next one takes its jobs.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

from snakemake.azure import named_pools
from snakemake.azure.batch import size_lists, vm_sizes
from snakemake.azure.batch.ids import derived_id
from snakemake.azure.batch.os_images import NoOsImage, OsImages
from snakemake.azure.batch.pool_definition import PLAIN, PoolDefinition
from snakemake.azure.batch.pools import SPOT_KEY, PoolPlan
from snakemake.azure.batch.prices import Prices, built_in
from snakemake.azure.batch.quotas import Quotas
from snakemake.azure.batch.sizing import NodePrices
from snakemake.azure.batch.vm_sizes import DoesNotFit, Share, VmSize
from snakemake.azure.named_pools import NamedPool
from snakemake.azure.settings import DEFAULT_NODES, ExecutorSettings, SettingsError

LITTLE_MORE = 1.25
"""So many times the price of the cheapest place may a place in a pool cost that is there already."""

MUCH_LARGER = 4
"""So many times the vCPUs of the cheapest place's node may that pool's nodes have: one job would hold a whole one."""

PER_DOUBLING = 1.05
"""So many times dearer counts a node for each time that it has twice the vCPUs."""

SAME_SERIES = 1.2
"""By so much dearer counts a size of whose series the region has just had no other one."""

CLOSED_FOR = timedelta(minutes=30)


@dataclass(frozen=True)
class ExistingPool:
    """A pool that the run uses and does not own."""

    id: str
    vm: VmSize
    slots: int


@dataclass(frozen=True)
class Demand:
    """What a job asks for: `mem_mib` and `disk_mib` in MiB, `runtime` from start to end, `slots` where the job names
    them itself, `vm_size` a list of sizes in place of the run's, `spot` for Spot nodes. `disk_is_guess`: see Share.
    """

    threads: int
    mem_mib: int | None = None
    vm_size: str = ""
    slots: int | None = None
    runtime: timedelta | None = None
    disk_mib: int | None = None
    disk_is_guess: bool = False
    gpus: int = 0
    spot: bool = False

    @property
    def share(self) -> Share:
        return Share(self.threads, self.mem_mib, self.disk_mib, self.gpus, self.disk_is_guess)


@dataclass(frozen=True)
class Place:
    """A job's place: the key of its pool, the node's size and slots, and how many of these the job takes."""

    key: str
    vm: VmSize
    slots_per_node: int
    slots: int
    spot: bool = False

    @property
    def cores(self) -> int:
        """The vCPUs that are the job's share of its node, at least one."""
        return max(1, math.floor(self.vm.vcpus * self.slots / self.slots_per_node))


@dataclass
class Placement:
    """Finds places for jobs; `existing` is the pool of --az-batch-pool-id, which then takes all of them.

    os_images: None where nothing is known of them, as before a run; architectures: those of the tasks' image (`amd64`,
    `arm64`), and quotas those of the account, None where they are not known. No I/O, `now` is the clock (UTC).
    """

    settings: ExecutorSettings
    os_images: OsImages | None
    existing: ExistingPool | None = None
    prices: Prices = field(default_factory=built_in)
    architectures: Collection[str] | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    definition: PoolDefinition = PLAIN
    quotas: Quotas | None = None
    _used: dict[str, VmSize] = field(default_factory=dict)
    _closed: dict[str, datetime] = field(default_factory=dict)
    _closed_series: dict[str, datetime] = field(default_factory=dict)

    def place(self, demand: Demand) -> Place:
        """
        Raises
        ------
        SettingsError: the pool that exists has another size, or the job asks for more slots than a node has.
        vm_sizes.UnknownVmSize, vm_sizes.DoesNotFit: no such size; or the job is too large for all nodes.
        """
        if self.existing is not None:
            return self._in_existing(demand, self.existing)
        places = self._places(demand)
        best = places[0]
        used = [place for place in places if place.key in self._used and self._is_open(place.key)]
        for place in used:
            is_small = place.vm.vcpus <= MUCH_LARGER * best.vm.vcpus
            if is_small and self._cost(place) <= LITTLE_MORE * self._cost(best):
                return place
        return best

    def take(self, demand: Demand) -> Place:
        """The job's place, which it will be sent to: its pool counts as there from now on. Raises as `place`."""
        place = self.place(demand)
        self._used[place.key] = place.vm
        return place

    def default_place(self) -> Place:
        """Where a small job without wishes of its own goes."""
        return self.place(Demand(threads=1, slots=1))

    # -- sizes that the region has none of ----------------------------------------------------------------------------

    def close(self, key: str, lasting: timedelta = CLOSED_FOR, whole_series: bool = False) -> None:
        """The region has no nodes for the pool, or the account no quota for the whole series: new places are elsewhere
        for so long, where there is another one."""
        self._closed[key] = self.now() + lasting
        if whole_series:
            self._closed_series[_series_of(key)] = self.now() + lasting

    def reopen(self, key: str) -> None:
        """There are nodes again."""
        if key in self._closed:
            self._closed.pop(key)
            self._closed_series.pop(_series_of(key), None)

    def has_other(self, demand: Demand, key: str) -> bool:
        """Whether the job could go somewhere else than to that pool, now."""
        if self.existing is not None:
            return False
        return any(place.key != key and self._is_open(place.key) for place in self._places(demand))

    def _is_open(self, key: str) -> bool:
        times = (self._closed.get(key), self._closed_series.get(_series_of(key)))
        return all(until is None or until <= self.now() for until in times)

    # -- the choice ---------------------------------------------------------------------------------------------------

    def _in_existing(self, demand: Demand, existing: ExistingPool) -> Place:
        if demand.vm_size:
            raise SettingsError(
                f"The rule asks for az_vm_size={demand.vm_size}, but with --az-batch-pool-id all jobs run in that pool."
            )
        return _place_on(demand, existing.vm, existing.slots, "")

    def _places(self, demand: Demand) -> list[Place]:
        """All places that the job may have, the one to take first."""
        candidates = self.candidates(demand)
        found: list[Place] = []
        refused: list[DoesNotFit | SettingsError] = []
        for vm in map(self._equipped, candidates):
            try:
                place = _place_on(demand, vm, self._slots_per_node(vm), key_of(vm, demand.spot))
                found.append(replace(place, spot=demand.spot))
            except (DoesNotFit, SettingsError) as e:
                refused.append(e)
        if not found:
            raise _closest(refused, len(candidates) > 1, self._list_of(demand))
        return sorted(found, key=lambda p: (not self._is_open(p.key), self._rank(p), p.vm.vcpus))

    def candidates(self, demand: Demand) -> Sequence[VmSize]:
        """The sizes that the job may go to: those named, or of `auto` those that the region and the image know."""
        named = size_lists.sizes(self._list_of(demand))
        if named:
            return self._priced(self._of_architecture(self._bootable(named)), demand.spot)
        sizes = size_lists.auto(demand.gpus > 0, self.architectures)
        there = [vm for vm in sizes if self.prices.is_sold(vm) and self._lacks(vm) is None]
        return self._priced(self._bootable(there or sizes), demand.spot)

    def _priced(self, sizes: Sequence[VmSize], spot: bool) -> Sequence[VmSize]:
        """Where the nodes may cost so much and no more, without those whose price is a guess."""
        if self.settings.max_cost is None:
            return sizes
        known = [vm for vm in sizes if self.prices.is_known(vm, spot)]
        if not known:
            kind = "Spot price" if spot else "price"
            raise SettingsError(
                f"--az-batch-max-cost cannot be held with nodes of {sizes[0].name}, whose {kind} is not among the "
                f"{self.prices.source}: give it in a file of --az-batch-prices."
            )
        return known

    def _equipped(self, vm: VmSize) -> VmSize:
        """The size with the disk that tasks work on: the pools' data disk, where they have one."""
        disk = self.definition.data_disk
        return replace(vm, temp_disk_gib=float(disk)) if disk else vm

    def _list_of(self, demand: Demand) -> str:
        return demand.vm_size or self.settings.vm_size or size_lists.AUTO

    def _bootable(self, sizes: Sequence[VmSize]) -> Sequence[VmSize]:
        """Without those that boot none of the OS images; all where that leaves none: the reason is told later."""
        return [vm for vm in sizes if self._boots(vm)] or sizes

    def _boots(self, vm: VmSize) -> bool:
        if self.os_images is None:
            return True
        try:
            self.os_images.for_vm(vm)
        except NoOsImage:
            return False
        return True

    def _of_architecture(self, sizes: Sequence[VmSize]) -> Sequence[VmSize]:
        """Without those whose processors the image is not for."""
        if self.architectures is None:
            return sizes
        known = [vm for vm in sizes if ("arm64" if vm.arm else "amd64") in self.architectures]
        if not known:
            kind = "Arm64" if sizes[0].arm else "x64"
            raise SettingsError(
                f"Nodes of size {sizes[0].name} have {kind} processors, and the image of --container-image is for "
                f"{' and '.join(sorted(self.architectures))}: set --az-batch-vm-size (or the rule's az_vm_size) to a "
                "size for that, or build the image for both (docker buildx build --platform linux/amd64,linux/arm64)."
            )
        return known

    def _lacks(self, vm: VmSize) -> str | None:
        """Why the account can't have one node of the size."""
        return self.quotas.problem(vm, 1, 0, 0) if self.quotas else None

    def check_quotas(self) -> None:
        """Raises SettingsError when the account may not have one node of any size of the run's, Spot nodes apart."""
        if self.existing is None and not self.settings.spot:
            problems = [self._lacks(vm) for vm in self.candidates(Demand(threads=1))]
            if problems and all(problems):
                raise SettingsError(str(problems[0]))

    def check_images(self) -> None:
        """Raises NoOsImage when no size of the run's boots any of the images."""
        if self.os_images is not None and self.existing is None:
            self.os_images.for_vm(self.candidates(Demand(threads=1))[0])

    def _rank(self, place: Place) -> float:
        series = vm_sizes.series(place.vm.name)
        others = [key for key in self._closed if not self._is_open(key) and key != place.key]
        is_scarce = any(_series_of(key) == series for key in others)
        larger = PER_DOUBLING ** math.log2(place.vm.vcpus)
        return round(self._cost(place) * larger * (SAME_SERIES if is_scarce else 1), 9)

    def _cost(self, place: Place) -> float:
        """Of the job's share of a node, an hour."""
        return self.prices.of(place.vm, place.spot) * place.slots / place.slots_per_node

    @cached_property
    def _named(self) -> dict[str, NamedPool]:
        """What --az-batch-pools says, by the size's name."""
        return {pool.vm_size.lower(): pool for pool in named_pools.read(self.settings.pools)}

    def _slots_per_node(self, vm: VmSize) -> int:
        named = self._named.get(vm.name.lower())
        wanted = (named and named.slots_per_node) or self.settings.slots_per_node
        return vm_sizes.task_slots(vm) if wanted is None else min(wanted, vm_sizes.most_slots(vm))

    def pool_plan(self, place: Place, run_id: str, number: int, image: str) -> PoolPlan:
        """The plan of the run's pool for such places, its `number`-th one."""
        assert self.os_images is not None
        os_image = None if self.existing else self.os_images.for_vm(place.vm)
        named = self._named.get(place.vm.name.lower())
        return PoolPlan(
            id=derived_id(run_id, "pool", str(number)),
            vm_size=place.vm.name,
            slots=place.slots_per_node,
            max_nodes=(named and named.nodes) or self.settings.nodes or DEFAULT_NODES,
            image=image,
            os_image=os_image,
            metadata=(("snakemake-run", run_id),),
            definition=self.definition,
            tasks_per_node=max(1, place.slots_per_node // place.slots),
            # Pools that stay are known by it alone.
            made_of=self.definition.digest(
                key_of(place.vm, place.spot), place.slots_per_node, image, os_image
            ),
            spot=place.spot,
            buys_spot=place.spot,
            prices=NodePrices(self.prices.of(place.vm), self.prices.of(place.vm, spot=True)),
        )


def key_of(vm: VmSize, spot: bool) -> str:
    """What a pool of such nodes is known by within a run."""
    return vm.name.lower() + (SPOT_KEY if spot else "")


def _series_of(key: str) -> str:
    return vm_sizes.series(key.removesuffix(SPOT_KEY))


def _place_on(demand: Demand, vm: VmSize, per_node: int, key: str) -> Place:
    if demand.slots is None:
        return Place(key, vm, per_node, demand.share.slots(vm, per_node))
    if demand.slots > per_node:
        # Batch would accept the task and never run it: https://github.com/Azure/Batch/issues/117
        raise SettingsError(
            f"The job needs {demand.slots} task slots and a node of {vm.name} has {per_node}: lower az_slots, or set "
            "az_vm_size to a larger size."
        )
    if vm.gpus is not None and demand.gpus > vm.gpus:
        raise DoesNotFit(vm_sizes.GPU, demand.gpus, vm.gpus, vm)
    return Place(key, vm, per_node, demand.slots)


def _closest(
    refused: list[DoesNotFit | SettingsError], had_choice: bool, names: str
) -> DoesNotFit | SettingsError:
    """The refusal by the size to which the least is lacking."""
    short = [e for e in refused if isinstance(e, DoesNotFit)]
    if not short:
        return refused[-1]
    best = max(short, key=lambda e: e.available / e.needed)
    if not had_choice:
        return best
    listed = "auto" if names.lower() == size_lists.AUTO else names.replace(",", ", ").replace(",  ", ", ")
    return DoesNotFit(
        best.resource,
        best.needed,
        best.available,
        best.vm,
        f"of the sizes {listed} the one that comes closest",
    )
