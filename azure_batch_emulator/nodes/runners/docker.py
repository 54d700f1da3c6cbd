"""Runs tasks as containers of the Docker engine of this machine.

A container sees what it sees on a real node: the node's root directory at its own path, the task's
variables, the task's command line as its command. What differs: the slots of a task bound its memory and its
cores (a real node only counts them), so that a task that asks for too little fails here first; a container is
always removed when it has ended; and it uses this machine's network, so that it reaches the emulator and
Azurite.

https://learn.microsoft.com/azure/batch/batch-docker-container-workloads
"""

import logging
import os
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.errors import APIError
from docker.types import LogConfig, Mount, Ulimit
from docker.utils.socket import frames_iter

from ...core.entities import Ended, Failed
from .base import Kills, NodeSpec, TaskLaunch, program_not_found, split_command
from .container_engine import (
    ENGINE_ERRORS,
    connect,
    ensure_image,
    is_local,
    own_labels,
    remove_container,
    remove_orphans,
    unavailable,
)
from .process import ProcessRunner
from .run_options import RunOptions, invalid_settings, parse_run_options

log = logging.getLogger(__name__)
CPU_PERIOD_US = 100_000
MINIMUM_MEMORY_BYTES = 6 << 20
# The user and the group of tasks that are no administrators, where the emulator itself is root.
TASK_USER = (1000, 1000)


class DockerRunner:
    """Each task is a container; a task without container settings is a process, as on a real node."""

    name = "docker"

    def __init__(self) -> None:
        self._processes = ProcessRunner()
        self._kills = Kills()
        self._lock = threading.Lock()
        self._containers: dict[str, Any] = {}
        self._client: DockerClient | None = None

    def boot_node(self, node: NodeSpec) -> Failed | None:
        try:
            client = self._engine()
            for image in node.container_images:
                if failure := ensure_image(client, image, node.registries):
                    return failure
            if _is_root():
                for path in (node.root_dir, *node.root_dir.glob("*/")):
                    os.chown(path, *TASK_USER)
        except ENGINE_ERRORS as error:
            return unavailable(error)
        return None

    def run(self, launch: TaskLaunch) -> Ended:
        if launch.container is None:
            return self._processes.run(launch)
        options = parse_run_options(launch.container.run_options)
        if isinstance(options, Failed):
            return Ended(None, options)
        words = split_command(launch.command_line) if launch.command_line.strip() else []
        if isinstance(words, Failed):
            return Ended(None, words)
        if _is_root() and not launch.elevated:
            _give(launch.task_dir, launch.user or TASK_USER)
        try:
            return self._run(self._engine(), launch, options, words)
        except ENGINE_ERRORS as error:
            return Ended(None, unavailable(error))

    def kill(self, run_id: str) -> None:
        self._processes.kill(run_id)
        self._kills.add(run_id)
        with self._lock:
            container = self._containers.get(run_id)
        if container is not None:
            self._kill_safely(container)

    def remove_node(self, node: NodeSpec) -> None:
        """Images stay on the engine: the next node needs them again."""

    def close(self) -> None:
        self._processes.close()
        self._kills.add_all()
        with self._lock:
            containers = list(self._containers.values())
        for container in containers:
            self._kill_safely(container)

    def _kill_safely(self, container) -> None:
        """When the engine does not answer, `run` learns of it as well, and ends."""
        try:
            _kill(container)
        except ENGINE_ERRORS as error:
            log.warning("Container %s could not be killed: %s", container.short_id, error)

    def _engine(self) -> DockerClient:
        """The connection, made at the first use; containers of emulators that crashed go then."""
        with self._lock:
            if self._client is None:
                client = connect()
                remove_orphans(client)
                self._client = client
            return self._client

    def _run(self, client: DockerClient, launch: TaskLaunch, options: RunOptions, words: list[str]) -> Ended:
        assert launch.container is not None
        killed = Ended(None, None)
        failure = ensure_image(
            client, launch.container.image, registries(launch), lambda: launch.run_id in self._kills
        )
        if failure:
            return Ended(None, failure)
        if launch.run_id in self._kills:
            return killed
        try:
            container = client.containers.create(**container_settings(client, launch, options, words))
        except APIError as error:
            return Ended(None, invalid_settings(str(error.explanation or error)))
        with self._lock:
            self._containers[launch.run_id] = container
        try:
            if launch.run_id in self._kills:
                return replace(killed, container_id=container.id)
            return self._carry_out(container, launch, words)
        finally:
            with self._lock:
                del self._containers[launch.run_id]
            remove_container(container)

    def _carry_out(self, container, launch: TaskLaunch, words: list[str]) -> Ended:
        with ExitStack() as stack:
            files = {
                number: stack.enter_context((launch.task_dir / name).open(launch.output_mode, buffering=0))
                for number, name in ((1, "stdout.txt"), (2, "stderr.txt"))
            }
            # Attached before the start, so that nothing that the task writes is missed.
            stream = container.attach_socket(params={"stdout": 1, "stderr": 1, "stream": 1})
            stack.callback(stream.close)
            try:
                container.start()
            except APIError as error:
                reason = str(error.explanation or error)
                return Ended(None, launch_failure(words, reason), container.id)
            if launch.run_id in self._kills:
                _kill(container)
            for number, data in frames_iter(stream, tty=False):
                files[number].write(data)
        code = container.wait(timeout=None)["StatusCode"]
        container.reload()
        return Ended(code, None, container.id, out_of_memory(container, launch))


