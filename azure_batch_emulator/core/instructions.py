"""What the core asks the engine to do. Reports come back as stimuli: `boot.booted`, `leaving.removed`,
`reports.running`, `reports.exited`, `reports.uploaded`, `timers.fire`."""

from dataclasses import dataclass
from datetime import datetime

from .entities import RunKind, Spec


@dataclass(frozen=True)
class BootNode:
    """Make a node ready. `boot` comes back with the report; `keep` what its disk holds, after a reboot."""

    pool: str
    node: str
    boot: int
    keep: bool
    number: int
    vm_size: str
    slots: int
    images: tuple[str, ...]
    registries: tuple[dict, ...]
    packages: tuple[dict, ...] = ()
    mounts: tuple[dict, ...] = ()


@dataclass(frozen=True)
class RemoveNode:
    pool: str
    node: str


@dataclass(frozen=True)
class Part:
    """A run's part in a multi-instance task: its number, whether it is the coordination command, and address and
    cores of all nodes, the primary's first."""

    instance: int
    coordination: bool
    hosts: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class StartRun:
    """Launch a command. `spec` is the start, preparation, release or plain task as the user gave it;
    `fetch` is False for a retry on the same node, which keeps its directory and its resource files; `identities` are
    the resource ids of the pool's."""

    run: str
    kind: RunKind
    pool: str
    node: str
    dedicated: bool
    job: str | None
    task: str
    spec: Spec
    common_environment: tuple[dict, ...]
    prep_task: str | None
    users: tuple[dict, ...]
    slots: int
    fetch: bool
    identities: tuple[str, ...] = ()
    part: Part | None = None


@dataclass(frozen=True)
class KillRun:
    """End a run; one that is over may have left processes behind: those."""

    run: str


@dataclass(frozen=True)
class UploadOutputs:
    """Upload the files that match; `success` is how the command ended."""

    run: str
    node: str
    job: str
    task: str
    files: tuple[dict, ...]
    success: bool


@dataclass(frozen=True)
class DeleteFiles:
    """Delete a job's directory on a node, or with `task` only that task's."""

    node: str
    job: str
    task: str | None = None


@dataclass(frozen=True)
class SetTimer:
    """Report `timers.fire(*key)` at `at`. Timers are never cancelled: those that outlive their cause do nothing."""

    at: datetime
    key: tuple


NodeInstruction = BootNode | RemoveNode | StartRun | KillRun | UploadOutputs | DeleteFiles
Instruction = NodeInstruction | SetTimer
