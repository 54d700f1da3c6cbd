"""Options of what the pools of a run are made of, beside their VM size: registries, identities, network, users, disks.

None of them is for a pool that exists (`--az-batch-pool-id`), but for what concerns the tasks alone. Secrets are no
options: they come from the environment or from a file (`snakemake.azure.image.private_registry`).
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from snakemake_interface_executor_plugins.settings import ExecutorSettingsBase

from snakemake.azure.options import SettingsError, check_bounds, list_option, option

IDENTITY = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourcegroups/[^/]+/providers/microsoft\.managedidentity/"
    r"userassignedidentities/[\w-]{3,128}",
    re.IGNORECASE,
)
_SUBNET = re.compile(
    r"/subscriptions/[^/]+/resourcegroups/[^/]+/providers/microsoft\.network/virtualnetworks/[^/]+/subnets/[^/]+",
    re.IGNORECASE,
)
_USER = re.compile(r"(?P<name>[a-z_][a-z0-9_-]{0,19})(?::(?P<uid>\d+):(?P<gid>\d+))?")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?")
_TAG = re.compile(r"[^=]{1,512}=.{0,256}", re.DOTALL)
MOUNT = re.compile(
    r"(?:az://(?P<account>[a-z0-9]{3,24})/(?P<container>[a-z0-9-]{3,63})|nfs://(?P<server>[^/\s=]+)(?P<export>/[^\s=]*))"
    r"=(?P<path>[\w.-]+(?:/[\w.-]+)*)"
)
MAX_DISK = 32_767
"""GB, https://learn.microsoft.com/azure/virtual-machines/disks-types."""
MAX_OS_DISK = 4_095
LEAST_OS_DISK = 30
LEAST_KEPT = 5
"""Minutes: formulas are evaluated every five."""
MAX_MOUNTS = 10
DOCKER_DATA = ("os", "temp", "data")
# Batch sets these itself; some it refuses, and others would take a task out of its hands.
MANAGED_BY_BATCH = (
    "--name", "--gpus", "-d", "--detach", "--restart", "--entrypoint", "-w", "--workdir", "-u", "--user",
    "--cidfile", "-i", "--interactive", "-t", "--tty", "--log-driver",
)  # fmt: skip


