"""The storage provider `azblob`: files and directories of a workflow as blobs, `az://container/path`.

Snakemake finds the three classes through the package `snakemake_storage_plugin_azblob`. Its contract:
https://snakemake.github.io/snakemake-plugin-catalog (storage plugins) and
snakemake_interface_storage_plugins.
"""

import asyncio
import math
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_storage_plugins.common import Operation
from snakemake_interface_storage_plugins.io import IOCacheStorageInterface
from snakemake_interface_storage_plugins.settings import StorageProviderSettingsBase
from snakemake_interface_storage_plugins.storage_provider import (
    ExampleQuery,
    QueryType,
    StorageProviderBase,
    StorageQueryValidationResult,
)

from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.fence import Fence
from snakemake.azure.blob.files import Cancellation, cancellable
from snakemake.azure.blob.here import Here
from snakemake.azure.blob.inventory import ListingPlan
from snakemake.azure.blob.names import query_fault
from snakemake.azure.blob.objects import StorageObject
from snakemake.azure.blob.parallel import TRANSFERS
from snakemake.azure.blob.store import BlobStore
from snakemake.azure.blob.workers import Workers
from snakemake.azure.secrets import without_secrets

if TYPE_CHECKING:
    from snakemake.azure.blob.node_cache import NodeCache

T = TypeVar("T")

# Directory that all tasks of a node share; https://learn.microsoft.com/azure/batch/batch-compute-node-environment-variables
SHARED_DIR = "AZ_BATCH_NODE_SHARED_DIR"

# Snakemake looks for the class of its objects beside the provider's.
__all__ = ["StorageObject", "StorageProvider", "StorageProviderSettings"]


@dataclass
class StorageProviderSettings(StorageProviderSettingsBase):
    # All three can hold a secret: as environment variables they stay out of the command lines of jobs.
    account_url: str | None = field(
        default=None,
        metadata={
            "help": "URL of the storage account, https://ACCOUNT.blob.core.windows.net, optionally "
            "with a SAS as its query; any endpoint works, Azurite's "
            "http://127.0.0.1:10000/devstoreaccount1 included. Default: the environment variable "
            "AZ_BLOB_ACCOUNT_URL.",
            "env_var": True,
        },
    )
    account_key: str | None = field(
        default=None,
        metadata={
            "help": "Access key of the storage account. Default: the environment variable "
            "AZ_BLOB_ACCOUNT_KEY; without a key and without a SAS, Entra ID is used (az login, a service "
            "principal, an identity).",
            "env_var": True,
        },
    )
    connection_string: str | None = field(
        default=None,
        metadata={
            "help": "Connection string of the storage account, instead of URL and key. Default: the "
            "environment variable AZ_BLOB_CONNECTION_STRING, then AZURE_STORAGE_CONNECTION_STRING.",
            "env_var": True,
        },
    )
    content_md5: bool = field(
        default=False,
        metadata={
            "help": "Store the MD5 of all their content with files of more than 8 MiB as well, as Content-MD5: for "
            "programs that look at it, and so that a newer input with the same content is no reason to run a job "
            "again. It takes 1.3 seconds of CPU for each gigabyte, stored or fetched.",
        },
    )
    no_node_cache: bool = field(
        default=False,
        metadata={
            "help": "Let each task on a node of Azure Batch fetch its own inputs. Without this, tasks of one node "
            "share them: each blob is fetched once and kept in the node's shared directory.",
        },
    )
    node_cache_free_mb: int | None = field(
        default=None,
        metadata={
            "help": "Space in MB on a node's disk that the node cache leaves free for what tasks write. Default: a "
            "quarter of the disk, and at most 50 GiB.",
            "type": int,
        },
    )


