"""Locks of a working directory whose process is gone.

Beside Snakemake's own lock files lies a note of the process that made them. When all processes that are noted are
certainly gone, what they have locked is free; where that can't be told, the locks stay as they are, for --unlock.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from snakemake.azure.process import Process

SUFFIX = ".holder"
_SLACK = 2.0  # seconds between a file system's clock and this machine's


def note(persistence: Any) -> None:
    """Notes this process, before it locks the files of a Snakemake `persistence` that keeps its locks as files."""
    if (folder := _folder(persistence)) is None:
        return
    process = Process.current()
    with suppress(OSError):  # the locks alone do what they always did
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{process.host}-{process.pid}{SUFFIX}").write_text(json.dumps(process.to_json()))


def clear(persistence: Any) -> None:
    """Removes the locks of processes that are gone."""
    if (folder := _folder(persistence)) is None:
        return
    notes = sorted(folder.glob(f"*{SUFFIX}"))
    holders = [_read(path) for path in notes]
    if not notes or not all(holder is not None and holder.is_gone for holder in holders):
        return
    since = min(holder.since.timestamp() for holder in holders if holder is not None)
    with suppress(OSError):
        for path in folder.glob("*.lock"):
            if path.stat().st_mtime >= since - _SLACK:
                path.unlink(missing_ok=True)
        for path in notes:
            path.unlink(missing_ok=True)


def _folder(persistence: Any) -> Path | None:
    folder = getattr(persistence, "_lockdir", None)
    return Path(folder) if folder else None


def _read(path: Path) -> Process | None:
    try:
        return Process.from_json(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None
