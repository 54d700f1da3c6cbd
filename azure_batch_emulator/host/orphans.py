"""Processes of an emulator that was killed before it could end them: tasks, and Azurite.

They are known by a variable of their environment that names the emulator's directory, and by the session that each of
them leads.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

MARK = "AZURE_BATCH_EMULATOR_LOCATION"
_DIRECTORIES = (MARK, "AZ_BATCH_NODE_ROOT_DIR")
GRACE_SECONDS = 5  # Azurite writes its data then
ROUNDS = 4


def end_orphans(location: Path) -> None:
    """Ends what still runs in the directory of an emulator, which must not run itself any more, and waits for it."""
    sessions = set(_sessions(location)) - {os.getsid(0), -1}
    end = psutil.Process.terminate
    for _ in range(ROUNDS):
        # Looked for each time: what was to end may have started others before it did.
        processes = [process for process in psutil.process_iter() if _session(process.pid) in sessions]
        if not processes:
            return
        for process in processes:
            with suppress(psutil.Error):
                end(process)
        psutil.wait_procs(processes, timeout=GRACE_SECONDS)
        end = psutil.Process.kill


def _sessions(location: Path) -> Iterable[int]:
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            continue
        for name in _DIRECTORIES:
            if name in environment and Path(environment[name]).is_relative_to(location):
                yield _session(process.pid)


def _session(pid: int) -> int:
    """-1 for a process that has gone."""
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return -1
