"""The environment of tasks: the AZ_BATCH_* variables, and what a task learns of its user.

https://learn.microsoft.com/azure/batch/batch-compute-node-environment-variables; what that page leaves out
(AZ_BATCH_TASK_USER, AZ_BATCH_TASK_USER_IDENTITY and the space that the node's agent keeps for itself) is as published
outputs of `printenv` in tasks have it.
"""

from collections.abc import Mapping
from pathlib import Path

from ..core.instructions import Part, StartRun, UploadOutputs
from .workspace import task_directory

MASTER_PORT = 6000  # of AZ_BATCH_MASTER_NODE
# The names are recorded, the number of bytes is not.
_RESERVED = dict.fromkeys(
    (
        "AZ_BATCH_RESERVED_DISK_SPACE_BYTES",
        "AZ_BATCH_RESERVED_EPHEMERAL_DISK_SPACE_BYTES",
        "AZ_BATCH_OS_RESERVED_EPHEMERAL_DISK_SPACE_BYTES",
    ),
    "1000000000",
)
# Of scope and elevation. The pool's user without rights is recorded.
_AUTO_USERS = {
    ("pool", False): "_azbatch",
    ("pool", True): "_azbatchsudo",
    ("task", False): "_azbatchtask_1",
    ("task", True): "_azbatchsudotask_1",
}


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
    variables |= _RESERVED | _user(run)
    if run.job is not None:
        variables |= {"AZ_BATCH_JOB_ID": run.job, "AZ_BATCH_TASK_ID": run.task}
    if run.part is not None:
        variables |= _shared_by_instances(run.part, directory)
    if run.prep_task is not None:
        prep = task_directory(root, run.job, run.prep_task)
        variables |= {"AZ_BATCH_JOB_PREP_DIR": str(prep), "AZ_BATCH_JOB_PREP_WORKING_DIR": str(prep / "wd")}
    return variables


def _user(run: StartRun) -> dict[str, str]:
    """Who the task is told that it is; which user of this machine that is, is the runner's matter."""
    identity = run.spec.get("userIdentity", {})
    if "username" in identity:
        return {"AZ_BATCH_TASK_USER": identity["username"]}
    scope = identity.get("autoUser", {}).get("scope", "pool")
    elevated = is_elevated(run)
    return {
        "AZ_BATCH_TASK_USER": _AUTO_USERS[scope, elevated],
        "AZ_BATCH_TASK_USER_IDENTITY": f"{scope.capitalize()}{'Admin' if elevated else 'NonAdmin'}",
    }


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
