"""What is checked, looked up and packed before a run creates anything in Azure.

Each function raises a `WorkflowError` of one sentence that names the option or variable to set.
"""

import math
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from snakemake.azure import pool_settings
from snakemake.azure.batch import ids, quotas, size_lists, vm_sizes
from snakemake.azure.batch.account import BatchAccount
from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.errors import BatchError
from snakemake.azure.batch.lease import LEAST, MOST
from snakemake.azure.batch.os_images import OsImages
from snakemake.azure.batch.placement import ExistingPool
from snakemake.azure.batch.pools import PoolError
from snakemake.azure.batch.prices import Cache, Prices, built_in, look_up, read_file
from snakemake.azure.batch.quotas import Quotas
from snakemake.azure.blob.names import container_name_fault, query_fault
from snakemake.azure.blob.node_access import Use
from snakemake.azure.image.contents import Contents, Need, lacking
from snakemake.azure.image.labels import fault
from snakemake.azure.image.private_registry import PrivateRegistry
from snakemake.azure.image.reference import parse_image_reference
from snakemake.azure.image.registry import Verdict, check_pull
from snakemake.azure.options import check_bounds
from snakemake.azure.settings import ExecutorSettings, SettingsError, endpoint, is_emulator
from snakemake.azure.sources import LARGE_ARCHIVE, SourceArchive, Survey, pack, survey
from snakemake.azure.wire import is_loopback, lower

if TYPE_CHECKING:
    from snakemake.azure.blob.account import BlobAccount
    from snakemake.azure.blob.storage import StorageProvider

OUTPUT_CACHE = "SNAKEMAKE_OUTPUT_CACHE"
DEFAULT_IMAGE = "snakemake-azbatch"
"""Name of the image that `make image` builds; its tag is Snakemake's version."""

_UPSTREAM = re.compile(r"(?:(?:index\.|registry-1\.)?docker\.io/)?snakemake/snakemake(?:[:@].*)?")
ON_EXIT = ("delete", "detach")

# https://learn.microsoft.com/azure/batch/batch-quota-limit
MAX_TASK_RETRIES = 100


def validate(settings: ExecutorSettings) -> None:
    """Checks the options that need no request.

    Raises
    ------
    SettingsError: with one sentence on the first option that is missing or wrong.
    """
    if not settings.account_url:
        raise SettingsError(
            "The URL of the Batch account is missing: give --az-batch-account-url "
            "https://ACCOUNT.REGION.batch.azure.com (or 'emulator'), or set AZ_BATCH_ACCOUNT_URL."
        )
    endpoint(settings.account_url)
    try:
        sizes = size_lists.sizes(settings.vm_size or size_lists.AUTO) or size_lists.auto()
    except vm_sizes.UnknownVmSize as e:
        raise SettingsError(f"{e} Set --az-batch-vm-size.") from None
    largest = max(sizes, key=vm_sizes.most_slots)
    most = vm_sizes.most_slots(largest)
    check_bounds(settings.slots_per_node, 1, most, "slots-per-node", f"Batch allows on {largest.name}")
    check_bounds(settings.nodes, 1, None, "nodes", "give")
    check_bounds(settings.spot, 0, MAX_TASK_RETRIES, "spot", "give")
    check_bounds(settings.spot_wait, 0, None, "spot-wait", "give")
    if settings.spot and settings.autoscale is not None:
        raise SettingsError(
            "--az-batch-autoscale lets the service ask for dedicated nodes alone: leave it out, or --az-batch-spot."
        )
    if settings.prices:
        read_file(settings.prices)
    check_bounds(settings.task_retries, -1, MAX_TASK_RETRIES, "task-retries", "give")
    check_bounds(settings.infra_retries, 0, MAX_TASK_RETRIES, "infra-retries", "give")
    check_bounds(settings.node_timeout, 1, None, "node-timeout", "give")
    if not math.isfinite(settings.patience):
        raise SettingsError(
            f"--az-batch-patience {settings.patience} is no number of minutes: give 0 or more."
        )
    check_bounds(settings.patience, 0, None, "patience", "give")
    check_bounds(settings.task_timeout, 0, None, "task-timeout", "give")
    check_bounds(settings.sas_hours, 1, None, "sas-hours", "give")
    check_bounds(settings.lease, LEAST, MOST, "lease", "give")
    if settings.on_exit not in ON_EXIT:
        raise SettingsError(
            f"--az-batch-on-exit {settings.on_exit} is none of the choices: give {' or '.join(ON_EXIT)}."
        )
    if settings.pool_id is not None and not ids.is_valid(settings.pool_id):
        raise SettingsError(
            f"--az-batch-pool-id {settings.pool_id!r} is not an id of a pool: Batch allows 1 to 64 letters, "
            "digits, hyphens and underscores."
        )
    if settings.os_image is not None and len(settings.os_image.split(":")) not in (3, 4):
        raise SettingsError(
            f"--az-batch-os-image {settings.os_image} is malformed: give PUBLISHER:OFFER:SKU or "
            "PUBLISHER:OFFER:SKU:VERSION."
        )
    pool_settings.validate(settings)


