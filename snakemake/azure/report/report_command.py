"""`snakemake --az-batch-report FILE`: the report of the newest run in a working directory, or of the one that ends."""

import os
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.report import logs
from snakemake.azure.report.choice import choose
from snakemake.azure.report.found import Found
from snakemake.azure.report.journal import HOME, Event
from snakemake.azure.report.page.contents import contents, shown_failures
from snakemake.azure.report.page.html import html
from snakemake.azure.report.target import OPTION, check_target


def write_report(place: Path, target: Path, say: Callable[[str], None]) -> None:
    """Writes the report of a run. place: as of `choose`.

    Raises
    ------
    WorkflowError: there is no journal, or it can't be read; or the file can't be written, or is somebody else's.
    """
    check_target(target)
    path, events = choose(place, "run", OPTION)
    write(events, path, target)
    say(f"Wrote {target}, the report of the run in {path}.")


def write(events: Sequence[Event], journal: Path, target: Path) -> None:
    """The report of these events; what is there until it is whole stays as it is.

    Raises
    ------
    WorkflowError: the file can't be written.
    """
    found = Found.of(events)
    workdir = journal.absolute().parents[len(HOME.parts)]
    shown = logs.ends(
        workdir / logs.HOME, found.facts.runs, [attempt.task for attempt in shown_failures(found)]
    )
    page = html(contents(found, shown, journal.name, datetime.now(UTC)))
    try:
        _replace(target, page.encode("utf-8", "backslashreplace"))
    except OSError as e:
        raise WorkflowError(f"Cannot write the report {target}: {e.strerror}.") from None


def _replace(target: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(
        dir=target.absolute().parent, prefix=f".{target.name}.", delete=False
    ) as file:
        try:
            file.write(data)
            file.close()
            umask = os.umask(0)
            os.umask(umask)
            Path(file.name).chmod(0o666 & ~umask)
            Path(file.name).replace(target)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
