"""Directories and environments of nodes and tasks.

https://learn.microsoft.com/azure/batch/files-and-directories,
https://learn.microsoft.com/azure/batch/batch-compute-node-environment-variables
"""

import shutil
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..core import layout
from ..core.instructions import Part, StartRun, UploadOutputs
from . import mounts

MASTER_PORT = 6000  # of AZ_BATCH_MASTER_NODE
NODE_DIRECTORIES = ("applications", "fsmounts", "shared", "startup", "volatile", "workitems")


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
        """The task's directory with `wd`; a first run finds it empty, a retry finds what its predecessor left."""
        directory = task_directory(root, run.job, run.task if run.kind != "start" else None)
        follows = run.part is not None and not run.part.coordination
        if run.fetch and run.kind != "start" and not follows:
            self.discard(directory)
        (directory / "wd").mkdir(parents=True, exist_ok=True)
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


def environment(run: StartRun, root: Path, account: str, account_url: str) -> dict[str, str]:
    """The AZ_BATCH_* variables of a task, over those that the user set on the job and the task."""
    directory = task_directory(root, run.job, run.task if run.kind != "start" else None)
    variables = {entry["name"]: entry.get("value", "") for entry in run.common_environment}
    variables |= {entry["name"]: entry.get("value", "") for entry in run.spec.get("environmentSettings", ())}
    variables |= _where(root, run.node, directory) | {
        "AZ_BATCH_ACCOUNT_NAME": account,
        "AZ_BATCH_ACCOUNT_URL": account_url + "/",
        "AZ_BATCH_POOL_ID": run.pool,
        "AZ_BATCH_NODE_IS_DEDICATED": "true" if run.dedicated else "false",
        "AZ_BATCH_NODE_SHARED_DIR": str(root / "shared"),
        "AZ_BATCH_NODE_MOUNTS_DIR": str(root / "fsmounts"),
        "AZ_BATCH_NODE_STARTUP_DIR": str(root / "startup"),
        "AZ_BATCH_NODE_STARTUP_WORKING_DIR": str(root / "startup" / "wd"),
        "AZ_BATCH_CERTIFICATES_DIR": str(directory / "certs"),
    }
    if run.job is not None:
        variables |= {"AZ_BATCH_JOB_ID": run.job, "AZ_BATCH_TASK_ID": run.task}
    if run.part is not None:
        variables |= _shared_by_instances(run.part, directory)
    if run.prep_task is not None:
        prep = task_directory(root, run.job, run.prep_task)
        variables |= {"AZ_BATCH_JOB_PREP_DIR": str(prep), "AZ_BATCH_JOB_PREP_WORKING_DIR": str(prep / "wd")}
    return variables


def environment_of_uploads(order: UploadOutputs, root: Path) -> dict[str, str]:
    """The variables that patterns of output files may name."""
    directory = task_directory(root, order.job, order.task)
    return _where(root, order.node, directory) | {
        "AZ_BATCH_JOB_ID": order.job,
        "AZ_BATCH_TASK_ID": order.task,
    }


def _where(root: Path, node: str, directory: Path) -> dict[str, str]:
    return {
        "AZ_BATCH_NODE_ID": node,
        "AZ_BATCH_NODE_ROOT_DIR": str(root),
        "AZ_BATCH_TASK_DIR": str(directory),
        "AZ_BATCH_TASK_WORKING_DIR": str(directory / "wd"),
    }


_BOUND = {
    "AZ_BATCH_NODE_SHARED_DIR": "Shared",
    "AZ_BATCH_NODE_STARTUP_": "Startup",
    "AZ_BATCH_NODE_MOUNTS_DIR": "VfsMounts",
    "AZ_BATCH_TASK_DIR": "Task",
    "AZ_BATCH_TASK_WORKING_DIR": "Task",
    "AZ_BATCH_CERTIFICATES_DIR": "Task",
    "AZ_BATCH_JOB_PREP_": "JobPrep",
    "AZ_BATCH_APP_PACKAGE_": "Applications",
}


def visible(variables: Mapping[str, str], container: Mapping | None) -> dict[str, str]:
    """Without the variables of directories that containerHostBatchBindMounts leaves out of the container."""
    bound = (container or {}).get("containerHostBatchBindMounts")
    if bound is None:
        return dict(variables)
    chosen = {mount["source"] for mount in bound}
    hidden = ("AZ_BATCH_NODE_ROOT_DIR", *(name for name, source in _BOUND.items() if source not in chosen))
    return {name: value for name, value in variables.items() if not name.startswith(hidden)}


def user_numbers(run: StartRun) -> tuple[int, int] | None:
    """The numbers of the task's named user and its group, where the pool gives them."""
    name = run.spec.get("userIdentity", {}).get("username")
    for user in run.users:
        linux = user.get("linuxUserConfiguration", {})
        if user["name"] == name and "uid" in linux:
            return linux["uid"], linux["gid"]
    return None


def _shared_by_instances(part: Part, directory: Path) -> dict[str, str]:
    """What the instances of a multi-instance task know of each other."""
    addresses = [address for address, _ in part.hosts]
    return {
        "AZ_BATCH_NODE_LIST": ";".join(addresses),
        "AZ_BATCH_HOST_LIST": ",".join(addresses),
        "AZ_BATCH_MASTER_NODE": f"{addresses[0]}:{MASTER_PORT}",
        "AZ_BATCH_IS_CURRENT_NODE_MASTER": "false" if part.instance else "true",
        "AZ_BATCH_TASK_SHARED_DIR": str(directory),
        "CCP_NODES": " ".join([str(len(part.hosts))] + [f"{host} {cores}" for host, cores in part.hosts]),
    }


def is_elevated(run: StartRun) -> bool:
    """Whether the task's user identity has an administrator's rights."""
    identity = run.spec.get("userIdentity", {})
    if "username" in identity:
        users = {user["name"]: user for user in run.users}
        return users.get(identity["username"], {}).get("elevationLevel") == "admin"
    return identity.get("autoUser", {}).get("elevationLevel") == "admin"
