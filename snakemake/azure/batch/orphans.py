"""What a run had to leave in Azure: noted in the working directory, and deleted by the next run there.

A note is a JSON file `.snakemake/azure_batch/left-RUN.json` with the endpoints, the kinds and the names, and no secret.
It is written as soon as something can't be deleted at once, since the process may not live to the end of its attempts.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError

HOME = Path(".snakemake") / "azure_batch"
"""Below the working directory."""


@dataclass(frozen=True)
class Account:
    """The endpoints that names belong to, without a SAS."""

    batch: str
    storage: str


def path_of(run: str, home: Path = HOME) -> Path:
    return home / f"left-{run}.json"


def note(run: str, account: Account, left: Sequence[tuple[str, str]], home: Path = HOME) -> None:
    """Notes what is left of the run, as pairs of kind and name; nothing left removes the note."""
    path = path_of(run, home)
    if not left:
        path.unlink(missing_ok=True)
        return
    home.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"run": run, **asdict(account), "left": list(left)}, indent=2)
    # Whole or not at all.
    partial = path.with_suffix(".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)


def delete(
    account: Account,
    deleters: Mapping[str, Callable[[str], bool | None]],
    say: Callable[[str], None],
    warn: Callable[[str], None],
    home: Path = HOME,
) -> None:
    """Deletes what earlier runs of this directory noted; `deleters` are by kind, and say whether there was one, or None
    for what is not to be deleted yet. What can't be deleted is warned of and stays noted."""
    for path in sorted(home.glob("left-*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):  # a note that is none is left alone
            noted = json.loads(path.read_text(encoding="utf-8"))
            run, left = str(noted["run"]), [(str(what), str(name)) for what, name in noted["left"]]
            if Account(noted["batch"], noted["storage"]) != account:
                warn(
                    f"Azure Batch: an earlier run left something in {noted['batch']} and {noted['storage']}, which "
                    f"this run does not use; {path} says what."
                )
                continue
            note(run, account, _delete(run, left, deleters, say, warn), home)


def _delete(
    run: str,
    left: Sequence[tuple[str, str]],
    deleters: Mapping[str, Callable[[str], bool | None]],
    say: Callable[[str], None],
    warn: Callable[[str], None],
) -> list[tuple[str, str]]:
    """What is still left."""
    still = []
    for what, name in left:
        try:
            existed = deleters[what](name)
            if existed is None:
                still.append((what, name))
            elif existed:
                say(f"Azure Batch: deleted the {what} {name}, which the run {run} had to leave.")
        except (WorkflowError, KeyError) as e:
            warn(f"Azure Batch: the {what} {name} of the run {run} could not be deleted: {e}")
            still.append((what, name))
    return still
