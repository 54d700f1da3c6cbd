"""Sources of a workflow that lie elsewhere: wrappers, modules and scripts from a repository, a URL or another folder.

Snakemake fetches each once, while it parses the workflow and builds the DAG, and each task would fetch it again: it
parses the workflow again. So the client notes what goes through Snakemake's cache of sources, and packs that with the
workflow's own (`snakemake.azure.node.fetched` is the other side).
"""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

from snakemake.azure.node.fetched import FOLDER, MISSING

PLATFORMS = ("linux-64", "linux-aarch64")
"""Of nodes, as conda calls them: the definition of an environment may have pins for each."""


@dataclass
class Fetched:
    """Sources by their paths in Snakemake's cache: where they lie on this machine, None for what was not found. `local`
    are the paths of those that come from this machine.
    """

    files: dict[str, Path | None] = field(default_factory=dict)
    local: set[str] = field(default_factory=set)

    def note(self, source: Any, path: Path | None) -> None:
        if not _is_below(source, Path.cwd()):
            self.files[source.get_cache_path()] = path
            self.local.add(os.path.abspath(getattr(source, "path", "")))  # noqa: PTH100

    def members(self) -> dict[str, bytes]:
        """Names in the archive of the workflow's sources, and what is in them; none where nothing lies elsewhere."""
        found = {name: path.read_bytes() for name, path in sorted(self.files.items()) if path is not None}
        missing = sorted(name for name, path in self.files.items() if path is None)
        if not found:
            return {}
        members = {(FOLDER / name).as_posix(): data for name, data in found.items()}
        return members | {(FOLDER / MISSING).as_posix(): json.dumps(missing).encode()}


def watch() -> None:
    """Notes from now on what goes through Snakemake's cache of sources."""
    from snakemake.sourcecache import SourceCache

    cache = SourceCache._cache
    if hasattr(cache, "fetched"):
        cache.fetched.files.clear()
        cache.fetched.local.clear()
        return
    noted = Fetched()

    @wraps(cache)
    def watched(self: Any, source_file: Any) -> Any:
        try:
            path = cache(self, source_file)
        except Exception:
            with suppress(Exception):
                noted.note(source_file, None)
            raise
        noted.note(source_file, Path(path))
        return path

    watched.fetched = noted  # type: ignore[attr-defined]
    SourceCache._cache = watched


def fetched() -> Fetched:
    """What was noted since `watch`."""
    from snakemake.sourcecache import SourceCache

    return getattr(SourceCache._cache, "fetched", Fetched())


def fetch_the_rest(workflow: Any, conda: bool) -> None:
    """Has Snakemake (`workflow`) fetch what tasks will look for and it has not needed: what may belong to environments,
    if `conda` is used, and wrappers of rules whose jobs are known after a checkpoint only."""
    from snakemake.wrapper import get_conda_env, get_script

    cache, prefix = workflow.sourcecache, workflow.workflow_settings.wrapper_prefix
    rules = (
        [rule for rule in workflow.rules if rule.wrapper]
        if any(job.is_checkpoint for job in workflow.dag.jobs)
        else []
    )
    environments = []
    for rule in rules:
        with suppress(Exception):
            get_script(rule.wrapper, cache, prefix)
            environments.append(get_conda_env(rule.wrapper, prefix))
    if not conda:
        return
    specs = {job.conda_env_spec for job in workflow.dag.jobs if job.conda_env_spec is not None}
    environments += [spec.file for spec in specs if spec.is_file and hasattr(spec, "file")]
    for definition in environments:
        if not _is_below(definition, Path.cwd()):
            _look_for(cache, definition)


def _look_for(cache: Any, definition: Any) -> None:
    suffixes: Iterable[str] = (".post-deploy.sh", *(f".{platform}.pin.txt" for platform in PLATFORMS))
    beside = (definition.replace_suffix([".yaml", ".yml"], suffix) for suffix in suffixes)
    for source in (definition, *beside):
        if source is not None:
            cache.exists(source)


def _is_below(source: Any, workdir: Path) -> bool:
    """Whether it is a file that is sent as such."""
    from snakemake.sourcecache import LocalSourceFile

    return isinstance(source, LocalSourceFile) and Path(os.path.abspath(source.path)).is_relative_to(workdir)  # noqa: PTH100
