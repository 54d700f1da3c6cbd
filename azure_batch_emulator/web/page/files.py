"""Files of tasks and nodes for the page: names, and the end of one as text."""

import codecs
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ...core.layout import task_directory
from ...core.machine import Machine
from ...engine.engine import Engine
from ...nodes import files
from ...protocol.errors import BatchError
from .secrets import secret_values, without
from .snapshot import environment_of, ms

LISTED = 500
SHOWN = 64 * 1024
"""Bytes of the end of a file."""


@dataclass(frozen=True)
class Place:
    """A directory on a node, of the node itself or of a task; `secrets` are not shown from its files."""

    root: Path
    secrets: frozenset[str] = frozenset()

    @classmethod
    def of_task(cls, engine: Engine, job_id: str, task_id: str) -> "Place":
        """A BatchError where the files are not there."""

        def look(m: Machine) -> tuple[str, str, set[str]]:
            job, task = m.job(job_id), m.task(job_id, task_id)
            node = m.find_node(*task.node) if task.node else None
            if node is None or not node.alive or not node.holds(task):
                raise BatchError("TaskFilesUnavailable")
            return node.id, task_directory(job.id, task.id), secret_values(environment_of(job, task))

        node_id, directory, secrets = engine.read(look)
        root = engine.nodes.root(node_id)
        if root is None or not (root / directory).is_dir():
            raise BatchError("TaskFilesUnavailable")
        return cls(root / directory, frozenset(secrets))

    @classmethod
    def of_node(cls, engine: Engine, pool_id: str, node_id: str, name: str = "") -> "Place":
        """`name`: of the file that is to be shown, which may be a task's."""

        def look(m: Machine) -> tuple[str, set[str]]:
            pool, node = m.pool(pool_id), m.node(pool_id, node_id)
            if not node.alive:
                raise BatchError("NodeStateUnusable")
            given = list((pool.spec.get("startTask") or {}).get("environmentSettings") or ())
            parts = name.lower().split("/")
            for job in m.jobs_on(pool.key):
                given += job.spec.get("commonEnvironmentSettings") or ()
                for task in filter(None, map(job.tasks.get, parts)):
                    given += environment_of(job, task)
            return node.id, secret_values(given)

        found, secrets = engine.read(look)
        root = engine.nodes.root(found)
        if root is None:
            raise BatchError("NodeStateUnusable")
        return cls(root, frozenset(secrets))

    def listed(self) -> list[dict[str, Any]]:
        """Breadth first, not more than `LISTED`."""
        return [
            {
                "name": entry.name,
                "folder": entry.is_directory,
                "size": entry.size,
                "modified": ms(entry.modified),
            }
            for entry in islice(files.walk(self.root, recursive=True), LISTED)
        ]

    def end(self, name: str, secrets: Iterable[str]) -> tuple[str, int]:
        """The end of a file as text, without secrets, and how many bytes the whole of it has."""
        found = files.find(self.root, name)
        if found.is_directory:
            raise BatchError("FileNotFound")
        with files.open_for_reading(found) as file:
            start = max(0, found.size - SHOWN)
            file.seek(start)
            data = file.read(SHOWN)
        if start:
            # From a line's beginning on: half a secret would not be known.
            _, newline, rest = data.partition(b"\n")
            data = rest if newline else b""
        text = codecs.decode(data, "utf-8", "replace")
        return without(text, {*self.secrets, *secrets}), found.size
