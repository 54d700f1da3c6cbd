"""The executor's options: help, default, validation and meaning, in one place.

Snakemake turns each field into an option `--az-batch-<field>`. Everything here is checked before anything
is created in Azure; `SettingsError` says in one sentence what is wrong and which option to set.
"""

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from snakemake.azure import named_pools, pool_settings
from snakemake.azure.options import SettingsError, list_option, option
from snakemake.azure.pool_settings import PoolSettings
from snakemake.azure.secrets import shown
from snakemake.azure.wire import is_loopback

EMULATOR = "emulator"
"""The account URL that means the local Azure Batch emulator (`emulator:PORT` for another port)."""

EMULATOR_PORT = 10011

DEFAULT_VM_SIZE = "auto"
DEFAULT_NODES = 10
DEFAULT_SPOT_TRIES = 2
DEFAULT_TASK_TIMEOUT = 2880
"""Minutes, two days."""


__all__ = ["ExecutorSettings", "SettingsError"]


@dataclass
class ExecutorSettings(PoolSettings):
    """Options of the executor `az-batch`; those of what pools are made of are `PoolSettings`."""

    account_url: str | None = option(
        "URL of the Batch account, https://ACCOUNT.REGION.batch.azure.com, or 'emulator' for the local Azure "
        "Batch emulator. Taken from AZ_BATCH_ACCOUNT_URL if not given. The account's key is read from "
        "AZ_BATCH_ACCOUNT_KEY and its name from the URL or AZ_BATCH_ACCOUNT_NAME; without a key, Entra ID "
        "credentials are used.",
        metavar="URL",
        type=str,
    )
    vm_size: str | None = option(
        "VM size of the nodes, or several, SIZE,SIZE,...: each job goes where its share of a node (threads, mem_mb, "
        f"disk_mb, gpu) costs least, and each size that is used has a pool of its own. {DEFAULT_VM_SIZE} (the default) "
        "stands for common sizes of 4 to 32 vCPUs, and for GPU sizes where a rule asks for a gpu. A rule can ask for "
        "others with the resource az_vm_size.",
        metavar="SIZE[,SIZE...]",
        type=str,
    )
    pools: list | None = list_option(
        "The pools, by their VM sizes, in place of --az-batch-vm-size: SIZE, or SIZE,nodes=N,slots-per-node=N for one "
        "that has other numbers than --az-batch-nodes and --az-batch-slots-per-node say.",
        metavar="SIZE[,nodes=N][,slots-per-node=N]",
    )
    prices: Path | None = option(
        "YAML or JSON file with prices of an hour of a node, such as 'Standard_D4ds_v5: 0.226' or 'Standard_D4ds_v5: "
        "{dedicated: 0.226, spot: 0.05}', in place of Azure's list prices for the account's region, which are asked "
        "for once a day. What neither of them has is taken from approximate list prices.",
        metavar="FILE",
        type=Path,
    )
    max_cost: float | None = option(
        "What all nodes of the run may cost, in the currency of the prices: no more nodes are asked for than what is "
        "left of it still pays for. When it is reached, running jobs come to their end, no other begins, and the run "
        "ends with exit code 1. The pools' lease holds it, too, when the client is gone.",
        metavar="AMOUNT",
        type=float,
    )
    nodes: int | None = option(
        f"The most nodes that a pool may have (default: {DEFAULT_NODES}); a pool has as many as the work needs, up "
        "to this number, and none while there is none.",
        metavar="N",
        type=int,
    )
    spot: int | None = option(
        "Run jobs on Spot nodes, which cost a fifth or so and may be taken away: a job goes to dedicated ones after it "
        f"has lost its node so many times ({DEFAULT_SPOT_TRIES} without a number). A rule's resource az_spot sets the "
        "number for a rule, 0 for no Spot nodes; --preemptible-rules names rules that use them, --preemptible-retries "
        "how often they begin again there.",
        metavar="N",
        type=int,
        nargs="?",
    )
    spot_wait: int = option(
        "Minutes to wait for Spot nodes before dedicated ones take their place.",
        default=10,
        metavar="MINUTES",
    )
    slots_per_node: int | None = option(
        "Task slots of a node (default: its number of vCPUs). A job takes as many slots as its threads and "
        "mem_mb need of a node, or what the resource az_slots says.",
        metavar="N",
        type=int,
    )
    pool_id: str | None = option(
        "Run in this existing pool, as it is: it is neither resized nor deleted.",
        metavar="ID",
        type=str,
    )
    os_image: str | None = option(
        "OS image of the nodes, PUBLISHER:OFFER:SKU[:VERSION] (default: the newest verified one that Batch "
        "lists with container support, microsoft-dsvm ubuntu-hpc first).",
        metavar="IMAGE",
        type=str,
    )
    task_retries: int = option(
        "How often Batch itself runs a task again on its node after a non-zero exit code. Snakemake's own "
        "--retries, which can raise resources between attempts, is independent of this.",
        default=0,
        metavar="N",
    )
    infra_retries: int = option(
        "How often a task is sent again that failed by the fault of its node or of the service: no image, a full "
        "disk, a container that does not start, a node that was taken out. That is no attempt of its job: "
        "--retries and the rule's retries do not count it.",
        default=3,
        metavar="N",
    )
    node_timeout: int = option(
        "Minutes to wait for a first usable node before the run is given up.",
        default=30,
        metavar="MINUTES",
    )
    patience: float = option(
        "Minutes for which requests to Batch, Blob Storage and Entra ID are tried again while they fail, as in an "
        "outage, before the run, or a task, gives up.",
        default=60,
        metavar="MINUTES",
        type=float,
    )
    task_timeout: int = option(
        "Minutes that a task may run at the most where its rule has no resource runtime: what hangs ends some day. 0 "
        "lifts the bound.",
        default=DEFAULT_TASK_TIMEOUT,
        metavar="MINUTES",
    )
    sas_hours: int = option(
        "The longest that the SAS which tasks get for Blob Storage lasts, when it is made by this run; from an account "
        "key, it ends with the run.",
        default=168,
        metavar="HOURS",
    )
    lease: int = option(
        "Minutes for which a pool keeps its nodes when its client, which renews this all the time, is gone. Tasks that "
        "run then come to their end.",
        default=30,
        metavar="MINUTES",
    )
    on_exit: str = option(
        "What becomes of what is under way when the run is ended by Ctrl-C or a signal: 'delete' ends the tasks and "
        "deletes all that the run has made, 'detach' leaves them to the next run, and the pool to its lease.",
        default="delete",
        metavar="delete|detach",
    )
    progress: str = option(
        "How the run shows how far it is: 'live' at the bottom of the terminal, 'lines' in a line a minute of the log, "
        "'none', or 'auto', which is live where the log goes to a terminal that no logger plugin has, and lines "
        "elsewhere; with --quiet progress or all, none.",
        default="auto",
        metavar="auto|live|lines|none",
    )
    report: Path | None = option(
        "Write a report of the run to this HTML file at its end, also when it fails: which task ran where and "
        "when, what it cost, what failed, and what was asked for against what was used. The file needs no network. "
        "Without --az-batch, the report of the newest run in this directory, also of one that died, and nothing else.",
        env_var=False,  # which would make each run without --az-batch a report
        metavar="FILE",
        type=Path,
    )
    config: Path | None = option(
        "YAML file with the keys BATCH_ACCOUNT_NAME, BATCH_ACCOUNT_KEY, BATCH_ACCOUNT_URL, "
        "BATCH_POOL_NODE_COUNT and BATCH_POOL_VM_SIZE, as in the first Azure Batch fork of Snakemake, and with any of "
        "these options, by their names without --az-batch-. Options and environment variables win over it. Implies "
        "--az-batch.",
        metavar="FILE",
        type=Path,
    )