class StorageProvider(StorageProviderBase):
    # Of the process: the workflow's files on this disk, None in tasks; and whether one of them counts as its blob, as
    # while they are stored.
    here: ClassVar[Here | None] = None
    counts_here: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._store: BlobStore | None = None
        self._workers = Workers(TRANSFERS, "azblob")
        self.containers: set[str] = set()  # that the workflow names
        self.cache: IOCacheStorageInterface | None = None
        self.plan = ListingPlan()

    @property
    def store(self) -> BlobStore:
        """The account's blobs; the account is resolved with the first use."""
        with self._lock:
            if self._store is None:
                given = self.settings or StorageProviderSettings()
                account = BlobAccount.resolve(given.account_url, given.account_key, given.connection_string)
                self._store = BlobStore(
                    account,
                    cache=self._node_cache(account),
                    content_md5=given.content_md5,
                    copies=self.local_prefix,
                    fence=lambda store: Fence.of_task(account, lambda: store.service),
                )
            return self._store

    def _node_cache(self, account: BlobAccount) -> "NodeCache | None":
        """What tasks on this node share; None where there is no node, and where it is switched off."""
        given = self.settings or StorageProviderSettings()
        megabytes = given.node_cache_free_mb
        if megabytes is not None and megabytes < 0:
            raise WorkflowError(
                f"--storage-azblob-node-cache-free-mb is {megabytes}, but space cannot be less than nothing; "
                "give 0 or more."
            )
        shared = os.environ.get(SHARED_DIR)
        if not shared or given.no_node_cache:
            return None
        from snakemake.azure.blob.node_cache import NodeCache

        free = None if megabytes is None else megabytes * 1_000_000
        return NodeCache(Path(shared), account.url, free, self.logger.warning)

    def plan_for(self, cache: IOCacheStorageInterface) -> ListingPlan:
        """What is listed already in this cache; another cache starts anew."""
        if self.cache is not cache:
            self.cache, self.plan = cache, ListingPlan()
        return self.plan

    # -- no part of the interface, see misc/edits --------------------------------------------------------------

    async def look_at(self, objects: Iterable[StorageObject]) -> None:
        """Asks for what is not known of these, many at once, so that questions about one of them cost no request."""
        cache: Any = self.cache
        if cache is not None and cache.active:
            covered = cache.exists_in_storage.has_inventory
            objects = [each for each in objects if each.get_inventory_parent() not in covered]
        for container, names in _by_container(objects).items():
            await self.off_loop(partial(self._look_at, container, names))

    async def _look_at(self, container: str, names: list[str]) -> None:
        self.store.look_at(container, names)

    def forget(self, objects: Iterable[StorageObject]) -> None:
        """A job that has ended, wherever it ran, may have changed these."""
        for container, names in _by_container(objects).items():
            self.store.known.forget(container, names)

    async def off_loop(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Runs the coroutine in a worker thread, so that several files move at once.

        Snakemake awaits transfers in task groups, but its own wrappers around them block the event loop.
        When the waiting task is cancelled (Ctrl-C, or the failure of another transfer), the transfer stops
        at its next chunk.
        """
        cancelled = Cancellation()
        waits = self.use_rate_limiter() or self.wait_for_free_local_storage is not None

        def run() -> T:
            with cancellable(cancelled):
                return asyncio.run(work()) if waits else _at_once(work())

        try:
            return await self._workers.run(run)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def use_rate_limiter(self) -> bool:
        wanted: Any = self.settings and self.settings.max_requests_per_second  # a text, from the command line
        if not wanted:
            return False
        try:
            possible = 0 < float(wanted) < math.inf
        except ValueError:
            possible = False
        if not possible:
            raise WorkflowError(
                f"--storage-azblob-max-requests-per-second is {wanted}, which is no number above 0; give one, such as "
                "100 or 0.5, or leave the option out."
            )
        return True

    def default_max_requests_per_second(self) -> float:
        """Unused unless the setting asks for a limit: an account takes 20,000 a second, and says so beyond."""
        return 20_000.0

    def rate_limiter_key(self, query: str, operation: Operation) -> str:
        return "account"

    @classmethod
    def example_queries(cls) -> list[ExampleQuery]:
        return [
            ExampleQuery(
                query="az://container/path/file.txt",
                type=QueryType.ANY,
                description="A blob, or a directory of blobs, in a container of the storage account",
            )
        ]

    @classmethod
    def is_valid_query(cls, query: str) -> StorageQueryValidationResult:
        fault = query_fault(query)
        return StorageQueryValidationResult(query=without_secrets(query), valid=fault is None, reason=fault)

    def postprocess_query(self, query: str) -> str:
        return query.rstrip("/")

    def safe_print(self, query: str) -> str:
        return without_secrets(query)


def _at_once(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that never waits. An event loop for it would take longer than it does."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    work.close()
    raise RuntimeError("The storage plugin's interface waits during a transfer, where it did not up to now.")


def _by_container(objects: Iterable[StorageObject]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = defaultdict(list)
    for each in objects:
        names[each.container].append(each.name)
    return names
