"""What a runner is: the part of a compute node that carries out tasks.

The service decides that a task runs on a node, makes its directory (`task_dir` with `wd` in it) and its
environment, and calls `run` in a thread of its own. The runner starts the command, writes `stdout.txt` and
`stderr.txt` beside `wd`, waits, and says how it ended. It judges nothing: a `Failed` means that the command
could not be started at all; an exit code, whatever it is, is for the service to judge. It is -N for a command
that signal N ended (https://github.com/Azure/Batch/issues/101), and 128 + N in a container, where the engine says so.

https://learn.microsoft.com/azure/batch/jobs-and-tasks, https://learn.microsoft.com/azure/batch/files-and-directories
"""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from ...core.entities import Ended, Failed

Stage = Literal["only", "coordination", "application"]


@dataclass(frozen=True)
class BindMount:
    """A directory of the node that a container sees: `source` is one of Batch's names for them, such as Shared."""

    source: str
    read_only: bool


@dataclass(frozen=True)
class ContainerSpec:
    """A task's containerSettings. `run_options` are extra arguments of `docker create`, as one string;
    `working_directory` is `taskWorkingDirectory` or `containerImageDefault`; `registry` is the task's own
    (`registryServer`, `username`, `password`); `mounts` are all that the container sees of the node, None for
    everything."""

    image: str
    run_options: str
    working_directory: str
    registry: Mapping | None = None
    mounts: tuple[BindMount, ...] | None = None


@dataclass(frozen=True)
class NodeSpec:
    """A compute node: its root directory (AZ_BATCH_NODE_ROOT_DIR), its cores, its memory in MiB, its task
    slots, the images that the pool wants on it before the first task, and the registries they come from
    (`registryServer`, `username`, `password` as in the pool's containerRegistries)."""

    node_id: str
    root_dir: Path
    cores: int
    memory_mib: int
    slots: int
    container_images: tuple[str, ...]
    registries: tuple[Mapping, ...]


@dataclass(frozen=True)
class TaskLaunch:
    """One run of a task. `run_id` is unique among all runs, retries included; `slots` is how many of the
    node's slots the task takes; `elevated` is an administrator's elevation level; `user` is the user's and the group's
    number of a named user that has them. After a `coordination` command what it left running stays, until the run is
    killed; the `application` command's output follows that command's."""

    run_id: str
    node: NodeSpec
    task_dir: Path
    command_line: str
    environment: Mapping[str, str]
    container: ContainerSpec | None
    elevated: bool
    slots: int
    user: tuple[int, int] | None = None
    stage: Stage = "only"

    @property
    def output_mode(self) -> str:
        """How the output files are opened."""
        return "ab" if self.stage == "application" else "wb"


class Runner(Protocol):
    """Starts and ends tasks on nodes; every method may be called from any thread."""

    name: str

    def boot_node(self, node: NodeSpec) -> Failed | None:
        """Makes a node ready, its images included. Blocks. A Failed means that the node is unusable."""

    def run(self, launch: TaskLaunch) -> Ended:
        """Carries out a task, from its start to its end. Blocks."""

    def kill(self, run_id: str) -> None:
        """Ends a run, with all it started; `run` then returns. Also before `run` was called, after it, and again."""

    def remove_node(self, node: NodeSpec) -> None:
        """Gives up what `boot_node` made; the node's tasks are over."""

    def close(self) -> None:
        """Kills every run that is left. Later runs end at once, as killed."""


_PIECE = re.compile(
    r"""(?P<space>[ \t\r\n]+) | (?P<plain>[^ \t\r\n'"\\]+) | '(?P<single>[^']*)'
    | "(?P<double>(?:[^"\\]|\\.)*)" | \\(?P<escaped>.)""",
    re.VERBOSE | re.DOTALL,
)


def split_words(text: str) -> list[str]:
    """As `shlex.split` does it, in linear time; a ValueError for a quotation that does not end, or a last backslash."""
    words: list[str] = []
    pieces: list[str] | None = None
    end = 0
    for match in _PIECE.finditer(text):
        if match.start() != end:
            break
        end = match.end()
        kind, value = match.lastgroup, match[match.lastgroup or 0]
        if kind == "space":
            if pieces is not None:
                words.append("".join(pieces))
            pieces = None
            continue
        pieces = [] if pieces is None else pieces
        pieces.append(re.sub(r'\\(["\\])', r"\1", value) if kind == "double" else value)
    if end != len(text):
        raise ValueError("No escaped character" if text[end] == "\\" else "No closing quotation")
    if pieces is not None:
        words.append("".join(pieces))
    return words


def split_command(command_line: str) -> list[str] | Failed:
    """The words of a command line as a Linux node sees them: quotes count, but no shell expands anything.

    https://learn.microsoft.com/azure/batch/batch-compute-node-environment-variables#command-line-expansion-of-environment-variables
    """
    try:
        words = split_words(command_line)
    except ValueError as error:
        return Failed(
            "UserError", "CommandLaunchFailed", f"The command line cannot be split into words: {error}."
        )
    if not words:
        return Failed("UserError", "CommandLaunchFailed", "The command line is empty.")
    return words


def program_not_found(program: str) -> Failed:
    return Failed(
        "UserError",
        "CommandProgramNotFound",
        "The specified command program is not found",
        (("Message", f"There is no program {program!r} on the PATH of the task."),),
    )


class Kills:
    """Remembers which runs are to end, also those that have not begun.

    A kill of a run that is over can't be told from one that is still to come, so both are kept; the oldest
    go when there are very many of them.
    """

    KEEP = 10_000

    def __init__(self) -> None:
        self._runs: dict[str, None] = {}
        self._all = False
        self._lock = threading.Lock()

    def add(self, run_id: str) -> None:
        with self._lock:
            self._runs[run_id] = None
            while len(self._runs) > self.KEEP:
                del self._runs[next(iter(self._runs))]

    def add_all(self) -> None:
        with self._lock:
            self._all = True

    def __contains__(self, run_id: str) -> bool:
        with self._lock:
            return self._all or run_id in self._runs