@dataclass(frozen=True)
class LegacyConfig:
    """What `--az-batch-config` may hold. The key stays out of the settings, which travel and get printed."""

    account_name: str | None = None
    account_key: str | None = field(default=None, repr=False)
    account_url: str | None = None
    node_count: int | None = None
    vm_size: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Values of other options, by the names of their fields."""


_LEGACY_KEYS = {
    "BATCH_ACCOUNT_NAME": "account_name",
    "BATCH_ACCOUNT_KEY": "account_key",
    "BATCH_ACCOUNT_URL": "account_url",
    "BATCH_POOL_NODE_COUNT": "node_count",
    "BATCH_POOL_VM_SIZE": "vm_size",
}


def read_legacy_config(path: Path) -> LegacyConfig:
    """Reads the YAML file of `--az-batch-config`.

    Raises
    ------
    SettingsError: the file cannot be read, is not a mapping, or has an unknown or mistyped key.
    """
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise SettingsError(
            f"Cannot read the file given as --az-batch-config: {path}: {e.strerror}."
        ) from None
    except yaml.YAMLError as e:
        # The parser's own text can quote a line that holds the key.
        mark = getattr(e, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise SettingsError(f"The file given as --az-batch-config is not YAML: {path}{where}.") from None
    if not isinstance(data, dict):
        raise SettingsError(f"The file given as --az-batch-config must hold 'KEY: value' lines: {path}.")
    options: dict[str, Any] = {}
    for place, key in enumerate(data, 1):
        if key not in _LEGACY_KEYS:
            options |= _option_of_file(path, place, str(key), data[key])
    data = {key: value for key, value in data.items() if key in _LEGACY_KEYS}
    values = {_LEGACY_KEYS[key]: value for key, value in data.items() if value is not None}
    count = values.get("node_count")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int)):
        raise SettingsError(f"BATCH_POOL_NODE_COUNT in {path}{shown(count)} must be a whole number.")
    for key, name in _LEGACY_KEYS.items():
        if name == "node_count" or name not in values:
            continue
        if not isinstance(values[name], str | int) or isinstance(values[name], bool):
            raise SettingsError(f"{key} in {path} must be a text.")
        values[name] = str(values[name])
    return LegacyConfig(**values, options=options)


def _option_of_file(path: Path, place: int, key: str, value: Any) -> dict[str, Any]:
    """The field that an entry of the file is for, with its value; nothing for one without a value."""
    known = {f.name: f for f in fields(ExecutorSettings) if f.name != "config"}
    found = known.get(key.removeprefix("az-batch-").replace("-", "_"))
    if found is None:
        # One that is like none of ours may be anything, a secret without its key, too.
        like = difflib.get_close_matches(
            key, [*_LEGACY_KEYS, *(n.replace("_", "-") for n in known)], cutoff=0.7
        )
        name = f"key {key}" if like else f"entry {place}"
        raise SettingsError(
            f"Unknown {name} in {path}; --az-batch-config knows {', '.join(_LEGACY_KEYS)} and the names of the options "
            "--az-batch-*, without that."
        )
    if value is None:
        return {}
    if found.name == "vm_size" and isinstance(value, list):
        value = ",".join(map(str, value))
    if found.name == "spot" and isinstance(value, bool):
        value = DEFAULT_SPOT_TRIES if value else 0
    if found.name == "pools":
        given = value if isinstance(value, list) else [value]
        return {"pools": [named_pools.entry(each) if isinstance(each, dict) else str(each) for each in given]}
    if found.metadata.get("nargs") == "+":
        if isinstance(value, dict):
            value = [f"{name}={text}" for name, text in value.items()]
        return {found.name: [str(item) for item in (value if isinstance(value, list) else [value])]}
    kind = found.metadata.get("type") or type(found.default)
    if kind is bool or isinstance(value, bool):
        if kind is not bool and not (found.name == "autoscale" and value is True):
            raise SettingsError(f"{key} in {path} is yes or no, and takes a value.")
        if not isinstance(value, bool):
            raise SettingsError(f"{key} in {path}{shown(value)} must be true or false.")
        return {found.name: value if kind is bool else pool_settings.OWN_FORMULA}
    if kind is int and not isinstance(value, int):
        raise SettingsError(f"{key} in {path}{shown(value)} must be a whole number.")
    if kind is float and not isinstance(value, int | float):
        raise SettingsError(f"{key} in {path}{shown(value)} must be a number.")
    if isinstance(value, list | dict):
        raise SettingsError(f"{key} in {path} must be a text.")
    convert: Any = kind
    return {found.name: convert(value)}


def resolve(settings: ExecutorSettings, environ: Mapping[str, str] = os.environ) -> ExecutorSettings:
    """Fills what was not given from the legacy file, then the environment, then the defaults.

    Returns a copy. `validate` checks it, but for options that contradict each other, which shows only here.

    Raises
    ------
    SettingsError: an option for a new pool is given together with --az-batch-pool-id.
    """
    legacy = read_legacy_config(settings.config) if settings.config else LegacyConfig()
    settings = replace(settings, **_not_given(settings, legacy.options))
    _check_pool_options(settings)
    if settings.pools and settings.vm_size:
        raise SettingsError(
            "--az-batch-pools names the VM sizes already: leave it out, or --az-batch-vm-size."
        )
    return replace(
        settings,
        account_url=settings.account_url or environ.get("AZ_BATCH_ACCOUNT_URL") or legacy.account_url,
        vm_size=settings.vm_size or named_pools.sizes(settings.pools) or legacy.vm_size or DEFAULT_VM_SIZE,
        nodes=next(n for n in (settings.nodes, legacy.node_count, DEFAULT_NODES) if n is not None),
    )


def _not_given(settings: ExecutorSettings, options: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {f.name: None if f.default is MISSING else f.default for f in fields(ExecutorSettings)}
    return {name: value for name, value in options.items() if getattr(settings, name) == defaults[name]}


def _check_pool_options(settings: ExecutorSettings) -> None:
    """A pool that exists has its size and its slots already."""
    if settings.pool_id is None:
        return
    of_new_pools = [
        name
        for name in ("vm_size", "pools", "nodes", "slots_per_node", "os_image", "spot")
        if getattr(settings, name) is not None
    ]
    for name in [*of_new_pools, *pool_settings.given(settings)]:
        raise SettingsError(
            f"--az-batch-{name.replace('_', '-')} is for a new pool, and --az-batch-pool-id {settings.pool_id} "
            "names one that exists: leave one of them out."
        )


def is_emulator(account_url: str) -> bool:
    return account_url.partition(":")[0] == EMULATOR


def endpoint(account_url: str) -> str:
    """The URL that requests go to, without a trailing slash.

    Raises
    ------
    SettingsError: the URL is malformed.
    """
    if is_emulator(account_url):
        port = account_url.partition(":")[2] if ":" in account_url else str(EMULATOR_PORT)
        if not re.fullmatch(r"\d{1,5}", port) or not 0 < int(port) < 65536:
            raise SettingsError(
                f"--az-batch-account-url {account_url} is malformed: after 'emulator:' comes a port number."
            )
        return f"http://127.0.0.1:{port}"
    malformed = (
        f"--az-batch-account-url {_printable(account_url)} is malformed: give "
        "https://ACCOUNT.REGION.batch.azure.com as the portal shows it, or 'emulator'."
    )
    try:
        parts = urlsplit(account_url)
        port_number = parts.port
    except ValueError:
        raise SettingsError(malformed) from None
    loopback = is_loopback(account_url)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment:
        raise SettingsError(malformed)
    if parts.username or parts.password or port_number == 0 or re.search(r"\s", account_url):
        raise SettingsError(malformed)
    if parts.scheme == "http" and not loopback:
        raise SettingsError(
            f"--az-batch-account-url {account_url} must begin with https://: over http the requests "
            "could be read and replayed on the way."
        )
    if not loopback and "." not in parts.hostname:
        raise SettingsError(malformed)
    return account_url.rstrip("/")


def _printable(url: str) -> str:
    """The URL without what might be a secret: user information and query."""
    bare = re.sub(r"//[^/@]*@", "//***@", url)
    return bare.partition("?")[0] + ("?***" if "?" in bare else "")