@dataclass
class PoolSettings(ExecutorSettingsBase):
    """Of new pools, and of the tasks in them."""

    registry: str | None = option(
        "Host of the private registry that a login is for (default: that of --container-image).",
        metavar="HOST",
        type=str,
    )
    registry_user: str | None = option(
        "User of the registry, whose password is in AZ_BATCH_REGISTRY_PASSWORD. Taken from AZ_BATCH_REGISTRY_USER if "
        "not given.",
        metavar="USER",
        type=str,
    )
    registry_login: Path | None = option(
        "File with the login for the registry, instead: the user's name on its first line, the password on its second.",
        metavar="FILE",
        type=Path,
    )
    registry_identity: str | None = option(
        "Resource id of a user-assigned managed identity that nodes log in to the registry with (it needs the role "
        "AcrPull there). The pool gets it, too.",
        metavar="RESOURCE_ID",
        type=str,
    )
    identity: list[str] | None = list_option(
        "Resource ids of user-assigned managed identities that the nodes, and so the tasks, have. Pools are then made "
        "by Azure Resource Manager, with an Entra ID login.",
        metavar="RESOURCE_ID",
    )
    subscription_id: str | None = option(
        "Subscription of the Batch account, where a pool gets an identity (default: AZURE_SUBSCRIPTION_ID, else the "
        "identity's own).",
        metavar="ID",
        type=str,
    )
    user: str | None = option(
        "Whom tasks run as: root, or a user of this name, NAME or NAME:UID:GID, who is made on the nodes (default: "
        "Batch's own user of the pool, who is no administrator).",
        metavar="USER",
        type=str,
    )
    subnet_id: str | None = option(
        "Resource id of the subnet that nodes are in: /subscriptions/.../virtualNetworks/NAME/subnets/NAME. Needs an "
        "Entra ID login.",
        metavar="RESOURCE_ID",
        type=str,
    )
    no_public_ip: bool = option(
        "Nodes have no public address. They need a way out to Batch, storage and registry through the network of "
        "--az-batch-subnet-id.",
        default=False,
    )
    os_disk: int | None = option(
        "Size of the nodes' OS disk in GB, where the container images lie and what containers write to their own file "
        "system (default: that of the OS image, 64 for ubuntu-hpc).",
        metavar="GB",
        type=int,
    )
    data_disk: int | None = option(
        "Size in GB of a data disk for each node: it is formatted, and the tasks' directories, the node cache and "
        "Docker's data are put on it.",
        metavar="GB",
        type=int,
    )
    docker_data: str | None = option(
        "The disk for Docker's data (images, what containers write): os, temp for the VM size's temporary disk, data "
        "for that of --az-batch-data-disk (default: data where there is one, else os).",
        metavar="os|temp|data",
        type=str,
    )
    start_task: Path | None = option(
        "Shell script that each node runs as root before it takes tasks, outside of containers. Everybody who may read "
        "the pool can read it: no secrets.",
        metavar="FILE",
        type=Path,
    )
    mount: list[str] | None = list_option(
        "File systems that nodes mount: az://ACCOUNT/CONTAINER=PATH (by the first --az-batch-identity, else with the "
        "credential of the workflow's storage account) or nfs://SERVER/EXPORT=PATH. Tasks find them below "
        "$AZ_BATCH_NODE_MOUNTS_DIR/PATH.",
        metavar="SOURCE=PATH",
    )
    tags: list[str] | None = list_option(
        "Names and values that pools and Batch jobs get as metadata, besides the run, the workflow and the user; pools "
        "with an identity also get them as tags of Azure.",
        metavar="NAME=VALUE",
    )
    container_options: str | None = option(
        'Further options of `docker create` for the tasks\' containers, such as "--shm-size 8g" (with an equals sign '
        "before it where it has no space: --az-batch-container-options=--init).",
        metavar="OPTIONS",
        type=str,
    )
    keep_pool: int | None = option(
        "Minutes for which a pool and its nodes stay after the run, for the next one that wants such a pool.",
        metavar="MINUTES",
        type=int,
    )
    keep_failed: int | None = option(
        "Minutes for which the node of a failed task stays, once its job has no attempt left, so that its files can be "
        "looked at; one node for each rule. It takes no other tasks, and is paid for. While it is kept its pool is not "
        "made smaller; a run that ends leaves the pool, which then ends by itself.",
        metavar="MINUTES",
        type=int,
    )
    autoscale: str | None = option(
        "Let the Batch service size the pools, by this formula or the one in this file; without a value, by one of "
        "Snakemake's that goes by the tasks that wait and run. Snakemake then asks for no sizes itself.",
        metavar="FORMULA|FILE",
        type=str,
        nargs="?",
    )


OF_TASKS = ("container_options", "user")
"""What a pool that exists may be used with as well."""

OWN_FORMULA = "auto"
"""The value of `autoscale` that means Snakemake's formula."""


def given(settings: PoolSettings) -> list[str]:
    """Names of the options that were given, of those that are for a new pool."""
    from dataclasses import fields

    return [
        field.name
        for field in fields(PoolSettings)
        if field.name not in OF_TASKS and getattr(settings, field.name) not in (None, field.default)
    ]


def user_parts(user: str) -> tuple[str, int | None, int | None]:
    """Name, user's and group's number of `--az-batch-user`; raises SettingsError."""
    match = _USER.fullmatch(user)
    if match is None:
        raise SettingsError(
            f"--az-batch-user {user} is malformed: give root, NAME or NAME:UID:GID, the name of at most 20 lower-case "
            "letters, digits, hyphens and underscores."
        )
    uid, gid = match["uid"], match["gid"]
    if uid is not None and match["name"] != "root" and 0 in (int(uid), int(gid)):
        raise SettingsError(f"--az-batch-user {user}: the numbers are root's; give root instead.")
    return match["name"], *((int(uid), int(gid)) if uid is not None else (None, None))


def tag_parts(tag: str) -> tuple[str, str]:
    name, _, value = tag.partition("=")
    return name, value


