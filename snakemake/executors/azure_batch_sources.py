"""The workflow's own files: what is sent to the nodes, and what the workflow looked at that tasks will not have."""

import os
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Any

from snakemake.azure import fetched_sources, parsing
from snakemake.azure.parsing import Looks
from snakemake.azure.preflight import sources
from snakemake.azure.sources import SourceArchive


def pack_sources(workflow: Any, warn: Callable[[str], None]) -> SourceArchive:
    """The sources of `workflow` (Snakemake's), with the files that it has opened and the modules that it has imported,
    in a repository or not, and with what was fetched from elsewhere. Raises SourcesError.
    """
    looks, workdir = parsing.stop(), Path.cwd()
    files = _files(workflow, looks, workdir)
    fetched_sources.fetch_the_rest(workflow, _uses_conda(workflow))
    fetched = fetched_sources.fetched()
    archive = sources.pack_sources(files, workdir, warn, fetched.members())
    _tell_of_looks(looks, fetched.local, workdir, archive.names, warn)
    return archive


def check_sources(workflow: Any, warn: Callable[[str], None]) -> None:
    """What `pack_sources` would refuse or name, for a dry run."""
    looks, workdir = parsing.stop(), Path.cwd()
    found = sources.survey_sources(_files(workflow, looks, workdir), workdir, warn)
    _tell_of_looks(looks, fetched_sources.fetched().local, workdir, found.members, warn)


def _files(workflow: Any, looks: Looks, workdir: Path) -> list[str]:
    local_copies = workflow.storage_settings.local_storage_prefix
    snakefiles = [str(file.get_path_or_uri(secret_free=True)) for file in workflow.included]
    seen = [*looks.opened, *parsing.imported_modules(), *parsing.modules_beside(snakefiles)]
    files = parsing.files_below(seen, workdir, [local_copies])
    files += _beside_environments(workflow.dag.jobs, workdir)
    # Of a wrapper elsewhere, the definition of its environment is fetched where it is needed.
    wrappers = _environments(job for job in workflow.dag.jobs if job.is_wrapper)
    elsewhere = {name for path in wrappers if (name := os.path.relpath(path)).startswith("..")}
    return [*(set(workflow.dag.get_sources()) - elsewhere), *files]


def _tell_of_looks(
    looks: Looks, fetched: set[str], workdir: Path, sent: Container[str], warn: Callable[[str], None]
) -> None:
    for kind, names in (
        ("opened the file", parsing.files_elsewhere(looks.opened - fetched, workdir)),
        ("listed the folder", parsing.folders_not_sent(looks.listed, workdir, sent)),
    ):
        for name in names[:3]:
            warn(
                f"While it was read, the workflow {kind} {name}, which tasks do not have: a task that finds something "
                "else there than snakemake has found here may fail, or make something else. Keep such files among "
                "the workflow's sources, or in storage (glob_wildcards(storage(...)))."
            )


def _uses_conda(workflow: Any) -> bool:
    return any(str(method) == "conda" for method in workflow.deployment_settings.deployment_method)


def _beside_environments(jobs: Iterable[Any], workdir: Path) -> list[str]:
    """Pinned packages and scripts of the conda environments that jobs name by their files: they go by these files'
    names, and Snakemake does not count them among the sources.

    https://snakemake.readthedocs.io/en/stable/snakefiles/deployment.html#freezing-environments-to-exactly-pinned-packages
    """
    found = []
    for path in _environments(jobs):
        definition = workdir / path
        stem = definition.stem
        found += [
            *definition.parent.glob(f"{stem}.*.pin.txt"),
            *definition.parent.glob(f"{stem}.post-deploy.sh"),
        ]
    return parsing.files_below(map(os.fspath, found), workdir)


def _environments(jobs: Iterable[Any]) -> set[str]:
    """The paths of the files that define conda environments of `jobs`."""
    specs = {job.conda_env_spec for job in jobs if job.conda_env_spec is not None}
    paths = {getattr(spec.file, "path", None) for spec in specs if spec.is_file and hasattr(spec, "file")}
    return {path for path in paths if path}
