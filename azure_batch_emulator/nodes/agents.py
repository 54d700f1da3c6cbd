"""The agents of all nodes: threads that carry out what the core asks of nodes, with a runner, and report back."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import layout
from ..core.bodies.catalogue import VmSize
from ..core.entities import Ended, Failed
from ..core.instructions import (
    BootNode,
    DeleteFiles,
    KillRun,
    NodeInstruction,
    RemoveNode,
    StartRun,
    UploadOutputs,
)
from ..core.nodes import boot, leaving
from ..core.runs import reports
from ..host.threads import Workers
from . import environment, registries, transfer, workspace
from .access import NodeAccess
from .linked_storage import LinkedStorage
from .logs import NodeLogs
from .mounts import Mounts
from .packages import Installer
from .runners import BindMount, ContainerSpec, NodeSpec, Runner, Stage, TaskLaunch
from .workspace import Workspace

log = logging.getLogger("azure_batch_emulator.engine")


@dataclass(frozen=True)
class NodeServices:
    """What all nodes of an account have in common. `account_url` is what tasks see as AZ_BATCH_ACCOUNT_URL; `sizes` are
    those of the region's VMs, by lower-case name."""

    account: str
    account_url: str
    linked_storage: LinkedStorage
    workspace: Workspace
    packages: Installer
    access: NodeAccess
    logs: NodeLogs
    mounts: Mounts
    sizes: Mapping[str, VmSize]