def container_image(settings: ExecutorSettings, given: str | None) -> str:
    """The image for the tasks. Upstream's default is no choice: it has no `snakemake.azure` in it.

    On the emulator, whose engine has the images of this machine, the image of `make image` is the default.
    """
    from snakemake.common import __version__, get_container_image

    if given and given != get_container_image() and _UPSTREAM.fullmatch(given):
        raise SettingsError(
            "The image snakemake/snakemake has upstream's Snakemake in it, which knows nothing of Azure Batch tasks: "
            "build one with this Snakemake (docker build -t REGISTRY/NAME . in the source tree, then docker push), "
            "and give it as --container-image."
        )
    if given and given != get_container_image():
        parse_image_reference(given)
        return given
    if settings.account_url and is_emulator(settings.account_url):
        return f"{DEFAULT_IMAGE}:{__version__.replace('+', '-')}"
    raise SettingsError(
        "The image for the tasks is missing: give --container-image with an image that has this Snakemake in it "
        "(docker build -t REGISTRY/NAME . in the source tree, then docker push)."
    )


def check_image(
    settings: ExecutorSettings,
    image: str,
    account_endpoint: str,
    needs: Callable[[], Iterable[Need]] = tuple,
    warn: Callable[[str], None] = lambda sentence: None,
    registry: PrivateRegistry | None = None,
) -> tuple[str, frozenset[str] | None]:
    """Asks the image's registry, with the nodes' login, whether it has the image, and what the image says it has in it,
    which is compared with what the workflow `needs`. Returns its name with the digest that the tag stands for now, so
    that nodes that come later pull the same one, and the architectures that it is for (`amd64`, `arm64`), None where
    they are not known.

    Not for a pool that exists, which may have a login of its own and the image already, nor for an emulator on this
    machine, whose engine may have the image without any registry; there, and where the registry gives no answer here,
    the name stays as it is.
    """
    if is_loopback(account_endpoint) or settings.pool_id is not None:
        return image, None
    from snakemake.common import __version__

    reference = parse_image_reference(image)
    ours = registry if registry and registry.server == reference.registry else None
    pull = check_pull(reference, ours.login if ours else None)
    if ours and ours.identity and pull.verdict is Verdict.DENIED:
        return image, None  # the nodes log in by an identity that is not ours
    if pull.problem:
        raise SettingsError(pull.problem)
    if pull.labels is not None and (problem := fault(image, pull.labels, __version__)):
        raise SettingsError(problem)
    if pull.labels is not None:
        lacks, may_lack = lacking(image, Contents.of(pull.labels, pull.history), needs())
        if lacks:
            raise SettingsError(lacks)
        if may_lack:
            warn(may_lack)
    return pull.pinned or image, pull.architectures


def blob_storage(provider: Any, prefix: str | None) -> "tuple[BlobAccount, str]":
    """The storage account of the default storage provider, and the default prefix as `CONTAINER[/PATH]`."""
    from snakemake.azure.blob.storage import StorageProvider

    if not isinstance(provider, StorageProvider):
        raise SettingsError(
            "Azure Batch runs need Azure Blob Storage: set --default-storage-provider azblob and "
            "--default-storage-prefix az://CONTAINER/PREFIX."
        )
    return provider.store.account, blob_prefix(prefix)


def tagged_storage(storages: Mapping[str, Any]) -> "dict[str, StorageProvider]":
    """Our other providers in the workflow, by their tags: each may have an account of its own."""
    from snakemake.azure.blob.storage import StorageProvider

    return {
        name: provider
        for name, provider in storages.items()
        if isinstance(provider, StorageProvider) and not provider.is_default and name != "azblob"
    }


def storage_uses(
    default: "StorageProvider",
    storages: Mapping[str, Any],
    files: Iterable[Any],
    written: Iterable[str],
) -> list[Use]:
    """The storage accounts that tasks need, and of each the containers: all that the workflow names.

    files: outputs, logs and benchmarks of all rules, as Snakemake's files, for what is written to; written: further
    containers of the default provider's account that are.
    """
    tagged = tagged_storage(storages)
    ours = [p for n, p in storages.items() if isinstance(p, type(default)) and n not in tagged]
    outputs = [file.storage_object for file in files if file.is_storage]
    return [
        _use(None, list({id(p): p for p in [default, *ours]}.values()), outputs, set(written)),
        *(_use(tag, [provider], outputs, set()) for tag, provider in sorted(tagged.items())),
    ]


