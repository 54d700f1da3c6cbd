"""The loop around the core: one lock that owns the machine, a delay queue for its timers, and threads that carry
out what it asks for and report back.

Whoever has a stimulus (the HTTP rim, a timer, a thread that watched a task end) takes the lock, lets the machine
change, and hands its instructions out before letting go, so they are handed out in the order in which they were given.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from . import azurite, transfer, workspace
from .clock import Clock
from .core import faults, layout, nodes, restart, runs, snapshot, timers
from .core.entities import Ended, Failed
from .core.instructions import (
    BootNode,
    DeleteFiles,
    Instruction,
    KillRun,
    NodeInstruction,
    RemoveNode,
    SetTimer,
    StartRun,
    UploadOutputs,
)
from .core.machine import Machine
from .delays import Delays
from .identity.issuer import Issuer
from .modelled import Model
from .node_access import NodeAccess
from .node_logs import NodeLogs
from .packages import PackageStore
from .profile import Profile
from .region import catalogue
from .runners import BindMount, ContainerSpec, Failure, NodeSpec, Runner, Stage, TaskExit, TaskLaunch
from .workers import Workers
from .workspace import Workspace

log = logging.getLogger("azure_batch_emulator.engine")
T = TypeVar("T")
CLOSE_SECONDS = 5.0


@dataclass
class _Run:
    cancelled: threading.Event = field(default_factory=threading.Event)
    environment: dict[str, str] = field(default_factory=dict)
    directory: Path = Path()


class Engine:
    """A running service; `start` and `close` it. `account_url` is what tasks see as AZ_BATCH_ACCOUNT_URL. Without
    a runner, nodes and tasks are modelled. `auto_storage` is the URL of the storage account that is linked to the
    Batch account: an Azurite's."""

    def __init__(
        self,
        profile: Profile,
        runner: Runner | None,
        clock: Clock,
        random: Random,
        location: Path,
        account: str,
        packages: PackageStore | None = None,
        auto_storage: str | None = None,
        access: NodeAccess | None = None,
    ) -> None:
        self.account, self.account_url = account, ""
        self.clock = clock
        self.workspace = Workspace(location)
        self.packages = packages or PackageStore()
        self.access = access or NodeAccess(Issuer())
        self.node_logs = NodeLogs(location / "logs", clock.now)
        self._auto_storage = auto_storage
        self.catalogue = replace(
            catalogue(), applications=self.packages.applications, auto_storage=auto_storage is not None
        )
        self._machine = Machine(profile, random, clock.now(), self.catalogue)
        self._given_runner = runner
        self._lock = threading.RLock()
        self._delays = Delays(clock, self._lock, self._report)
        self._model = Model(profile, random, self._delays.later)
        self._stopping = self._restored = False
        self.calls = 0
        self._nodes: dict[str, NodeSpec] = {}
        self._node_packages: dict[str, dict[str, str]] = {}
        self._boots: dict[str, Future] = {}
        self._runs: dict[str, _Run] = {}
        self._workers = Workers()

    def start(self) -> None:
        self.workspace.location.mkdir(parents=True, exist_ok=True)
        self._sweep()
        self._submit(self.workspace.empty_trash)
        self.call(restart.resume if self._restored else faults.begin)
        self._delays.start()

    def _sweep(self) -> None:
        """Removes what is left on disk of nodes that are no longer there."""
        every = [node for pool in self._machine.pools.values() for node in pool.nodes.values()]
        here = [node for node in every if node.state != "leavingpool"]
        self.workspace.sweep(node.number for node in here)
        self.node_logs.sweep(node.id for node in here)

    def freeze(self) -> None:
        """From now on nothing is reported to the machine any more: what runs counts as running when it goes on."""
        self._delays.stop()
        with self._lock:
            self._stopping = True

    def snapshot(self) -> tuple[bytes, int]:
        """The state as it is now, for `restore`, and how many calls led to it."""
        with self._lock:
            return snapshot.dump(self._machine, self._delays.waiting(timers.fire)), self.calls

    def restore(self, data: bytes) -> None:
        """Before `start`: takes over a state, which has the nodes rebooted. Time goes on from where it was, or from
        now if that is later. A SnapshotError if the state can't be read."""
        pending = snapshot.load(self._machine, data)
        self.clock.catch_up(self._machine.now)
        for at, key in pending:
            self._delays.at(at, timers.fire, key)
        self._restored = True

    def close(self) -> None:
        """Ends all tasks and waits a while for the threads."""
        self.freeze()
        with self._lock:
            for run in self._runs.values():
                run.cancelled.set()
        if self._given_runner is not None:
            self._given_runner.close()
        self._workers.close(CLOSE_SECONDS)
        self.workspace.empty_trash()

    def call(self, stimulus: Callable[..., T], *args: Any) -> T:
        """Applies a stimulus to the machine and hands out what follows from it. Also for reading."""
        with self._lock:
            self.calls += 1
            result, instructions = self._machine.apply(self.clock.now(), stimulus, *args)
            for instruction in instructions:
                self._carry_out(instruction)
            return result

    def node_root(self, node_id: str) -> Path | None:
        """The directory of a node that is up."""
        spec = self._nodes.get(node_id)
        return spec.root_dir if spec else None

    # Instructions

    def _carry_out(self, instruction: Instruction) -> None:
        if self._stopping:
            return
        if isinstance(instruction, SetTimer):
            self._delays.at(instruction.at, timers.fire, instruction.key)
        elif self._given_runner is None:
            self._model.carry_out(instruction)
        else:
            self._carry_out_here(instruction)

    @property
    def _runner(self) -> Runner:
        assert self._given_runner is not None, "modelled tasks have no runner"
        return self._given_runner

    def _carry_out_here(self, instruction: NodeInstruction) -> None:
        match instruction:
            case BootNode():
                before = self._boots.get(instruction.node)
                boot = self._boots[instruction.node] = self._submit(self._boot, instruction, before)
                boot.add_done_callback(lambda done: self._report_boot_crash(done, instruction))
            case RemoveNode():
                removal = self._submit(self._remove, instruction)
                removal.add_done_callback(lambda done: self._report_removal_crash(done, instruction))
            case StartRun():
                self._runs[instruction.run] = _Run()
                future = self._submit(self._run, instruction)
                future.add_done_callback(lambda done: self._report_crash(done, instruction.run))
            case KillRun():
                if run := self._runs.get(instruction.run):
                    run.cancelled.set()
                self._submit(self._runner.kill, instruction.run)
            case UploadOutputs():
                future = self._submit(self._upload, instruction)
                future.add_done_callback(lambda done: self._report_crash(done, instruction.run))
            case DeleteFiles():
                if root := self.node_root(instruction.node):
                    job, task = instruction.job, instruction.task
                    path = root / (
                        layout.job_directory(job) if task is None else layout.task_directory(job, task)
                    )
                    self._submit(self.workspace.delete, self.workspace.discard(path))

    def _submit(self, work: Callable[..., None], *args: Any) -> Future:
        future = self._workers.submit(work, *args)
        future.add_done_callback(_log_crash)
        return future

    def _report_crash(self, done: Future, run_id: str) -> None:
        """A defect of ours must not lose a task: it ends with the service's error."""
        if error := done.exception():
            failure = _defect(error)
            self._report(runs.exited, run_id, Ended(None, failure))
            self._report(runs.uploaded, run_id, failure)
            self._forget(run_id)

    def _report_boot_crash(self, done: Future, order: BootNode) -> None:
        """Nor may it leave a node starting for ever: the node is unusable, and says why."""
        if error := done.exception():
            self._report(nodes.booted, order.pool, order.node, order.boot, _defect(error))

    def _report_removal_crash(self, done: Future, order: RemoveNode) -> None:
        """Nor keep a pool resizing: what could not be cleaned up stays on disk, but the node is gone."""
        if done.exception() is not None:
            self._report(nodes.removed, order.pool, order.node)

    def _report(self, stimulus: Callable[..., None], *args: Any) -> None:
        with self._lock:
            if not self._stopping:
                self.call(stimulus, *args)

    # Nodes

    def _boot(self, order: BootNode, before: Future | None) -> None:
        if before is not None:
            before.exception()  # an earlier start of the node, which has been overtaken by events
        size = catalogue().sizes[order.vm_size.lower()]
        root = self.workspace.make_node(order.number, order.keep)
        self.access.prepare(root)
        spec = NodeSpec(
            order.node,
            root,
            size.cores,
            int(size.memory_gib * 1024),
            order.slots,
            order.images,
            order.registries,
        )
        with self._lock:
            self._nodes[order.node] = spec  # before the runner may fail, so that its directory is removed
        failure = _core_failure(self._runner.boot_node(spec))
        installed = self.packages.install(order.packages, root, "pool")
        if isinstance(installed, Failed):
            failure = failure or installed
        else:
            with self._lock:
                self._node_packages[order.node] = installed
        self.node_logs.write(order.node, f"node {order.number} booted: {_short(failure)}")
        self._report(nodes.booted, order.pool, order.node, order.boot, failure)

    def _remove(self, order: RemoveNode) -> None:
        if boot := self._boots.pop(order.node, None):
            boot.exception()  # waits for it; a crash has been logged
        with self._lock:
            spec = self._nodes.pop(order.node, None)
            self._node_packages.pop(order.node, None)
        if spec is not None:
            self._runner.remove_node(spec)
            self.workspace.delete(self.workspace.discard(spec.root_dir))
        self.node_logs.remove(order.node)
        self._report(nodes.removed, order.pool, order.node)

    # Runs

    def _run(self, order: StartRun) -> None:
        run = self._runs[order.run]
        what = f"{order.kind} task {order.task} of job {order.job}, run {order.run}"
        self.node_logs.write(order.node, f"{what}: begins, {order.slots} slots")
        try:
            outcome = self._launch(order, run)
        except OSError as error:
            failure = Failure(
                "ServerError", "ResourceDirectoryCreateFailed", f"The node's disk failed: {error}."
            )
            outcome = TaskExit(None, failure)
        log.debug("run %s of %s %s ended: %s", order.run, order.kind, order.task, outcome)
        ended = f"exit code {outcome.exit_code}, {_short(outcome.failure)}"
        self.node_logs.write(order.node, f"{what}: {ended}")
        self._report(
            runs.exited,
            order.run,
            Ended(outcome.exit_code, _core_failure(outcome.failure), outcome.container_id, outcome.details),
        )
        self._forget(order.run)

    def _launch(self, order: StartRun, run: _Run) -> TaskExit:
        node = self._nodes[order.node]
        run.directory = self.workspace.make_task(node.root_dir, order)
        references = order.spec.get("applicationPackageReferences", ())
        installed = self.packages.install(references, node.root_dir, "task")
        if isinstance(installed, Failed):
            return TaskExit(None, _runner_failure(installed))
        container = order.spec.get("containerSettings")
        run.environment = workspace.visible(
            self.access.environment(order, node.root_dir, self.account_url)
            | workspace.environment(order, node.root_dir, self.account, self.account_url)
            | self.access.authentication_token(order)
            | self._node_packages.get(order.node, {})
            | installed,
            container,
        )
        if order.fetch:
            resources = self._located(order.spec.get("resourceFiles", ()))
            # The files that instances have in common lie in the directory that they share.
            below = "." if order.part and order.part.coordination else "wd"
            if failed := transfer.fetch(resources, run.directory / below, run.cancelled.is_set, self.access):
                return TaskExit(None, _runner_failure(failed))
        if run.cancelled.is_set():
            return TaskExit(None, None)
        self._report(runs.running, order.run)
        return self._runner.run(
            TaskLaunch(
                order.run,
                node,
                run.directory,
                order.spec["commandLine"],
                run.environment,
                _container(container),
                workspace.is_elevated(order),
                order.slots,
                workspace.user_numbers(order),
                _stage(order),
            )
        )

    def _located(self, resources: Iterable[dict]) -> Iterator[dict]:
        """Resource files of the linked storage account get their container's URL; a SAS is made for each use."""
        for resource in resources:
            if name := resource.get("autoStorageContainerName"):
                # Without an account the task is from before a restart; the URL leads nowhere, as it should.
                url = azurite.container_url(self._auto_storage or "", name)
                yield resource | {"storageContainerUrl": url}
            else:
                yield resource

    def _upload(self, order: UploadOutputs) -> None:
        node = self._nodes[order.node]
        directory = workspace.task_directory(node.root_dir, order.job, order.task)
        environment = self._environment_of(node.root_dir, order)
        failure = transfer.upload(order.files, directory, environment, self.access)
        self.node_logs.write(
            order.node, f"task {order.task} of job {order.job}: output files, {_short(failure)}"
        )
        self._report(runs.uploaded, order.run, failure)

    def _environment_of(self, root: Path, order: UploadOutputs) -> dict[str, str]:
        directory = workspace.task_directory(root, order.job, order.task)
        return {
            "AZ_BATCH_NODE_ROOT_DIR": str(root),
            "AZ_BATCH_TASK_DIR": str(directory),
            "AZ_BATCH_TASK_WORKING_DIR": str(directory / "wd"),
            "AZ_BATCH_JOB_ID": order.job,
            "AZ_BATCH_TASK_ID": order.task,
            "AZ_BATCH_NODE_ID": order.node,
        }

    def upload_logs(self, node_id: str, files: list[Path], container: dict, directory: str) -> None:
        """Uploads a node's log files behind the caller's back, as a node does it."""

        def upload() -> None:
            blobs = [(file, f"{directory}/{file.name}") for file in files]
            failure = transfer.upload_files(blobs, container, self.access)
            self.node_logs.write(node_id, f"logs to {directory}: {_short(failure)}")

        self._submit(upload)

    def _forget(self, run_id: str) -> None:
        with self._lock:
            self._runs.pop(run_id, None)


