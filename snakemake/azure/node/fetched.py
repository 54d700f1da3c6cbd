"""Sources that lie elsewhere, such as wrappers and modules from a repository, as the client has fetched them.

They come with the workflow's own sources (`snakemake.azure.fetched_sources` packs them), so that no task fetches them
again, nor needs the credentials, or the network, for that. What the client has not found, tasks need not look for.
"""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(".snakemake") / "fetched-sources"
"""Below a task's working directory; a source lies at its path in Snakemake's cache."""

MISSING = "missing.json"
"""In the folder: the paths of sources that the client has not found."""


def use_fetched_sources(workdir: Path) -> None:
    """From now on, Snakemake's cache of sources begins with what is in `FOLDER`."""
    folder = workdir / FOLDER
    if not folder.is_dir():
        return
    from snakemake_interface_common.exceptions import WorkflowError

    from snakemake.sourcecache import SourceCache

    missing = set(json.loads((folder / MISSING).read_text()))
    cache = SourceCache._cache

    def fetched(self: Any, source_file: Any) -> Any:
        path = source_file.get_cache_path()
        if (folder / path).is_file():
            return folder / path
        if path in missing:
            name = source_file.get_path_or_uri(secret_free=True)
            raise WorkflowError(f"Failed to open source file {name}: the main process has not found it.")
        return cache(self, source_file)

    SourceCache._cache = fetched