class NodeAgents:
    """`report(stimulus, *arguments)` applies a stimulus to the machine; it may be called from any thread."""

    def __init__(
        self, runner: Runner, services: NodeServices, workers: Workers, report: Callable[..., None]
    ) -> None:
        self._runner, self._services, self._workers, self._report = runner, services, workers, report
        self._lock = threading.Lock()
        self._nodes: dict[str, NodeSpec] = {}
        self._packages: dict[str, dict[str, str]] = {}
        self._boots: dict[str, Future] = {}
        self._spoiled: dict[str, int] = {}
        self._runs: dict[str, threading.Event] = {}
        """Whether each run has been killed."""

    def close(self) -> None:
        with self._lock:
            for cancelled in self._runs.values():
                cancelled.set()
        self._runner.close()

    def root(self, node_id: str) -> Path | None:
        spec = self._nodes.get(node_id)
        return spec.root_dir if spec else None

    def spoil(self, node_id: str, exit_code: int) -> None:
        with self._lock:
            self._spoiled[node_id] = exit_code

    def carry_out(self, instruction: NodeInstruction) -> None:
        match instruction:
            case BootNode():
                before = self._boots.get(instruction.node)
                boot = self._boots[instruction.node] = self._submit(self._boot, instruction, before)
                boot.add_done_callback(lambda done: self._report_boot_crash(done, instruction))
            case RemoveNode():
                removal = self._submit(self._remove, instruction)
                removal.add_done_callback(lambda done: self._report_removal_crash(done, instruction))
            case StartRun():
                with self._lock:
                    self._runs[instruction.run] = threading.Event()
                future = self._submit(self._run, instruction)
                future.add_done_callback(lambda done: self._report_crash(done, instruction.run))
            case KillRun():
                if cancelled := self._runs.get(instruction.run):
                    cancelled.set()
                self._submit(self._runner.kill, instruction.run)
            case UploadOutputs():
                future = self._submit(self._upload, instruction)
                future.add_done_callback(lambda done: self._report_crash(done, instruction.run))
            case DeleteFiles():
                self._delete_files(instruction)

    def _delete_files(self, order: DeleteFiles) -> None:
        """Out of sight at once, because a new task may have the same directory."""
        if (root := self.root(order.node)) is None:
            return
        below = (
            layout.job_directory(order.job)
            if order.task is None
            else layout.task_directory(order.job, order.task)
        )
        try:
            discarded = self._services.workspace.discard(root / below)
        except OSError as error:  # whoever asked for more than this gets the rest of it all the same
            log.error("The directory %s can't be removed (%s).", root / below, error.strerror)
        else:
            self._submit(self._services.workspace.delete, discarded)

    def _submit(self, work: Callable[..., None], *args: Any) -> Future:
        future = self._workers.submit(work, *args)
        future.add_done_callback(_log_crash)
        return future

    def _report_crash(self, done: Future, run_id: str) -> None:
        """A defect of ours must not lose a task: it ends with the service's error."""
        if error := done.exception():
            failure = _defect(error)
            self._report(reports.exited, run_id, Ended(None, failure))
            self._report(reports.uploaded, run_id, failure)
            self._forget(run_id)

    def _report_boot_crash(self, done: Future, order: BootNode) -> None:
        """Nor may it leave a node starting for ever: the node is unusable, and says why."""
        if error := done.exception():
            self._report(boot.booted, order.pool, order.node, order.boot, _defect(error))

    def _report_removal_crash(self, done: Future, order: RemoveNode) -> None:
        """Nor keep a pool resizing: what could not be cleaned up stays on disk, but the node is gone."""
        if done.exception() is not None:
            self._report(leaving.removed, order.pool, order.node)

    # Nodes

    def _logins(self, given: tuple[Mapping, ...]) -> tuple[Mapping, ...]:
        """The pool's registries with their logins, where images are pulled at all."""
        return (
            registries.with_logins(given, self._services.access) if self._runner.name == "docker" else given
        )

    def _container(self, settings: dict | None) -> ContainerSpec | None:
        if settings is None:
            return None
        own = settings.get("registry")
        return _container(settings, next(iter(self._logins((own,))), None) if own else None)

    def _boot(self, order: BootNode, before: Future | None) -> None:
        if before is not None:
            before.exception()  # an earlier start of the node, which has been overtaken by events
        size = self._services.sizes[order.vm_size.lower()]
        self._services.mounts.unmount(order.node)
        root = self._services.workspace.make_node(order.number, order.keep)
        self._services.access.prepare(root)
        spec = NodeSpec(
            order.node,
            root,
            size.cores,
            int(size.memory_gib * 1024),
            order.slots,
            order.images,
            self._logins(order.registries),
        )
        with self._lock:
            self._nodes[order.node] = spec  # before the runner may fail, so that its directory is removed
            if not order.keep:
                self._spoiled.pop(order.node, None)
        failure = self._runner.boot_node(spec) or self._services.mounts.mount(order.node, root, order.mounts)
        installed = self._services.packages.install(order.packages, root, "pool")
        if isinstance(installed, Failed):
            failure = failure or installed
        else:
            with self._lock:
                self._packages[order.node] = installed
        self._services.logs.write(order.node, f"node {order.number} booted: {_short(failure)}")
        self._report(boot.booted, order.pool, order.node, order.boot, failure)

    def _remove(self, order: RemoveNode) -> None:
        if boot := self._boots.pop(order.node, None):
            boot.exception()  # waits for it; a crash has been logged
        with self._lock:
            spec = self._nodes.pop(order.node, None)
            self._packages.pop(order.node, None)
            self._spoiled.pop(order.node, None)
        if spec is not None:
            self._runner.remove_node(spec)
            self._services.mounts.unmount(order.node)
            self._services.workspace.delete(self._services.workspace.discard(spec.root_dir))
        self._services.logs.remove(order.node)
        self._report(leaving.removed, order.pool, order.node)

    # Runs

    def _run(self, order: StartRun) -> None:
        cancelled = self._runs[order.run]
        what = f"{order.kind} task {order.task} of job {order.job}, run {order.run}"
        self._services.logs.write(order.node, f"{what}: begins, {order.slots} slots")
        try:
            outcome = self._launch(order, cancelled)
        except OSError as error:
            text = f"The node's disk failed: {error}."
            outcome = Ended(None, Failed("ServerError", "ResourceDirectoryCreateFailed", text))
        self._services.mounts.settle(order.node)
        log.debug("run %s of %s %s ended: %s", order.run, order.kind, order.task, outcome)
        ended = f"exit code {outcome.exit_code}, {_short(outcome.failure)}"
        self._services.logs.write(order.node, f"{what}: {ended}")
        self._report(reports.exited, order.run, outcome)
        self._forget(order.run)

    def _launch(self, order: StartRun, cancelled: threading.Event) -> Ended:
        node = self._nodes[order.node]
        directory = self._services.workspace.make_task(node.root_dir, order)
        references = order.spec.get("applicationPackageReferences", ())
        installed = self._services.packages.install(references, node.root_dir, "task")
        if isinstance(installed, Failed):
            return Ended(None, installed)
        container = order.spec.get("containerSettings")
        variables = environment.visible(
            self._services.access.environment(order, node.root_dir, self._services.account_url)
            | environment.environment(
                order, node.root_dir, self._services.account, self._services.account_url
            )
            | self._services.access.authentication_token(order)
            | self._packages.get(order.node, {})
            | installed,
            container,
        )
        if order.fetch:
            resources = self._located(order.spec.get("resourceFiles", ()))
            # The files that instances have in common lie in the directory that they share.
            below = "." if order.part and order.part.coordination else "wd"
            if failed := transfer.fetch(
                resources, directory / below, cancelled.is_set, self._services.access
            ):
                return Ended(None, failed)
        if cancelled.is_set():
            return Ended()
        self._report(reports.running, order.run)
        if code := self._spoiled.get(order.node):
            (directory / "stdout.txt").touch()
            (directory / "stderr.txt").write_text(
                "The container's process can't be started: input/output error\n"
            )
            return Ended(code)
        return self._runner.run(
            TaskLaunch(
                order.run,
                node,
                directory,
                order.spec["commandLine"],
                variables,
                self._container(container),
                environment.is_elevated(order),
                order.slots,
                environment.user_numbers(order),
                _stage(order),
            )
        )

    def _located(self, resources: Iterable[dict]) -> Iterator[dict]:
        """Resource files of the linked storage account get their container's URL; a SAS is made for each use."""
        for resource in resources:
            if name := resource.get("autoStorageContainerName"):
                yield resource | {"storageContainerUrl": self._services.linked_storage.container_url(name)}
            else:
                yield resource

    def _upload(self, order: UploadOutputs) -> None:
        node = self._nodes[order.node]
        directory = workspace.task_directory(node.root_dir, order.job, order.task)
        variables = environment.environment_of_uploads(order, node.root_dir)
        failure = transfer.upload(order.files, directory, variables, self._services.access)
        self._services.logs.write(
            order.node, f"task {order.task} of job {order.job}: output files, {_short(failure)}"
        )
        self._report(reports.uploaded, order.run, failure)

    def upload_logs(self, node_id: str, files: list[Path], container: dict, directory: str) -> None:
        def upload() -> None:
            blobs = [(file, f"{directory}/{file.name}") for file in files]
            failure = transfer.upload_files(blobs, container, self._services.access)
            self._services.logs.write(node_id, f"logs to {directory}: {_short(failure)}")

        self._submit(upload)

    def _forget(self, run_id: str) -> None:
        with self._lock:
            self._runs.pop(run_id, None)


def _short(failure: Failed | None) -> str:
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


def _stage(order: StartRun) -> Stage:
    if order.part is None:
        return "only"
    return "coordination" if order.part.coordination else "application"


def _container(settings: dict, registry: Mapping | None) -> ContainerSpec:
    mounts = settings.get("containerHostBatchBindMounts")
    return ContainerSpec(
        settings["imageName"],
        settings.get("containerRunOptions", ""),
        settings.get("workingDirectory", "taskWorkingDirectory"),
        registry,
        None if mounts is None else tuple(BindMount(m["source"], m.get("isReadOnly", False)) for m in mounts),
    )


def _log_crash(done: Future) -> None:
    if error := done.exception():
        log.error("a defect of the emulator", exc_info=error)