def validate(settings: PoolSettings) -> None:
    """Checks what needs no request and no file.

    Raises
    ------
    SettingsError: with one sentence on the first option that is wrong.
    """
    _validate_registry(settings)
    for name in ("registry_identity", "identity"):
        values = getattr(settings, name)
        for value in [values] if isinstance(values, str) else values or ():
            if not IDENTITY.fullmatch(value):
                raise SettingsError(
                    f"--az-batch-{name.replace('_', '-')} {value} is not the resource id of a user-assigned "
                    "identity: give what `az identity show --query id` prints."
                )
    if settings.user is not None:
        user_parts(settings.user)
    _validate_network(settings)
    _validate_disks(settings)
    for tag in settings.tags or ():
        if not _TAG.fullmatch(tag):
            raise SettingsError(f"--az-batch-tags {tag} is malformed: give NAME=VALUE.")
        if tag.startswith("snakemake-"):
            raise SettingsError(
                f"--az-batch-tags {tag}: names that begin with snakemake- are Snakemake's own."
            )
    _validate_mounts(settings)
    _validate_container_options(settings.container_options)
    check_bounds(settings.keep_pool, 1, 7 * 24 * 60, "keep-pool", "give")
    check_bounds(settings.keep_failed, LEAST_KEPT, 7 * 24 * 60, "keep-failed", "give")
    other = "keep-pool" if settings.keep_pool else "autoscale" if settings.autoscale is not None else ""
    if settings.keep_failed is not None and other:
        raise SettingsError(
            f"--az-batch-keep-failed needs pools that this run alone sizes: leave it out, or --az-batch-{other}."
        )


def _validate_registry(settings: PoolSettings) -> None:
    if settings.registry is not None and not _HOST.fullmatch(settings.registry):
        raise SettingsError(
            f"--az-batch-registry {settings.registry} is not a registry's host: give it as in myregistry.azurecr.io."
        )
    ways = [n for n in ("registry_user", "registry_login", "registry_identity") if getattr(settings, n)]
    if len(ways) > 1:
        one, other = (f"--az-batch-{way.replace('_', '-')}" for way in ways[:2])
        raise SettingsError(f"{one} and {other} are two ways to log in to the registry: give one of them.")


def _validate_network(settings: PoolSettings) -> None:
    if settings.subnet_id is not None and not _SUBNET.fullmatch(settings.subnet_id):
        raise SettingsError(
            f"--az-batch-subnet-id {settings.subnet_id} is not a subnet's resource id: give what "
            "`az network vnet subnet show --query id` prints."
        )
    if settings.no_public_ip and settings.subnet_id is None:
        raise SettingsError(
            "--az-batch-no-public-ip leaves nodes without a way to the Batch service unless they are in a network that "
            "has one: set --az-batch-subnet-id, too."
        )


def _validate_disks(settings: PoolSettings) -> None:
    check_bounds(settings.os_disk, LEAST_OS_DISK, MAX_OS_DISK, "os-disk", "give")
    check_bounds(settings.data_disk, 1, MAX_DISK, "data-disk", "give")
    wanted = settings.docker_data
    if wanted is not None and wanted not in DOCKER_DATA:
        raise SettingsError(f"--az-batch-docker-data {wanted} is none of {', '.join(DOCKER_DATA)}.")
    if wanted == "data" and settings.data_disk is None:
        raise SettingsError("--az-batch-docker-data data needs a disk: set --az-batch-data-disk.")


def _validate_mounts(settings: PoolSettings) -> None:
    mounts = settings.mount or []
    if len(mounts) > MAX_MOUNTS:
        raise SettingsError(f"--az-batch-mount: a node has at most {MAX_MOUNTS} mounts, not {len(mounts)}.")
    paths: list[list[str]] = []
    for mount in mounts:
        match = MOUNT.fullmatch(mount)
        if match is None or ".." in match["path"].split("/"):
            raise SettingsError(
                f"--az-batch-mount {mount.partition('?')[0]} is malformed: give az://ACCOUNT/CONTAINER=PATH or "
                "nfs://SERVER/EXPORT=PATH, the path below the nodes' directory of mounts."
            )
        parts = match["path"].split("/")
        if any(all(a == b for a, b in zip(parts, other, strict=False)) for other in paths):
            raise SettingsError(f"--az-batch-mount {mount} lies at, or below, another one's path.")
        paths.append(parts)


def _validate_container_options(text: str | None) -> None:
    try:
        words = shlex.split(text or "")
    except ValueError:
        raise SettingsError("--az-batch-container-options has a quote that does not end.") from None
    for word in words:
        if word.partition("=")[0] in MANAGED_BY_BATCH:
            instead = {"-u": "--az-batch-user", "--user": "--az-batch-user"}.get(word.partition("=")[0])
            raise SettingsError(
                f"--az-batch-container-options: {word.partition('=')[0]} is set by Batch itself"
                + (f"; set {instead}." if instead else " and can't be given.")
            )
    if words and not words[0].startswith("-"):
        raise SettingsError(
            f"--az-batch-container-options {text} does not begin with an option of docker create."
        )