def _is_root() -> bool:
    return os.geteuid() == 0


def _give(directory: Path, user: tuple[int, int]) -> None:
    """Makes a directory, with all in it, a user's."""
    for parent, directories, names in os.walk(directory):
        for path in (parent, *(os.path.join(parent, name) for name in (*directories, *names))):  # noqa: PTH118
            with suppress(FileNotFoundError):  # what coordination left running goes on meanwhile
                os.chown(path, *user, follow_symlinks=False)


def _kill(container) -> None:
    """Kills a container; one that does not run yet, or no longer, is let be."""
    try:
        container.kill()
    except APIError as error:
        if error.status_code not in (404, 409):
            raise


def share_of_node(launch: TaskLaunch) -> tuple[float, int]:
    """The cores and the bytes of memory that a task's slots are of its node."""
    share = min(1.0, launch.slots / launch.node.slots)
    memory = int(launch.node.memory_mib * share) << 20
    return launch.node.cores * share, max(memory, MINIMUM_MEMORY_BYTES)


def registries(launch: TaskLaunch) -> tuple[Mapping, ...]:
    """The registries that may have a login for the task's image: its own first, then the pool's."""
    own = launch.container.registry if launch.container else None
    return ((own,) if own else ()) + launch.node.registries


def node_mounts(launch: TaskLaunch) -> list[Mount]:
    """What the container sees of the node, at the node's own paths: its whole root, or the directories chosen."""
    assert launch.container is not None
    root = launch.node.root_dir
    if launch.container.mounts is None:
        return [Mount(str(root), str(root), type="bind")]
    places = {
        "Shared": root / "shared",
        "Startup": root / "startup",
        "VfsMounts": root / "fsmounts",
        "Task": launch.task_dir,
        "Applications": root / "applications",
    }
    if prep := launch.environment.get("AZ_BATCH_JOB_PREP_DIR"):
        places["JobPrep"] = Path(prep)
    return [
        Mount(str(places[mount.source]), str(places[mount.source]), type="bind", read_only=mount.read_only)
        for mount in launch.container.mounts
        if mount.source in places
    ]


def container_settings(
    client: DockerClient, launch: TaskLaunch, options: RunOptions, words: list[str]
) -> dict[str, Any]:
    """What the engine is asked to make of a task: keywords of the SDK's `containers.create`."""
    assert launch.container is not None
    owner = os.stat(launch.task_dir)  # noqa: PTH116
    cores, memory = share_of_node(launch)
    own_directory = launch.container.working_directory == "containerImageDefault"
    settings: dict[str, Any] = {
        "image": launch.container.image,
        "command": words or None,
        "environment": options.environment_over(launch.environment),
        "labels": {**own_labels(), "azure-batch-emulator.run": launch.run_id},
        "mounts": node_mounts(launch),
        "volumes": list(options.volumes),
        "user": options.user or ("0:0" if launch.elevated else f"{owner.st_uid}:{owner.st_gid}"),
        "working_dir": options.workdir or (None if own_directory else str(launch.task_dir / "wd")),
        "entrypoint": options.entrypoint,
        # A quota may be more than this machine has, as nodes may be larger; a number of CPUs may not.
        "cpu_period": CPU_PERIOD_US,
        "cpu_quota": max(1000, int(cores * CPU_PERIOD_US)),
        "mem_limit": memory,
        "memswap_limit": memory,
        "shm_size": options.shm_size,
        "ipc_mode": options.ipc,
        "ulimits": [Ulimit(name=name, soft=soft, hard=hard) for name, soft, hard in options.ulimits],
        "network_mode": options.network or ("host" if is_local(client) else None),
        # The output is read as it comes; the engine need not keep it as well.
        "log_config": LogConfig(type=LogConfig.types.NONE),
    }
    return {name: value for name, value in settings.items() if value is not None}


def launch_failure(words: list[str], reason: str) -> Failed:
    """Why a container that was made did not start."""
    if "executable file not found" in reason or "no such file or directory" in reason:
        return program_not_found(words[0] if words else "")
    return Failed("UserError", "CommandLaunchFailed", f"The container cannot be started: {reason}")


def out_of_memory(container, launch: TaskLaunch) -> tuple[tuple[str, str], ...]:
    """Details of a run in which the kernel ended a process for want of memory."""
    if not container.attrs["State"].get("OOMKilled"):
        return ()
    memory = share_of_node(launch)[1] >> 20
    text = f"The container ran out of memory: {launch.slots} of {launch.node.slots} slots are {memory} MiB."
    return (("OutOfMemory", text),)
