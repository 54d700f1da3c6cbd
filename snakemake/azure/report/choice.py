"""Which run a command is about: that of a journal, or the newest in a working directory."""

from collections.abc import Sequence
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.report.journal import HOME, Event, journals, read


def choose(place: Path, has: str, option: str) -> tuple[Path, list[Event]]:
    """The journal and its events. place: its file, or a working directory, of which it is the newest one that has an
    event of the name `has`; option: who asks.

    Raises
    ------
    WorkflowError: there is none, or it can't be read.
    """
    given = not place.is_dir()
    for path in [place] if given else journals(place / HOME):
        events = read_journal(path)
        if _has(events, has):
            return path, events
    if given:
        raise WorkflowError(
            f"--az-batch-journal {place} is no journal of a run on Azure Batch, or of one without jobs."
        )
    raise WorkflowError(
        f"No run on Azure Batch has left a journal in {place / HOME}, or none that had jobs: run {option} in the "
        "working directory of one, or give that as --directory, or a journal as --az-batch-journal."
    )


def read_journal(path: Path) -> list[Event]:
    """Its events.

    Raises
    ------
    WorkflowError: it can't be read.
    """
    try:
        return read(path)
    except OSError as e:
        raise WorkflowError(f"Cannot read the journal {path}: {e.strerror}.") from None


def _has(events: Sequence[Event], name: str) -> bool:
    return any(event.event == name for event in events)
