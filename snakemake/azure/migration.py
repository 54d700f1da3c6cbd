"""What people bring from elsewhere: options and variables of Snakemake 7 and of the published executor plugin.

What means the same is taken, in the name of today's option. What says something that is so in any case is accepted, and
whatever else is told in one sentence: an option ends the run before it begins, and variables, which may have been set
for other programs, are named in a warning. docs/migrating.md is written from these tables.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.secrets import remember, shown

PLUGIN = "snakemake-executor-plugin-azure-batch"
PLUGIN_EXECUTOR = "azure-batch"
STORAGE_PLUGIN = "snakemake-storage-plugin-azure"
OLDEST_SDK = 15  # of azure-batch, whose interface was another one before

VM_SIZE, NODES = "--az-batch-vm-size", "--az-batch-nodes"
SLOTS, OS_IMAGE, URL = "--az-batch-slots-per-node", "--az-batch-os-image", "--az-batch-account-url"
REGISTRY, REGISTRY_USER = "--az-batch-registry", "--az-batch-registry-user"
IDENTITY, SUBSCRIPTION = "--az-batch-identity", "--az-batch-subscription-id"
SUBNET, KEEP = "--az-batch-subnet-id", "--az-batch-keep-pool"
_NUMBERS = (NODES, SLOTS, KEEP)
_LISTS = (IDENTITY,)
_NEW_POOL = (VM_SIZE, NODES, SLOTS, OS_IMAGE, REGISTRY, REGISTRY_USER, IDENTITY, SUBSCRIPTION, SUBNET, KEEP)


class MigrationError(WorkflowError):
    """Something older that has no counterpart; nothing has been created."""


@dataclass(frozen=True)
class Older:
    """An older option or variable. `now` is today's option, which gets its value; without one, `says` is a sentence on
    what to do, or, if it is `needless`, on why nothing is to be done. Of `now`, `says` tells what differs. `value` is
    what a flag stands for.
    """

    name: str
    now: str | None = None
    says: str = ""
    needless: bool = False
    is_flag: bool = False
    value: str = ""


_GROWS = "pools always go with the work, up and down; --az-batch-autoscale leaves that to the service."
_AT_MOST = "it is the most that a pool may have; a pool has as many as the work needs"
_SLOTS = "a job takes as many slots as its threads and memory need"
_WHOLE_IMAGE = "publisher, offer and SKU make one value"
_CLIENT_ID = "Azure tells it, and tasks find it in AZURE_CLIENT_ID."
_REGISTRY_URL = "its host is enough"
_PASS = (
    "in an argument everybody on this machine can read it: set AZ_BATCH_REGISTRY_PASSWORD or "
    "--az-batch-registry-login."
)
_PASS_READ = "it is read in place of AZ_BATCH_REGISTRY_PASSWORD."
_KEEP = "taken as 60 minutes; it ends by itself if nobody takes it"
_HOUR = "60"
_START = "give the script itself as --az-batch-start-task."
_FILL = "tasks fill one node after the other; --az-batch-slots-per-node 1 gives each a node of its own."
_MODE = "Batch has simplified communication only."
_AGENT = "Batch says which node agent belongs to an image."
_BY_URL = "the account's URL is all that is asked for."

PLUGIN_OPTIONS = (
    Older("--azure-batch-account-url", URL),
    Older("--azure-batch-autoscale", says=_GROWS, needless=True, is_flag=True),
    Older("--azure-batch-container-registry-pass", says=_PASS),
    Older("--azure-batch-container-registry-url", REGISTRY, _REGISTRY_URL),
    Older("--azure-batch-container-registry-user", REGISTRY_USER),
    Older("--azure-batch-keep-pool", KEEP, _KEEP, is_flag=True, value=_HOUR),
    Older("--azure-batch-managed-identity-resource-id", IDENTITY),
    Older("--azure-batch-managed-identity-client-id", says=_CLIENT_ID, needless=True),
    Older("--azure-batch-node-start-task-url", says=_START),
    Older("--azure-batch-node-fill-type", says=_FILL),
    Older("--azure-batch-node-communication-mode", says=_MODE, needless=True),
    Older("--azure-batch-pool-subnet-id", SUBNET),
    Older("--azure-batch-pool-image-publisher", OS_IMAGE, _WHOLE_IMAGE),
    Older("--azure-batch-pool-image-offer", OS_IMAGE, _WHOLE_IMAGE),
    Older("--azure-batch-pool-image-sku", OS_IMAGE, _WHOLE_IMAGE),
    Older("--azure-batch-pool-vm-node-agent-sku-id", says=_AGENT, needless=True),
    Older("--azure-batch-pool-vm-size", VM_SIZE),
    Older("--azure-batch-pool-node-count", NODES, _AT_MOST),
    Older("--azure-batch-resource-group-name", says=_BY_URL, needless=True),
    Older("--azure-batch-subscription-id", SUBSCRIPTION),
    Older("--azure-batch-tasks-per-node", SLOTS, _SLOTS),
)
"""Of the plugin, version 0.3.0."""

V7_OPTIONS = (Older("--az-batch-enable-autoscale", says=_GROWS, needless=True, is_flag=True),)
"""Of Snakemake 7 (7.32.4); `--az-batch`, `--az-batch-account-url` and `-r` are options today, too."""

V7_VARIABLES = (
    Older("BATCH_POOL_VM_SIZE", VM_SIZE),
    Older("BATCH_POOL_NODE_COUNT", NODES, _AT_MOST),
    Older("BATCH_TASKS_PER_NODE", SLOTS, _SLOTS),
    Older("BATCH_POOL_IMAGE_PUBLISHER", OS_IMAGE, _WHOLE_IMAGE),
    Older("BATCH_POOL_IMAGE_OFFER", OS_IMAGE, _WHOLE_IMAGE),
    Older("BATCH_POOL_IMAGE_SKU", OS_IMAGE, _WHOLE_IMAGE),
    Older(
        "BATCH_POOL_VM_CONTAINER_IMAGE", says="--container-image is the image of all tasks.", needless=True
    ),
    Older("BATCH_POOL_VM_NODE_AGENT_SKU_ID", says=_AGENT, needless=True),
    Older("BATCH_POOL_SUBNET_ID", SUBNET),
    Older("BATCH_POOL_RESOURCE_FILE_PREFIX", says="sources lie beside the workflow's files.", needless=True),
    Older("BATCH_MANAGED_IDENTITY_RESOURCE_ID", IDENTITY),
    Older("BATCH_MANAGED_IDENTITY_CLIENT_ID", says=_CLIENT_ID, needless=True),
    Older("BATCH_NODE_START_TASK_SAS_URL", says=_START),
    Older("BATCH_NODE_FILL_TYPE", says=_FILL),
    Older("BATCH_NODE_COMMUNICATION_SIMPLIFIED", says=_MODE, needless=True),
    Older("BATCH_CONTAINER_REGISTRY_URL", REGISTRY, _REGISTRY_URL),
    Older("BATCH_CONTAINER_REGISTRY_USER", REGISTRY_USER),
    Older("BATCH_CONTAINER_REGISTRY_PASS", says=_PASS_READ, needless=True),
)

PLUGIN_VARIABLES = (
    Older("SNAKEMAKE_AZURE_BATCH_ACCOUNT_URL", URL),
    Older("SNAKEMAKE_AZURE_BATCH_CONTAINER_REGISTRY_PASS", says=_PASS_READ, needless=True),
    Older("SNAKEMAKE_AZURE_BATCH_CONTAINER_REGISTRY_URL", REGISTRY, _REGISTRY_URL),
    Older("SNAKEMAKE_AZURE_BATCH_CONTAINER_REGISTRY_USER", REGISTRY_USER),
    Older("SNAKEMAKE_AZURE_BATCH_MANAGED_IDENTITY_RESOURCE_ID", IDENTITY),
    Older("SNAKEMAKE_AZURE_BATCH_MANAGED_IDENTITY_CLIENT_ID", says=_CLIENT_ID, needless=True),
    Older("SNAKEMAKE_AZURE_BATCH_POOL_SUBNET_ID", SUBNET),
    Older("SNAKEMAKE_AZURE_BATCH_RESOURCE_GROUP_NAME", says=_BY_URL, needless=True),
    Older("SNAKEMAKE_AZURE_BATCH_SUBSCRIPTION_ID", SUBSCRIPTION),
)

STORAGE_OPTION = "--storage-azure-account-name"
STORAGE_VARIABLE = "SNAKEMAKE_STORAGE_AZURE_ACCOUNT_NAME"


def check_installed(
    find: Callable[[str], Any] = find_spec, installed: Callable[[str], str] = version
) -> None:
    """That the plugin can be loaded, which Snakemake does whichever executor is meant.

    Raises
    ------
    MigrationError: it is beside us, and the azure-batch that we need does not let it be imported.
    """
    if find(PLUGIN.replace("-", "_")) is None or _sdk(installed) < OLDEST_SDK:
        return
    raise MigrationError(
        f"{PLUGIN} cannot be loaded with azure-batch {installed('azure-batch')}, which --az-batch needs: "
        f"`pip uninstall {PLUGIN}`, or keep it in an environment of its own."
    )


def exit_if_plugins_clash() -> None:
    """For the command line: Snakemake's modules load all plugins on import, where nobody would catch it."""
    try:
        check_installed()
    except MigrationError as error:
        sys.exit(str(error))


