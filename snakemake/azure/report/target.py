"""The file that a report goes to, checked before anything else is done."""

import os
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError

MARK = "<!-- Written by snakemake --az-batch-report -->"
"""In the second line of each report."""

OPTION = "--az-batch-report"


def check_target(target: Path) -> None:
    """That a report can be written there, before anything else is done.

    Raises
    ------
    WorkflowError: it can't, or what is there is no report.
    """
    folder = target.absolute().parent
    if not folder.is_dir():
        raise WorkflowError(f"{OPTION} {target} cannot be written: there is no directory {folder}.")
    if target.is_dir():
        raise WorkflowError(
            f"{OPTION} {target} is a directory: give a file, such as {target / 'report.html'}."
        )
    if not os.access(target if target.exists() else folder, os.W_OK):
        raise WorkflowError(f"{OPTION} {target} cannot be written: this user may not write to it.")
    if target.exists() and target.stat().st_size and MARK.encode() not in _beginning(target):
        raise WorkflowError(f"{target} is there and was not written by {OPTION}: give another file.")


def _beginning(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(200)
    except OSError:
        return b""
