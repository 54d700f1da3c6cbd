"""The ends of logs of tasks that failed, as a run keeps them below its working directory."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from snakemake.azure.batch.ids import is_valid
from snakemake.azure.secrets import without_secrets

HOME = Path(".snakemake") / "azure_batch_logs"
"""Where they are, in a folder for each run with a folder for each task."""

FILES: Mapping[str, str] = {"stderr.txt": "stderr", "stdout.txt": "stdout", "log.txt": "the rule's log"}
LINES, BYTES = 40, 8_000
"""Of an end, at the most."""

_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def ends(home: Path, runs: Iterable[str], tasks: Iterable[str]) -> dict[str, dict[str, str]]:
    """By task, those of its logs that are there and not empty, without credentials and without what is for terminals.

    stdout is left out where stderr says something: Snakemake and most programs tell their errors there.
    """
    folders = [home / run for run in runs if is_valid(run)]
    found: dict[str, dict[str, str]] = {}
    for task in filter(is_valid, tasks):
        for folder in folders:
            texts = {name: text for file, name in FILES.items() if (text := _end(folder / task / file))}
            if "stderr" in texts:
                texts.pop("stdout", None)
            if texts:
                found[task] = texts
    return found


def _end(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - BYTES))
            data = file.read(BYTES)
    except OSError:
        return ""
    lines = without_secrets(data.decode("utf-8", errors="replace")).replace("\r\n", "\n").splitlines()
    return _TERMINAL.sub("", "\n".join(lines[-LINES:])).strip("\n")
