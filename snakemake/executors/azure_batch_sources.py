"""The workflow's own files: what is sent to the nodes, and what the workflow looked at that tasks will not have."""

from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

from snakemake.azure import parsing, preflight
from snakemake.azure.parsing import Looks
from snakemake.azure.sources import SourceArchive


def pack_sources(workflow: Any, warn: Callable[[str], None]) -> SourceArchive:
    """The sources of `workflow` (Snakemake's), with the files that it has opened and the modules that it has imported,
    in a repository or not. Raises SourcesError.
    """
    looks, workdir = parsing.stop(), Path.cwd()
    archive = preflight.pack_sources(_files(workflow, looks, workdir), workdir, warn)
    _tell_of_looks(looks, workdir, archive.names, warn)
    return archive


def check_sources(workflow: Any, warn: Callable[[str], None]) -> None:
    """What `pack_sources` would refuse or name, for a dry run."""
    looks, workdir = parsing.stop(), Path.cwd()
    found = preflight.survey_sources(_files(workflow, looks, workdir), workdir, warn)
    _tell_of_looks(looks, workdir, found.members, warn)


def _files(workflow: Any, looks: Looks, workdir: Path) -> list[str]:
    local_copies = workflow.storage_settings.local_storage_prefix
    snakefiles = [str(file.get_path_or_uri(secret_free=True)) for file in workflow.included]
    seen = [*looks.opened, *parsing.imported_modules(), *parsing.modules_beside(snakefiles)]
    return [*workflow.dag.get_sources(), *parsing.files_below(seen, workdir, [local_copies])]


def _tell_of_looks(looks: Looks, workdir: Path, sent: Container[str], warn: Callable[[str], None]) -> None:
    for kind, names in (
        ("opened the file", parsing.files_elsewhere(looks.opened, workdir)),
        ("listed the folder", parsing.folders_not_sent(looks.listed, workdir, sent)),
    ):
        for name in names[:3]:
            warn(
                f"While it was read, the workflow {kind} {name}, which tasks do not have: a task that finds something "
                "else there than snakemake has found here may fail, or make something else. Keep such files among "
                "the workflow's sources, or in storage (glob_wildcards(storage(...)))."
            )
