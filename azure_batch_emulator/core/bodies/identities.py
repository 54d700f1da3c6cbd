"""Managed identities of pools, and the references of tasks to them.

https://learn.microsoft.com/azure/batch/managed-identity-pools
"""

from collections.abc import Iterator

from ...protocol.errors import BatchError, invalid_property


def of_pool(pool: dict) -> tuple[str, ...]:
    """The resource ids of the identities that nodes of the pool have."""
    return tuple(one["resourceId"] for one in pool.get("identity", {}).get("userAssignedIdentities", ()))


def check_task(task: dict, pool: dict, path: str) -> None:
    """Each identity that a task of any kind refers to has to be one of the pool's."""
    for where, reference in _references(task):
        check_reference(reference, pool, path + where)


def check_reference(reference: dict, pool: dict, path: str) -> None:
    wanted = reference.get("resourceId")
    if wanted is None:
        raise BatchError("MissingRequiredProperty", [("PropertyName", f"{path}/resourceId")])
    if wanted.lower() not in {one.lower() for one in of_pool(pool)}:
        raise invalid_property(
            f"{path}/resourceId", wanted, "The pool does not have this user-assigned managed identity."
        )


def _references(task: dict) -> Iterator[tuple[str, dict]]:
    if reference := task.get("containerSettings", {}).get("registry", {}).get("identityReference"):
        yield "containerSettings/registry/identityReference", reference
    common = task.get("multiInstanceSettings", {}).get("commonResourceFiles", ())
    for name, files in (
        ("resourceFiles", task.get("resourceFiles", ())),
        ("multiInstanceSettings/commonResourceFiles", common),
    ):
        for i, file in enumerate(files):
            if "identityReference" in file:
                yield f"{name}[{i}]/identityReference", file["identityReference"]
    for i, file in enumerate(task.get("outputFiles", ())):
        container = file["destination"]["container"]
        if "identityReference" in container:
            yield f"outputFiles[{i}]/destination/container/identityReference", container["identityReference"]
