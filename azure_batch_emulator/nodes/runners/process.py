"""Runs tasks as plain processes of this machine, for where there is no container engine.

What differs from a real node: a container's image is not used (its name is only checked), the slots of a
task bound neither its memory nor its cores, and a task runs as the emulator's own user.

A task is a session of its own. What it starts in other sessions is known by its environment, which names the task's
directory.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psutil

from ...core.entities import Ended, Failed
from .base import Kills, NodeSpec, TaskLaunch, program_not_found, split_command
from .image_references import check_references
from .sudo import Sudo

GRACE_SECONDS = 2.0
KILL_ROUNDS = 1000  # even against a task that does nothing but start processes


class ProcessRunner:
    """See the module."""

    name = "process"

    def __init__(self, grace_seconds: float = GRACE_SECONDS) -> None:
        self._grace = grace_seconds
        self._kills = Kills()
        self._lock = threading.Lock()
        self._running: dict[str, Started] = {}
        self._lingering: dict[str, Started] = {}
        self._timers: dict[str, threading.Timer] = {}
        self._sudo = Sudo()

    def boot_node(self, node: NodeSpec) -> Failed | None:
        return check_references(node.container_images)

    def run(self, launch: TaskLaunch) -> Ended:
        words = split_command(launch.command_line)
        if isinstance(words, Failed):
            return Ended(None, words)
        if launch.container and (failure := check_references((launch.container.image,))):
            return Ended(None, failure)
        try:
            started = self._start(launch, words)
        except FileNotFoundError:
            return Ended(None, program_not_found(words[0]))
        except (OSError, ValueError) as error:
            message = f"The program {words[0]!r} cannot be started: {error}."
            return Ended(None, Failed("UserError", "CommandLaunchFailed", message))
        if started is None:
            return Ended(None, None)
        code, user, kernel = self._wait(launch, started)
        return Ended(code, None, user_time=user, kernel_time=kernel)

    def kill(self, run_id: str) -> None:
        self._kills.add(run_id)
        with self._lock:
            self._end(run_id)
            self._clear(run_id)

    def remove_node(self, node: NodeSpec) -> None:
        pass

    def close(self) -> None:
        self._kills.add_all()
        with self._lock:
            for run_id in list(self._running):
                self._end(run_id)
            for run_id in list(self._lingering):
                self._clear(run_id)
        self._sudo.close()

    def _start(self, launch: TaskLaunch, words: list[str]) -> "Started | None":
        """Starts the command unless it was killed already; then None."""
        with (
            (launch.task_dir / "stdout.txt").open(launch.output_mode) as out,
            (launch.task_dir / "stderr.txt").open(launch.output_mode) as err,
            self._lock,
        ):
            if launch.run_id in self._kills:
                return None
            process = subprocess.Popen(
                words,
                cwd=launch.task_dir / "wd",
                env=task_environment(launch, self._sudo.folder(launch.elevated)),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
            started = self._running[launch.run_id] = Started(process, launch.task_dir)
            return started

    def _wait(self, launch: TaskLaunch, started: "Started") -> tuple[int, timedelta, timedelta]:
        # The ended process stays unreaped until its session is cleared: so its id can't be given away.
        pid = started.process.pid
        end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert end is not None
        user, kernel = processor_times(pid)
        with self._lock:
            del self._running[launch.run_id]
            if timer := self._timers.pop(launch.run_id, None):
                timer.cancel()
            self._lingering[launch.run_id] = started
            if launch.stage != "coordination" or launch.run_id in self._kills:
                self._clear(launch.run_id)
        code = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
        return code, user, kernel

    def _clear(self, run_id: str) -> None:
        """Ends what a command left running. The lock is held."""
        if started := self._lingering.pop(run_id, None):
            started.kill()
            started.process.wait()

    def _end(self, run_id: str) -> None:
        """Asks a running task to end, and makes it end when the grace is over. The lock is held."""
        if run_id in self._running and run_id not in self._timers:
            self._running[run_id].signal(signal.SIGTERM)
            timer = threading.Timer(self._grace, self._force, [run_id])
            timer.daemon = True
            self._timers[run_id] = timer
            timer.start()

    def _force(self, run_id: str) -> None:
        with self._lock:
            if started := self._running.get(run_id):
                started.kill()


@dataclass(frozen=True)
class Started:
    """A task's command: the leader of its session, and the task's directory."""

    process: subprocess.Popen
    directory: Path

    def signal(self, number: int) -> set[int]:
        """Sends a signal to every process of the task, whichever group or session it is in. Returns their ids."""
        found = set()
        for pid in psutil.pids():
            try:
                if os.getsid(pid) == self.process.pid or self._marked(pid):
                    os.kill(pid, number)
                    found.add(pid)
            except (ProcessLookupError, PermissionError):
                continue
        return found

    def kill(self) -> None:
        """Kills every process of the task, also those that were started while the others were being killed."""
        killed: set[int] = set()
        for _ in range(KILL_ROUNDS):
            found = self.signal(signal.SIGKILL)
            # Who has been killed starts nothing any more: when there is nobody new, nobody is left.
            if found <= killed:
                return
            killed |= found

    def _marked(self, pid: int) -> bool:
        try:
            environment = psutil.Process(pid).environ()
        except (psutil.Error, OSError):
            return False
        directory = str(self.directory)
        return environment.get("AZ_BATCH_TASK_DIR") == directory or (
            environment.get("HOME", "").startswith(directory + os.sep)
        )


def task_environment(launch: TaskLaunch, sudo: str) -> Mapping[str, str]:
    """The task's own variables and the few that a Linux node gives; nothing of the emulator's. A node sets neither
    LANG nor TMPDIR.

    The folder with the node's `sudo` comes first on the PATH, then that of the interpreter that runs the emulator: it
    is the one that has Snakemake.
    """
    own = launch.environment
    path = [sudo, str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    path += [own[name] for name in ("AZ_BATCH_NODE_SHARED_DIR", "AZ_BATCH_TASK_WORKING_DIR") if name in own]
    user = {"USER": own["AZ_BATCH_TASK_USER"]} if "AZ_BATCH_TASK_USER" in own else {}
    return {"PATH": os.pathsep.join(path), "HOME": str(launch.task_dir / "wd"), **user, **own}


def processor_times(pid: int) -> tuple[timedelta, timedelta]:
    """What an ended process that has not been reaped took in user and in kernel mode, with what it waited for."""
    times = psutil.Process(pid).cpu_times()
    user, kernel = times.user + times.children_user, times.system + times.children_system
    return timedelta(seconds=user), timedelta(seconds=kernel)
