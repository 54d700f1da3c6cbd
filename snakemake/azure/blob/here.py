"""The workflow's files on this disk, where they have the paths below the working directory that blobs have below the
prefix: those that are to be uploaded, or that somebody has forgotten to."""

import os
from pathlib import Path

from snakemake.azure import parsing


class Here:
    """`prefix` is the default storage prefix, az://CONTAINER[/PATH] without a slash at its end."""

    def __init__(self, prefix: str) -> None:
        self._root = f"{prefix}/"

    def path(self, query: str) -> Path | None:
        """The file or folder that is to become what `query` names, None if there is none."""
        path = Path(query.removeprefix(self._root))
        return path if query.startswith(self._root) and path.exists() else None

    def starting_with(self, query: str) -> list[str]:
        """Queries of all files and folders whose queries begin like that, in order."""
        if not query.startswith(self._root):
            return []
        start = query.removeprefix(self._root)
        found: list[str] = []
        with parsing.aside():
            for folder, folders, files in os.walk(start.rpartition("/")[0] or "."):
                folders[:] = [name for name in folders if not name.startswith(".")]
                relative = os.path.relpath(folder)
                names = [name if relative == "." else f"{relative}/{name}" for name in (*folders, *files)]
                found += [f"{self._root}{name}" for name in names if name.startswith(start)]
        return sorted(found)
