"""The rules of containers: what pools say of registries, and tasks of their container.

https://learn.microsoft.com/azure/batch/batch-docker-container-workloads
"""

from ...protocol.errors import invalid_property
from . import identities


def check_registry(registry: dict, where: str) -> None:
    """A registry comes with a user's name and password, or with an identity."""
    if "identityReference" in registry:
        if "username" in registry or "password" in registry:
            raise invalid_property(
                where, "", "Either username and password or an identityReference is needed."
            )
        return
    for name in ("username", "password"):
        if not registry.get(name):
            raise invalid_property(f"{where}/{name}", "", "A username and a password are needed.")


def check_configuration(configuration: dict) -> None:
    """A pool's containerConfiguration."""
    for i, registry in enumerate(configuration.get("containerRegistries", ())):
        where = f"virtualMachineConfiguration/containerConfiguration/containerRegistries[{i}]"
        check_registry(registry, where)


def check_identities(pool: dict) -> None:
    """Registries of a pool that are opened by an identity are opened by one of the pool's."""
    configuration = pool["virtualMachineConfiguration"].get("containerConfiguration", {})
    for i, registry in enumerate(configuration.get("containerRegistries", ())):
        if "identityReference" in registry:
            where = f"virtualMachineConfiguration/containerConfiguration/containerRegistries[{i}]/identityReference"
            identities.check_reference(registry["identityReference"], pool, where)


def check_settings(settings: dict, path: str) -> None:
    """A task's containerSettings."""
    if "registry" in settings:
        check_registry(settings["registry"], path + "containerSettings/registry")
    where = path + "containerSettings/containerHostBatchBindMounts"
    seen = set()
    for entry in settings.get("containerHostBatchBindMounts", ()):
        source = entry.get("source")
        if source is None:
            raise invalid_property(where, "", "Each entry needs a source.")
        if source in seen:
            raise invalid_property(where, source, "Sources must be distinct.")
        seen.add(source)


def has_containers(pool: dict) -> bool:
    return "containerConfiguration" in pool["virtualMachineConfiguration"]


def check_containers(task: dict, pool: dict, path: str = "", *, needed: bool = True) -> None:
    """containerSettings are needed where the pool has a containerConfiguration, and refused where it has none."""
    container_pool = has_containers(pool)
    if container_pool and needed and "containerSettings" not in task:
        raise invalid_property(
            path + "containerSettings",
            "",
            "Tasks on a pool with containerConfiguration need containerSettings.",
        )
    if not container_pool and "containerSettings" in task:
        raise invalid_property(
            path + "containerSettings",
            task["containerSettings"]["imageName"],
            "The pool has no containerConfiguration.",
        )