def check_sdk(installed: Callable[[str], str] = version) -> None:
    """Raises MigrationError if azure-batch is older than what --az-batch needs, as the plugin's is."""
    if _sdk(installed) < OLDEST_SDK:
        raise MigrationError(
            f"--az-batch needs azure-batch {OLDEST_SDK} or later, and {installed('azure-batch')} is installed, as "
            f"{PLUGIN} needs it: keep the two in environments of their own, or `pip install "
            f"'azure-batch>={OLDEST_SDK}.1'` and `pip uninstall {PLUGIN}`."
        )


def _sdk(installed: Callable[[str], str]) -> int:
    try:
        return int(installed("azure-batch").partition(".")[0])
    except (PackageNotFoundError, ValueError):
        return OLDEST_SDK  # whatever it is, its import will tell


def add_arguments(parser: argparse.ArgumentParser, executors: Mapping[str, Any]) -> None:
    """The older options, which --help does not show; those of the plugin unless it is there itself."""
    for older in V7_OPTIONS if PLUGIN_EXECUTOR in executors else (*V7_OPTIONS, *PLUGIN_OPTIONS):
        kind: dict[str, Any] = {"action": "store_true"} if older.is_flag else {"metavar": "VALUE"}
        parser.add_argument(older.name, help=argparse.SUPPRESS, default=None, **kind)
    if PLUGIN_EXECUTOR not in executors:
        for action in parser._actions:
            if action.dest == "executor":
                action.type = lambda name: "az-batch" if name == PLUGIN_EXECUTOR else name


