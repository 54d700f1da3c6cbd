"""From the options of pools (`snakemake.azure.pool_settings`) to what pools are made of, and what the account takes.

Raises a `SettingsError` of one sentence that names the option or variable to set; nothing is asked of Azure.
"""

import getpass
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from snakemake.azure.batch.account import BatchAccount
from snakemake.azure.batch.autoscale import LONGEST, AutoScale
from snakemake.azure.batch.node_setup import MAX_SCRIPT, packed
from snakemake.azure.batch.pool_definition import Mount, PoolDefinition, TaskUser
from snakemake.azure.image.private_registry import private_registry
from snakemake.azure.options import SettingsError
from snakemake.azure.pool_settings import MOUNT, OWN_FORMULA, PoolSettings, tag_parts, user_parts

if TYPE_CHECKING:
    from snakemake.azure.blob.account import BlobAccount


def definition(
    settings: PoolSettings, image: str, storage: "BlobAccount", environ: Mapping[str, str] = os.environ
) -> PoolDefinition:
    """What the options say; `storage` is the workflow's account, whose containers can be mounted by its credential."""
    return PoolDefinition(
        registry=private_registry(settings, image, environ),
        identities=identities(settings),
        user=TaskUser(*user_parts(settings.user)) if settings.user else TaskUser(),
        subnet_id=settings.subnet_id or "",
        public_ip=not settings.no_public_ip,
        os_disk=settings.os_disk,
        data_disk=settings.data_disk,
        docker_data=settings.docker_data or ("data" if settings.data_disk else "os"),
        start_script=_start_script(settings.start_task) if settings.start_task else "",
        mounts=tuple(_mount(text, settings, storage) for text in settings.mount or ()),
    )


def identities(settings: PoolSettings) -> tuple[str, ...]:
    """Those that the nodes get, each once."""
    return tuple(dict.fromkeys(filter(None, [*(settings.identity or ()), settings.registry_identity])))


def _start_script(path: Path) -> str:
    try:
        script = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "it is not UTF-8"
        raise SettingsError(f"Cannot read the file given as --az-batch-start-task: {path}: {why}.") from None
    if not script.strip():
        raise SettingsError(f"The file given as --az-batch-start-task is empty: {path}.")
    if (size := len(packed(script))) > MAX_SCRIPT:
        raise SettingsError(
            f"The file given as --az-batch-start-task has {size} bytes when it is packed, and {MAX_SCRIPT} are "
            "allowed: let it fetch what is large."
        )
    return script


def _mount(text: str, settings: PoolSettings, storage: "BlobAccount") -> Mount:
    match = MOUNT.fullmatch(text)
    assert match is not None, "validated before"
    if match["server"]:
        return Mount(match["path"], nfs=f"{match['server']}:{match['export']}")
    account, container = match["account"], match["container"]
    if settings.identity:
        return Mount(match["path"], account=account, container=container, identity=settings.identity[0])
    if account == storage.name and storage.key:
        return Mount(match["path"], account=account, container=container, key=storage.key)
    if account == storage.name and storage.sas:
        return Mount(match["path"], account=account, container=container, sas=f"?{storage.sas.lstrip('?')}")
    raise SettingsError(
        f"--az-batch-mount {text} needs a credential for the storage account {account}: give --az-batch-identity with "
        "an identity that has the role 'Storage Blob Data Reader' or 'Contributor' there, or mount a container of the "
        "workflow's own account, whose key or SAS is known here."
    )


def check(settings: PoolSettings, wanted: PoolDefinition, account: BatchAccount) -> None:
    """What the Batch account takes with the credential that there is; and that a formula can be read."""
    autoscale(settings)
    if wanted.subnet_id and account.key is not None:
        raise SettingsError(
            "Batch makes no pool in a network for the account's key, and AZ_BATCH_ACCOUNT_KEY is set: unset it and "
            "log in (az login), or leave out --az-batch-subnet-id."
        )
    if wanted.identities and account.endpoint.startswith("http://"):
        raise SettingsError(
            f"Pools with an identity are made with an Entra ID login, which needs https, and the Batch account is at "
            f"{account.endpoint}: start the emulator with --cert and --key, or leave out --az-batch-identity and "
            "--az-batch-registry-identity."
        )


def autoscale(settings: PoolSettings) -> AutoScale | None:
    """None where Snakemake sizes the pools itself."""
    value = settings.autoscale
    if value is None:
        return None
    if value.lower() in (OWN_FORMULA, "true", ""):
        return AutoScale()
    formula = value
    if "=" not in value:
        try:
            formula = Path(value).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as e:
            why = e.strerror if isinstance(e, OSError) else "it is not UTF-8"
            raise SettingsError(
                f"--az-batch-autoscale {value} is no formula, and no file that can be read: {why}."
            ) from None
    if not re.search(r"\$Target(Dedicated|LowPriority)(Nodes)?\s*=(?!=)", formula):
        raise SettingsError(
            "The formula of --az-batch-autoscale sets no number of nodes: assign $TargetDedicatedNodes or "
            "$TargetLowPriorityNodes, or leave the formula out for Snakemake's own."
        )
    if len(formula.encode()) > LONGEST:
        raise SettingsError(
            f"The formula of --az-batch-autoscale has {len(formula.encode())} bytes, and {LONGEST} are "
            "allowed: shorten it."
        )
    return AutoScale(formula)


def tags(settings: PoolSettings, workflow: str) -> tuple[tuple[str, str], ...]:
    """Names and values by which people find what belongs together, of pools and Batch jobs."""
    own = {"snakemake-workflow": workflow, "snakemake-user": _user()}
    return tuple((own | dict(map(tag_parts, settings.tags or ()))).items())


def _user() -> str:
    """The user of this machine, as tags of pools tell it; empty where it has no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
