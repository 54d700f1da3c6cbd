"""The logs of a failed task: fetched from its node while it is there, else from where the task stored them; kept here,
and their end shown."""

import re
from pathlib import Path

from snakemake.azure.batch.pool_queue import PoolQueue
from snakemake.azure.batch.run import BatchRun
from snakemake.azure.blob.stored_logs import STDERR, STDOUT

FILES = (STDERR, STDOUT)
RULE_LOG = "log.txt"

SHOWN_LINES = 40
"""How many of the last lines of a failed task's stderr go into the error message."""


SHOWN_BYTES = 8_000
"""And how much of them at the most: a line may have no end."""

_KILLED = re.compile(rb"exit status 137\b|SIGKILL|\bOOMKilled\b|\boom-kill\b")


def fetch(run: BatchRun, queue: PoolQueue, task_id: str, home: Path) -> dict[str, Path]:
    """Saves the task's stderr and stdout below `home/RUN/TASK`; returns where, without those that are empty or gone.

    A job may print what is secret, so they are for their owner alone.
    """
    return {
        name: _save(run, task_id, home, name, data)
        for name in FILES
        if (data := run.log_file(queue, task_id, name))
    }


def keep(run: BatchRun, task_id: str, home: Path, rule_log: str) -> None:
    """Saves the end of the rule's own log beside them."""
    _save(run, task_id, home, RULE_LOG, rule_log.strip("\n").encode(errors="replace"))


def _save(run: BatchRun, task_id: str, home: Path, name: str, data: bytes) -> Path:
    folder = home / run.id / task_id
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.chmod(0o700)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).touch(mode=0o600)
    (folder / name).write_bytes(data)
    return folder / name


def excerpt(logs: dict[str, Path]) -> str:
    """The end of the stderr among `logs`, for an error message."""
    if "stderr.txt" not in logs:
        return "The node has no stderr of the task any more, or it is empty. "
    data = logs["stderr.txt"].read_bytes()
    lines = data.decode("utf-8", errors="replace").splitlines()
    shown = lines[-SHOWN_LINES:]
    if sum(map(len, shown)) > SHOWN_BYTES:
        end = "\n".join(shown)[-SHOWN_BYTES:]
        return _cut(len(data), logs["stderr.txt"]) + "".join(f"  | {line}\n" for line in end.splitlines())
    title = f"The last {len(shown)} of {len(lines)} lines" if len(lines) > len(shown) else "The content"
    return f"\n{title} of the task's stderr:\n" + "".join(f"  | {line}\n" for line in shown)


def says_killed(logs: dict[str, Path]) -> bool:
    """Whether the end of the stderr among `logs` tells of a process that the system has killed."""
    if "stderr.txt" not in logs:
        return False
    return _KILLED.search(logs["stderr.txt"].read_bytes()[-SHOWN_BYTES:]) is not None


def _cut(size: int, path: Path) -> str:
    return f"\nThe last {SHOWN_BYTES:,} of {size:,} characters of the task's stderr, which is in {path}:\n"
