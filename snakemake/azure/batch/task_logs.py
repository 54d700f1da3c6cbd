"""The logs of a failed task: fetched from its node while it is there, else from where the task stored them; kept here,
and their end shown."""

from pathlib import Path

from snakemake.azure.batch.run import BatchRun, PoolQueue
from snakemake.azure.blob.stored_logs import STDERR, STDOUT

FILES = (STDERR, STDOUT)

SHOWN_LINES = 40
"""How many of the last lines of a failed task's stderr go into the error message."""


def fetch(run: BatchRun, queue: PoolQueue, task_id: str, home: Path) -> dict[str, Path]:
    """Saves the task's stderr and stdout below `home/RUN/TASK`; returns where, without those that are empty or gone."""
    folder = home / run.id / task_id
    saved = {}
    for name in FILES:
        if data := run.log_file(queue, task_id, name):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
            saved[name] = folder / name
    return saved


def excerpt(logs: dict[str, Path]) -> str:
    """The end of the stderr among `logs`, for an error message."""
    if "stderr.txt" not in logs:
        return "The node has no stderr of the task any more, or it is empty. "
    lines = logs["stderr.txt"].read_text(encoding="utf-8", errors="replace").splitlines()
    shown = lines[-SHOWN_LINES:]
    title = f"The last {len(shown)} of {len(lines)} lines" if len(lines) > len(shown) else "The content"
    return f"\n{title} of the task's stderr:\n" + "".join(f"  | {line}\n" for line in shown)