def add_storage_arguments(parser: argparse.ArgumentParser, providers: Mapping[str, Any]) -> None:
    if "azure" not in providers:
        parser.add_argument(STORAGE_OPTION, help=argparse.SUPPRESS, default=None, metavar="NAME")


def apply_options(args: argparse.Namespace) -> bool:
    """Gives today's options the values of older ones. Whether there were any. Changes `args`.

    Raises
    ------
    MigrationError: there is one without a counterpart, or both were given, or the value is none.
    """
    given = [o for o in (*V7_OPTIONS, *PLUGIN_OPTIONS) if getattr(args, _dest(o.name), None)]
    remember(getattr(args, _dest(o.name)) for o in given if o.name.endswith("-pass"))
    for older in given:
        if (
            older.now is None
            and not older.needless
            and not _is_so(older.name, getattr(args, _dest(older.name)))
        ):
            raise MigrationError(f"{older.name} has no counterpart here: {older.says}")
    for now, olders in _by_option(given).items():
        if _is_given(args, now):
            raise MigrationError(f"{olders[0].name} is the older name of {now}: give one of them.")
        value = _value(
            now, {o.name: o.value or str(getattr(args, _dest(o.name))) for o in olders}, PLUGIN_OPTIONS
        )
        setattr(args, _dest(now), value)
    return bool(given)