def _short(failure: Failed | Failure | None) -> str:
    """For a node's log: details may name files and URLs, but no secret."""
    if failure is None:
        return "no failure"
    return f"{failure.code} ({'; '.join(f'{name}: {value}' for name, value in failure.details)})"


def _defect(error: BaseException) -> Failed:
    return Failed(
        "ServerError",
        "InternalError",
        "The emulator failed.",
        (("Message", f"{type(error).__name__}: {error}"),),
    )


def _core_failure(failure: Failure | None) -> Failed | None:
    return Failed(failure.category, failure.code, failure.message, failure.details) if failure else None


def _runner_failure(failed: Failed) -> Failure:
    return Failure(failed.category, failed.code, failed.message, failed.details)


def _stage(order: StartRun) -> Stage:
    if order.part is None:
        return "only"
    return "coordination" if order.part.coordination else "application"


def _container(settings: dict | None) -> ContainerSpec | None:
    if settings is None:
        return None
    mounts = settings.get("containerHostBatchBindMounts")
    return ContainerSpec(
        settings["imageName"],
        settings.get("containerRunOptions", ""),
        settings.get("workingDirectory", "taskWorkingDirectory"),
        settings.get("registry"),
        None if mounts is None else tuple(BindMount(m["source"], m.get("isReadOnly", False)) for m in mounts),
    )


def _log_crash(done: Future) -> None:
    if error := done.exception():
        log.error("a defect of the emulator", exc_info=error)
