"""A job's input files, as the client has them and as its task has them: they have to be the same.

A task parses the workflow again and calls its input functions again. Where these look at something that the task does
not have, such as a folder of the client's, they may name other files, and the job would make something else without an
error. So the order tells how many input files each job has, and a digest of their names, and the task compares.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError


def job_key(rule: str, wildcards: Mapping[str, str]) -> str:
    """Names a job among those of its task."""
    return f"{rule}:{json.dumps(dict(wildcards), sort_keys=True)}"


def summary(names: Iterable[str]) -> str:
    """How many names there are, and a digest of them that does not depend on their order."""
    ordered = sorted(names)
    digest = hashlib.sha256("\0".join(ordered).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{len(ordered)}:{digest[:12]}"


def input_names(files: Iterable[Any]) -> list[str]:
    """Names of input files (Snakemake's) that do not depend on the machine: queries, and paths as they are written.

    Of a file that workflow.source_path() gives, whose path is another one on each machine, its name alone.
    """
    return [
        file.storage_object.query
        if file.is_storage
        else Path(file).name
        if file.flags.get("sourcecache_entry")
        else str(file)
        for file in files
    ]


def compare(expected: Mapping[str, str], rule: str, wildcards: Mapping[str, str], names: list[str]) -> None:
    """
    Raises
    ------
    WorkflowError: the job has other input files than the client has counted.
    """
    wanted, found = expected.get(job_key(rule, wildcards)), summary(names)
    if wanted is None or wanted == found:
        return
    some = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
    raise WorkflowError(
        f"Rule {rule} has other input files in its task than on the machine where snakemake runs: {len(names)} "
        f"({some or 'none'}) instead of {wanted.partition(':')[0]}. The workflow, or an input function, goes by "
        "something that tasks do not have, such as the files of a folder there: keep it among the workflow's sources, "
        "or look in storage (glob_wildcards(storage(...)))."
    )