def _use(tag: str | None, providers: "list[StorageProvider]", outputs: list[Any], written: set[str]) -> Use:
    written |= {each.container for each in outputs if any(each.provider is p for p in providers)}
    # With a wildcard there, any container may be written to.
    anywhere = any("{" in container for container in written)

    def containers() -> dict[str, bool]:
        named = written.union(*(p.containers for p in providers))
        return {c: anywhere or c in written for c in named if c and container_name_fault(c) is None}

    return Use(providers[0].store.account, containers, tag)


def output_cache(rules: Iterable[str] | None, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment variable that tells a task where the cache between workflows is; none without --cache, whose
    `rules` then are None, or without a place.
    """
    place = environ.get(OUTPUT_CACHE)
    if rules is None or not place:
        return {}
    if fault := query_fault(f"{place}/x"):
        raise SettingsError(
            f"{OUTPUT_CACHE} is {place}, but tasks can use a cache in blob storage only: {fault}; set it to "
            "az://CONTAINER/PATH, or leave --cache out."
        )
    return {OUTPUT_CACHE: place}


def blob_prefix(prefix: str | None) -> str:
    """`CONTAINER[/PATH]` of an az:// prefix, without a slash at the end."""
    bare = (prefix or "").removeprefix("az://").rstrip("/")
    container = bare.partition("/")[0]
    if not (prefix or "").startswith("az://") or not container:
        raise SettingsError(
            f"--default-storage-prefix {prefix or ''} is malformed: give az://CONTAINER or az://CONTAINER/PREFIX."
        )
    if fault := container_name_fault(container):
        raise SettingsError(f"Azure refuses the container of --default-storage-prefix {prefix}: {fault}.")
    return bare


def survey_sources(files: Iterable[str], workdir: Path, warn: Callable[[str], None]) -> Survey:
    """What would be sent to the nodes, without the sending. Raises SourcesError."""
    found = survey(files, workdir)
    _tell_of_sources(found.missing, found.large, warn)
    return found


def pack_sources(
    files: Iterable[str], workdir: Path, warn: Callable[[str], None], more: Mapping[str, bytes] | None = None
) -> SourceArchive:
    archive = pack(files, workdir, more)
    _tell_of_sources(archive.missing, archive.large, warn)
    if len(archive.data) > LARGE_ARCHIVE:
        warn(
            f"The workflow's sources are {len(archive.data) / 1e6:.0f} MB packed; large files in the workflow's "
            "directory or its git repository are sent to every node. Data belongs into input files."
        )
    return archive


def _tell_of_sources(
    missing: Sequence[str], large: Iterable[tuple[str, int]], warn: Callable[[str], None]
) -> None:
    if missing:
        others = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        warn(
            "Files that the workflow or its git repository names are not there, and are not sent to the nodes: "
            f"{', '.join(missing[:3])}{others}."
        )
    for name, size in large:
        warn(
            f"The file {name} is among the workflow's sources and has {size / 1e6:.0f} MB: it is sent to every node. "
            "Data belongs into input files; keep it out of the git repository."
        )


def os_images(batch: Batch, settings: ExecutorSettings, now: datetime) -> OsImages:
    """Asks the service for its images. The first request of a run: it also checks account and credential. Whoever may
    use a pool need not be allowed to ask, and a pool that exists has its image."""
    if settings.pool_id is not None:
        return OsImages((), now, None)
    return OsImages(tuple(batch.supported_images()), now, settings.os_image)


def prices(settings: ExecutorSettings, endpoint: str) -> Prices:
    """What nodes cost in the account's region, by the user's file where there is one. Prices of sizes that only rules
    name are not asked for."""
    given = read_file(settings.prices) if settings.prices else None
    if settings.pool_id is not None:
        return built_in()
    from snakemake.common import get_appdirs

    named = size_lists.sizes(settings.vm_size or size_lists.AUTO)
    sizes = {vm.name for vm in (*named, *size_lists.auto(), *size_lists.auto(gpu=True))}
    cache = Cache(Path(get_appdirs().user_cache_dir) / "azure-batch")
    known = look_up(endpoint, sizes, cache)
    return given.over(known) if given else known


def quotas_of(account: BatchAccount, patience: float = 10.0) -> Quotas | None:
    """What the account may have, where a login is used that may ask for it; waited for no longer than `patience`
    seconds.

    With the account's key alone, quotas are not told before nodes are asked for.
    """
    if account.key is not None:
        return None
    found: list[Quotas | None] = []

    def ask() -> None:
        with suppress(Exception):  # it only helps
            found.append(quotas.find(account))

    thread = threading.Thread(target=ask, name="az-batch-quotas", daemon=True)
    thread.start()
    thread.join(patience)
    return found[0] if found else None


def existing_pool(batch: Batch, settings: ExecutorSettings) -> ExistingPool | None:
    """The pool of --az-batch-pool-id, checked to be one that can run containers."""
    if settings.pool_id is None:
        return None
    try:
        pool = batch.get_pool(settings.pool_id)
    except BatchError as e:
        if e.status == 404:
            raise PoolError(
                f"There is no pool {settings.pool_id} in the Batch account {batch.account.name}: correct "
                "--az-batch-pool-id, or leave it out to have a pool made."
            ) from None
        raise
    if lower(pool.state) != "active":
        raise PoolError(
            f"The pool {settings.pool_id} is being deleted: set --az-batch-pool-id to another one."
        )
    configuration = pool.virtual_machine_configuration
    if configuration is None or configuration.container_configuration is None:
        raise PoolError(
            f"The pool {settings.pool_id} has no container configuration, so its nodes cannot run the image: set "
            "--az-batch-pool-id to a pool made with one, or leave it out."
        )
    try:
        vm = vm_sizes.vm_size(pool.vm_size)
    except vm_sizes.UnknownVmSize:
        raise PoolError(
            f"The pool {settings.pool_id} has nodes of size {pool.vm_size}, whose vCPUs are not known here: set "
            "--az-batch-pool-id to a pool of another size, or leave it out."
        ) from None
    _check_user(settings, pool)
    return ExistingPool(pool.id, vm, pool.task_slots_per_node or 1)


def _check_user(settings: ExecutorSettings, pool: Any) -> None:
    """A user of its own name has to be one of the pool's."""
    name = pool_settings.user_parts(settings.user)[0] if settings.user else "root"
    known = [account.name for account in pool.user_accounts or []]
    if name != "root" and name not in known:
        has = f"its own are {', '.join(known)}" if known else "it has none of its own"
        raise PoolError(
            f"The pool {pool.id} has no user {name} ({has}): correct --az-batch-user, or leave it out for Batch's user."
        )


def check_blob_access(account: "BlobAccount", prefix: str) -> None:
    """One listing of the prefix: are the storage account, the credential and the container as they should be? And may a
    login, or a SAS that does not say it itself, write there?

    A container that is not there yet is fine: the first upload makes it.
    """
    from azure.core.exceptions import ResourceNotFoundError

    from snakemake.azure.blob.errors import error_code, explained
    from snakemake.azure.blob.service import connect

    _check_permissions(account)
    container, _, path = prefix.partition("/")
    with connect(account) as service, explained(account, prefix):
        pages = service.get_container_client(container).list_blobs(
            name_starts_with=path or None, results_per_page=1
        )
        try:
            next(pages.by_page(), None)
        except ResourceNotFoundError as e:
            if error_code(e) != "ContainerNotFound":
                raise
        if account.key is None:
            blob = f"{path}/{_NEVER_THERE}" if path else _NEVER_THERE
            _may_write(service.get_blob_client(container, blob))


_NEVER_THERE = ".snakemake-azbatch/never-there"


def _may_write(blob: Any) -> None:
    """Asks to replace and to delete a version of a blob that cannot be there: a service looks at permissions before it
    looks at conditions, so that nothing changes, and a login that may only read is refused with 403.

    Raises azure.core's HttpResponseError.
    """
    from azure.core import MatchConditions
    from azure.core.exceptions import HttpResponseError

    version: dict[str, Any] = {"etag": "never-there", "match_condition": MatchConditions.IfNotModified}
    for change in (
        lambda: blob.upload_blob(b"", length=0, overwrite=True, **version),
        lambda: blob.delete_blob(**version),
    ):
        try:
            change()
        except HttpResponseError as e:
            if e.status_code == 403:
                raise


def _check_permissions(account: "BlobAccount") -> None:
    """What a SAS of the user's own says that it may do; one with a stored access policy does not say it."""
    given = parse_qs(account.sas or "").get("sp")
    if not given:
        return
    needed = {"r": "read", "w": "write", "d": "delete", "l": "list"}
    if missing := [name for letter, name in needed.items() if letter not in given[0]]:
        raise SettingsError(
            f"The SAS in {account.source} lacks the permission to {' and to '.join(missing)}, which runs and their "
            "tasks need: create one with sp=rwdlc, and set it there."
        )
