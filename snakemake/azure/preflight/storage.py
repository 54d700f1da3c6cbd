"""The storage of a run: which accounts and containers, whether they answer, and whether their login is enough."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from snakemake.azure.blob.names import container_name_fault, query_fault
from snakemake.azure.blob.node_access import Use
from snakemake.azure.settings import SettingsError

if TYPE_CHECKING:
    from snakemake.azure.blob.account import BlobAccount
    from snakemake.azure.blob.storage import StorageProvider

OUTPUT_CACHE = "SNAKEMAKE_OUTPUT_CACHE"

_NEVER_THERE = ".snakemake-azbatch/never-there"


def blob_storage(provider: Any, prefix: str | None) -> "tuple[BlobAccount, str]":
    """The storage account of the default storage provider, and the default prefix as `CONTAINER[/PATH]`."""
    from snakemake.azure.blob.storage import StorageProvider

    if not isinstance(provider, StorageProvider):
        raise SettingsError(
            "Azure Batch runs need Azure Blob Storage: set --default-storage-provider azblob and "
            "--default-storage-prefix az://CONTAINER/PREFIX."
        )
    return provider.store.account, blob_prefix(prefix)


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
