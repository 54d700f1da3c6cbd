"""The loop around the core: one lock that owns the machine, a queue of its timers, and the nodes, which carry out what
it asks for and report back.

Whoever has a stimulus (the HTTP rim, a timer, a thread that watched a task end) takes the lock, lets the machine
change, and hands its instructions out before letting go, so they are handed out in the order in which they were given.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Protocol, TypeVar

from ..core import restart, snapshot, timers
from ..core.batch_service import BatchService
from ..core.bodies.mounts import Mountable
from ..core.instructions import Instruction, NodeInstruction, SetTimer
from ..core.machine import Machine
from ..core.nodes import disks, faults
from ..core.profile import Profile
from ..host.azurite import StorageAccount
from ..host.threads import Workers
from ..identity.issuer import Issuer
from ..nodes.access import NodeAccess
from ..nodes.agents import NodeAgents, NodeServices
from ..nodes.disks import DiskWatch, Key
from ..nodes.linked_storage import LinkedStorage
from ..nodes.logs import NodeLogs
from ..nodes.mounts import Mounts, mountable
from ..nodes.packages import Installer, PackageStore
from ..nodes.runners import Runner
from ..nodes.simulated import SimulatedNodes
from ..nodes.workspace import Workspace
from .clock import Clock
from .region import catalogue
from .timer_queue import TimerQueue

T = TypeVar("T")
CLOSE_SECONDS = 5.0


class Nodes(Protocol):
    """What stands for the nodes of all pools: with a runner `NodeAgents`, without one `SimulatedNodes`."""

    def carry_out(self, order: NodeInstruction) -> None:
        """Begins what the core asks for; its end is reported later. The machine is held meanwhile."""

    def root(self, node_id: str) -> Path | None:
        """The directory of a node that is up; None where there is no such node, or no directory."""

    def upload_logs(self, node_id: str, files: list[Path], container: dict, directory: str) -> None:
        """Uploads a node's log files behind the caller's back, as a node does it."""

    def spoil(self, node_id: str, exit_code: int) -> None:
        """From now on no command starts on the node, though it seems well; until its machine is a new one."""

    def close(self) -> None:
        """Ends all runs."""


class Engine:
    """A running service; `start` and `close` it. Without a runner, nodes and tasks are simulated; `account_url`: see
    NodeServices. Of the `storage` accounts the first is linked to the Batch account."""

    def __init__(
        self,
        profile: Profile,
        runner: Runner | None,
        clock: Clock,
        random: Random,
        location: Path,
        account: str,
        packages: PackageStore | None = None,
        storage: Sequence[StorageAccount] = (),
        access: NodeAccess | None = None,
        account_url: str = "",
    ) -> None:
        self.account = account
        self.clock = clock
        self.workspace = Workspace(location)
        self.access = access or NodeAccess(Issuer())
        self.linked_storage = LinkedStorage(storage[0] if storage else None, self.access)
        packages = packages or PackageStore()
        self.node_logs = NodeLogs(location / "logs", clock.now)
        self._mounts = Mounts(location, storage, self.access)
        self.catalogue = replace(
            catalogue(),
            applications=packages.applications,
            auto_storage=bool(storage),
            mountable=mountable(storage) if runner else Mountable(missing="Simulated nodes mount nothing."),
        )
        self._machine = BatchService(profile, random, clock.now(), self.catalogue)
        self._lock = threading.RLock()
        self._timers = TimerQueue(clock, self._lock, self._report)
        self._workers = Workers()
        services = NodeServices(
            account,
            account_url,
            self.linked_storage,
            self.workspace,
            Installer(packages, self.linked_storage, lambda: self.read(lambda m: m.catalogue.applications)),
            self.access,
            self.node_logs,
            self._mounts,
            self.catalogue.sizes,
        )
        self.nodes: Nodes = (
            SimulatedNodes(profile, random, self._timers.later)
            if runner is None
            else NodeAgents(runner, services, self._workers, self._report)
        )
        self._disks = DiskWatch(
            0.0 if runner is None else profile.disk,
            self._rooms,
            lambda node: self._report(disks.filled, *node),
        )
        self._stopping = self._restored = False
        self.changes = 0

    def start(self) -> None:
        self.workspace.location.mkdir(parents=True, exist_ok=True)
        self._sweep()
        self._workers.submit(self.workspace.empty_trash)
        self.call(restart.resume if self._restored else faults.begin)
        self._timers.start()
        self._disks.start()

    def _rooms(self) -> dict[Key, tuple[Path, int]]:
        def look(m: Machine) -> dict[Key, int]:
            return {
                (pool.key, node.id, node.boot): disks.disk_of_tasks(m, pool)[1]
                for pool in m.pools.values()
                for node in pool.nodes.values()
                if node.alive
            }

        found = ((key, self.nodes.root(key[1]), room) for key, room in self.read(look).items())
        return {key: (directory, room) for key, directory, room in found if directory is not None}

    def _sweep(self) -> None:
        """Removes what is left on disk of nodes that are no longer there."""
        every = [node for pool in self._machine.pools.values() for node in pool.nodes.values()]
        here = [node for node in every if node.state != "leavingpool"]
        self._mounts.sweep()
        self.workspace.sweep(node.number for node in here)
        self.node_logs.sweep(node.id for node in here)

    def freeze(self) -> None:
        """From now on nothing is reported to the machine any more: what runs counts as running when it goes on."""
        self._timers.stop()
        with self._lock:
            self._stopping = True

    def snapshot(self) -> tuple[bytes, int]:
        """The state as it is now, for `restore`, and how many changes led to it."""
        with self._lock:
            return snapshot.dump(self._machine, self._timers.waiting(timers.fire)), self.changes

    def restore(self, data: bytes) -> None:
        """Before `start`: takes over a state, which has the nodes rebooted. Time goes on from where it was, or from
        now if that is later. A SnapshotError if the state can't be read."""
        pending = snapshot.load(self._machine, data)
        self.clock.catch_up(self._machine.now)
        for at, key in pending:
            self._timers.at(at, timers.fire, key)
        self._restored = True

    def close(self) -> None:
        """Ends all tasks and waits a while for the threads."""
        self.freeze()
        self._disks.stop()
        self.nodes.close()
        self._workers.close(CLOSE_SECONDS)
        self._mounts.close()
        self.workspace.empty_trash()

    def call(self, stimulus: Callable[..., T], *args: Any) -> T:
        """Applies a stimulus to the machine and hands out what follows from it."""
        with self._lock:
            self.changes += 1
            result, instructions = self._machine.apply(self.clock.now(), stimulus, *args)
            for instruction in instructions:
                self._carry_out(instruction)
            return result

    def read(self, look: Callable[[Machine], T]) -> T:
        """What `look` sees of the machine as it is now. It changes nothing."""
        with self._lock:
            return self._machine.show(self.clock.now(), look)

    def _carry_out(self, instruction: Instruction) -> None:
        if self._stopping:
            return
        if isinstance(instruction, SetTimer):
            self._timers.at(instruction.at, timers.fire, instruction.key)
        else:
            self.nodes.carry_out(instruction)

    def _report(self, stimulus: Callable[..., None], *args: Any) -> None:
        with self._lock:
            if not self._stopping:
                self.call(stimulus, *args)
