"""Directories of nodes and tasks. https://learn.microsoft.com/azure/batch/files-and-directories"""

import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

from ..core import layout
from ..core.instructions import StartRun
from . import mounts

NODE_DIRECTORIES = (
    "applications",
    "fsmounts",
    "shared",
    "startup",
    "volatile",
    "volatile/startup",
    "workitems",
)


class Workspace:
    """Everything below one directory, `location`. Node directories have short names, because tasks put sockets
    and other things with short paths below them."""

    def __init__(self, location: Path) -> None:
        self.location = location

    def make_node(self, number: int, keep: bool) -> Path:
        """A node's directories; `keep` what is there, for a node that was rebooted."""
        root = self.node_root(number)
        if not keep:
            self.delete(self.discard(root))  # of an earlier machine of the node, or of an earlier service
        for name in NODE_DIRECTORIES:
            (root / name).mkdir(parents=True, exist_ok=True)
        return root

    def node_root(self, number: int) -> Path:
        return self.location / f"n{number}"

    def sweep(self, numbers: Iterable[int]) -> None:
        """Takes the directories of all nodes but these out of sight; `empty_trash` deletes them."""
        kept = {self.node_root(number) for number in numbers}
        for root in self.location.glob("n*"):
            if root not in kept:
                self.discard(root)

    def empty_trash(self) -> None:
        # (The directory itself stays: somebody may be about to move something into it.)
        for path in (self.location / "trash").glob("*"):
            self.delete(path)

    def make_task(self, root: Path, run: StartRun) -> Path:
        """The task's directory with `certs` and `wd`; a first run finds it empty, a retry what its predecessor left."""
        directory = task_directory(root, run.job, run.task if run.kind != "start" else None)
        follows = run.part is not None and not run.part.coordination
        if run.fetch and run.kind != "start" and not follows:
            self.discard(directory)
        for name in ("certs", "wd"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        return directory

    def discard(self, path: Path) -> Path | None:
        """Takes a directory out of sight at once; what is returned remains to be deleted."""
        trash = self.location / "trash" / uuid.uuid4().hex
        trash.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.rename(trash)
        except FileNotFoundError:
            return None
        return trash

    def delete(self, path: Path | None) -> None:
        """All of a directory; but not what is mounted there."""
        if path is not None and mounts.unmount_below(path):
            shutil.rmtree(path, ignore_errors=True)


def task_directory(root: Path, job: str | None, task: str | None) -> Path:
    """Where a task's stdout.txt, stderr.txt and wd are; without a task, where the start task's are."""
    if task is None or job is None:
        return root / "startup"
    return root / layout.task_directory(job, task)