def apply_variables(
    args: argparse.Namespace, environ: Mapping[str, str], warn: Callable[[str], None]
) -> None:
    """The same of older variables, where no option and no file says otherwise; warns of those that are not read.

    Raises
    ------
    MigrationError: a value is not what the option takes.
    """
    known = (*V7_VARIABLES, *PLUGIN_VARIABLES)
    given = [o for o in known if environ.get(o.name) and not _is_so(o.name, environ[o.name])]
    remember(environ[o.name] for o in given if o.name.endswith("_PASS"))
    unread = [o for o in given if o.now is None and not o.needless]
    for now, olders in _by_option(given).items():
        if _is_given(args, now) or (now == URL and environ.get("AZ_BATCH_ACCOUNT_URL")):
            continue
        if now in _NEW_POOL and _is_given(args, "--az-batch-pool-id"):
            warn(f"{_names(olders)}: not read, since --az-batch-pool-id names a pool that is there.")
            continue
        setattr(args, _dest(now), _value(now, {o.name: environ[o.name] for o in olders}, V7_VARIABLES))
        warn(f"{_names(olders)}: taken as {now}.")
    for says in dict.fromkeys(o.says for o in unread):
        warn(f"{_names(o for o in unread if o.says == says)}: not read; {says}")


def apply_storage(
    args: argparse.Namespace, environ: Mapping[str, str], providers: Mapping[str, Any]
) -> str | None:
    """The URL of the storage account that the plugin's option or variable names, if no other is given."""
    if "azure" in providers:
        return None
    if args.default_storage_provider == "azure":
        args.default_storage_provider = "azblob"
    name = getattr(args, _dest(STORAGE_OPTION), None) or environ.get(STORAGE_VARIABLE)
    if not name or environ.get("AZ_BLOB_ACCOUNT_URL") or environ.get("AZ_BLOB_CONNECTION_STRING"):
        return None
    if not re.fullmatch("[a-z0-9]{3,24}", name):
        raise MigrationError(
            f"{STORAGE_OPTION} (or {STORAGE_VARIABLE}) is not the name of a storage account: set "
            "AZ_BLOB_ACCOUNT_URL to https://ACCOUNT.blob.core.windows.net instead."
        )
    return f"https://{name}.blob.core.windows.net"


def warn(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _dest(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def _is_given(args: argparse.Namespace, option: str) -> bool:
    """The options of plugins default to a dataclass's marker."""
    value = getattr(args, _dest(option), None)
    return isinstance(value, str | int | list | os.PathLike) and value not in ("", [])


def _is_so(name: str, value: object) -> bool:
    """Whether it asks for what is so anyhow, by its value."""
    return name.lower().replace("_", "-").endswith("node-fill-type") and str(value).lower() == "pack"


def _names(olders: "Iterator[Older] | list[Older]") -> str:
    return ", ".join(o.name for o in olders)


def _by_option(given: list[Older]) -> dict[str, list[Older]]:
    found: dict[str, list[Older]] = {}
    for older in given:
        if older.now:
            found.setdefault(older.now, []).append(older)
    return found


def _value(now: str, given: dict[str, str], table: tuple[Older, ...]) -> str | int | list[str]:
    """What the option takes, of one older value, or of three."""
    if now == OS_IMAGE:
        wanted = [o.name for o in table if o.now == OS_IMAGE]
        if missing := [name for name in wanted if name not in given]:
            raise MigrationError(
                f"{next(iter(given))} goes together with {' and '.join(missing)}: set them, too, or give {OS_IMAGE} "
                "PUBLISHER:OFFER:SKU, or leave all of them out for the newest image."
            )
        return ":".join(given[name] for name in wanted)
    ((name, value),) = given.items()
    if now == REGISTRY:
        value = value.partition("://")[2].partition("/")[0] or value
    if now in _LISTS:
        return [value]
    if now not in _NUMBERS:
        return value
    if not re.fullmatch(r"\d{1,9}", value):
        raise MigrationError(f"{name}{shown(value)} must be a whole number, as {now} takes it.")
    return int(value)
