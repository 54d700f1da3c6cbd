"""The storage provider `azblob`: files and directories of a workflow as blobs, `az://container/path`.

Snakemake finds the three classes through the package `snakemake_storage_plugin_azblob`. Its contract:
https://snakemake.github.io/snakemake-plugin-catalog (storage plugins) and
snakemake_interface_storage_plugins.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_storage_plugins.common import Operation
from snakemake_interface_storage_plugins.io import IOCacheStorageInterface, Mtime, get_constant_prefix
from snakemake_interface_storage_plugins.settings import StorageProviderSettingsBase
from snakemake_interface_storage_plugins.storage_object import (
    StorageObjectGlob,
    StorageObjectRead,
    StorageObjectTouch,
    StorageObjectWrite,
)
from snakemake_interface_storage_plugins.storage_provider import (
    ExampleQuery,
    QueryType,
    StorageProviderBase,
    StorageQueryValidationResult,
)

from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.errors import BlobError
from snakemake.azure.blob.files import cancellable
from snakemake.azure.blob.inventory import MAX_PAGES, Listing, ListingPlan, lineage, parent_of
from snakemake.azure.blob.names import SCHEME, query_fault, split_query, without_secret
from snakemake.azure.blob.store import Blob, BlobStore

if TYPE_CHECKING:
    from snakemake.azure.blob.cache import NodeCache

T = TypeVar("T")

# Directory that all tasks of a node share; https://learn.microsoft.com/azure/batch/batch-compute-node-environment-variables
SHARED_DIR = "AZ_BATCH_NODE_SHARED_DIR"

# Files in transfer at once; each uses up to files.CONCURRENCY connections.
TRANSFERS = 4


@dataclass
class StorageProviderSettings(StorageProviderSettingsBase):
    # All three can hold a secret: as environment variables they stay out of the command lines of jobs.
    account_url: str | None = field(
        default=None,
        metadata={
            "help": "URL of the storage account, https://ACCOUNT.blob.core.windows.net, optionally "
            "with a SAS as its "
            "query; any endpoint works, Azurite's http://127.0.0.1:10000/devstoreaccount1 included. "
            "Default: the environment variable AZ_BLOB_ACCOUNT_URL.",
            "env_var": True,
        },
    )
    account_key: str | None = field(
        default=None,
        metadata={
            "help": "Access key of the storage account. Default: the environment variable "
            "AZ_BLOB_ACCOUNT_KEY; "
            "without a key and without a SAS, Entra ID is used (az login, a service principal, an identity).",
            "env_var": True,
        },
    )
    connection_string: str | None = field(
        default=None,
        metadata={
            "help": "Connection string of the storage account, instead of URL and key. Default: the "
            "environment "
            "variable AZ_BLOB_CONNECTION_STRING, then AZURE_STORAGE_CONNECTION_STRING.",
            "env_var": True,
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
    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._store: BlobStore | None = None
        self._workers: ThreadPoolExecutor | None = None
        self.cache: IOCacheStorageInterface | None = None
        self.plan = ListingPlan()

    @property
    def store(self) -> BlobStore:
        """The account's blobs; the account is resolved with the first use."""
        with self._lock:
            if self._store is None:
                given = self.settings or StorageProviderSettings()
                account = BlobAccount.resolve(given.account_url, given.account_key, given.connection_string)
                self._store = BlobStore(account, cache=self._node_cache(account))
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
        from snakemake.azure.blob.cache import NodeCache

        free = None if megabytes is None else megabytes * 1_000_000
        return NodeCache(Path(shared), account.url, free, self.logger.warning)

    def plan_for(self, cache: IOCacheStorageInterface) -> ListingPlan:
        """What is listed already in this cache; another cache starts anew."""
        if self.cache is not cache:
            self.cache, self.plan = cache, ListingPlan()
        return self.plan

    async def off_loop(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Runs the coroutine in a worker thread, so that several files move at once.

        Snakemake awaits transfers in task groups, but its own wrappers around them block the event loop.
        When the waiting task is cancelled (Ctrl-C, or the failure of another transfer), the transfer stops
        at its next chunk.
        """
        with self._lock:
            if self._workers is None:
                self._workers = ThreadPoolExecutor(TRANSFERS, thread_name_prefix="azblob")
        cancelled = threading.Event()

        def run() -> T:
            with cancellable(cancelled):
                return asyncio.run(work())

        try:
            return await asyncio.get_running_loop().run_in_executor(self._workers, run)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        except WorkflowError as error:
            # Snakemake shows frames from outside of itself; those of the thread say nothing to a user.
            raise error.with_traceback(None)  # noqa: B904

    def use_rate_limiter(self) -> bool:
        return bool(self.settings and self.settings.max_requests_per_second)

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
        return StorageQueryValidationResult(query=without_secret(query), valid=fault is None, reason=fault)

    def postprocess_query(self, query: str) -> str:
        return query.rstrip("/")

    def safe_print(self, query: str) -> str:
        return without_secret(query)


class StorageObject(StorageObjectRead, StorageObjectWrite, StorageObjectGlob, StorageObjectTouch):
    provider: StorageProvider

    def __post_init__(self) -> None:
        self.container, self.name = split_query(self.query)

    @property
    def store(self) -> BlobStore:
        return self.provider.store

    def local_suffix(self) -> str:
        return f"{self.container}/{self.name}"

    def cleanup(self) -> None:
        """Nothing remains: downloads clean up after themselves, and Snakemake removes the local copies."""

    # -- what is there ---------------------------------------------------------------------------------------

    def get_inventory_parent(self) -> str | None:
        """The key under which a listing that covers this object marks the cache."""
        directory = parent_of(self.name)
        root = self.provider.plan.root(self.container, directory)
        return self._key(directory if root is None else root)

    def _key(self, name: str) -> str:
        return self.cache_key(f"{self.container}/{name}" if name else self.container)

    async def inventory(self, cache: IOCacheStorageInterface) -> None:
        """Fills the cache from listings around this object, see snakemake.azure.blob.inventory.

        Within the time of --max-inventory-time, which Snakemake sets to 0 in tasks: a task looks at the few files
        of its own job, for which a listing is too much.
        """
        plan, budget = self.provider.plan_for(cache), _Budget(cache)
        while not budget.spent and (listing := plan.next(self.container, parent_of(self.name))):
            with budget:
                plan.done(listing, self._list_into(cache, listing, budget))

    def _list_into(self, cache: IOCacheStorageInterface, listing: Listing, budget: "_Budget") -> bool:
        """Whether the listing came to its end."""
        blobs: list[Blob] = []
        directories: set[str] = set()
        complete = True
        for number, (found, folders) in enumerate(
            self.store.pages(listing.container, listing.prefix, listing.recursive)
        ):
            if number == MAX_PAGES or (number and budget.spent):
                complete = False
                break
            blobs += found
            directories.update(folders)
        newest: dict[str, float] = {}
        for blob in blobs:
            name = blob.name.removesuffix("/")
            inside = name if blob.is_folder else parent_of(name)
            for above in lineage(inside):
                if len(above) <= len(listing.directory):
                    break
                newest[above] = max(newest.get(above, 0.0), blob.mtime)
        for name in directories | newest.keys():
            key = self._key(name)
            cache.exists_in_storage[key] = True
            cache.size[key] = 0
            if listing.recursive and complete:
                cache.mtime[key] = Mtime(storage=newest[name])
        for blob in blobs:
            if not blob.is_folder:
                key = self._key(blob.name)
                cache.exists_in_storage[key] = True
                cache.mtime[key] = Mtime(storage=blob.mtime)
                cache.size[key] = blob.size
                cache.checksum[key] = _checksum(blob)
        if complete:
            covered: Any = cache.exists_in_storage  # an ExistsDict, which the interface calls a dict
            covered.has_inventory.add(self._key(listing.directory))
        return complete

    def _head(self) -> Blob | None:
        return self.store.head(self.container, self.name)

    async def managed_exists(self) -> bool:
        """Snakemake asks for an inventory only around the inputs of the target rules (DAG.update does not hand
        `create_inventory` down), and file by file for the rest. Once it has asked for one, and while its cache is
        in use, the first such question about a directory is answered by an inventory too.
        """
        cache: Any = self.provider.cache
        if cache is not None and cache.active and not self._overwrite_local_path:
            await self.inventory(cache)
            if self.get_inventory_parent() in cache.exists_in_storage.has_inventory:
                return cache.exists_in_storage[self.cache_key()]
        return await super().managed_exists()

    def exists(self) -> bool:
        return self._head() is not None or self.store.has_below(self.container, self.name)

    def _missing(self) -> BlobError:
        return BlobError(
            f"{self.print_query}: there is no such blob or directory in the storage account "
            f"{self.store.account.name}.",
            404,
            "BlobNotFound",
        )

    def mtime(self) -> float:
        """Last-Modified of the blob; for a directory the newest of its marker and all below it."""
        blob = self._head()
        if blob is not None and not blob.is_folder:
            return blob.mtime
        ages = [b.mtime for b in self.store.below(self.container, self.name)]
        if blob is not None:
            ages.append(blob.mtime)
        if not ages:
            raise self._missing()
        return max(ages)

    def size(self) -> int:
        blob = self._head()
        if blob is None and not self.store.has_below(self.container, self.name):
            raise self._missing()
        return 0 if blob is None or blob.is_folder else blob.size

    def local_footprint(self) -> int:
        blob = self._head()
        if blob is not None and not blob.is_folder:
            return blob.size
        return sum(b.size for b in self.store.below(self.container, self.name))

    def checksum(self) -> str | None:
        """The MD5 that the service made of a blob uploaded in one request, or that an uploader gave it."""
        blob = self._head()
        return _checksum(blob) if blob is not None else None

    # -- what is moved ---------------------------------------------------------------------------------------

    async def managed_retrieve(self) -> None:
        await self.provider.off_loop(super().managed_retrieve)

    async def managed_store(self) -> None:
        await self.provider.off_loop(super().managed_store)

    def retrieve_object(self) -> None:
        self.store.fetch(self.container, self.name, self.local_path())

    def store_object(self) -> None:
        path = self.local_path()
        if path.is_dir():
            self.store.upload_directory(self.container, self.name, path)
        elif path.is_file():
            self.store.upload(self.container, self.name, path)
        elif path.is_fifo():
            return  # output marked as pipe(), which its reader has read by now
        else:
            raise BlobError(
                f"{self.print_query}: its local copy {path} does not exist, so it cannot be stored."
            )

    def remove(self) -> None:
        self.store.remove(self.container, self.name)

    def touch(self) -> None:
        self.store.touch(self.container, self.name)

    def list_candidate_matches(self) -> Iterable[str]:
        """Queries of all files and directories that start like this one up to its first wildcard."""
        container, _, prefix = get_constant_prefix(self.query).removeprefix(SCHEME).partition("/")
        if container != self.container:
            raise BlobError(
                f"{self.print_query}: the container's name must not have a wildcard; only the path may "
                "have some."
            )
        seen: set[str] = set()
        for blobs, _ in self.store.pages(container, prefix):
            for blob in blobs:
                name = blob.name.removesuffix("/")
                seen.update(n for n in lineage(name) if n.startswith(prefix) and n)
        return [f"{SCHEME}{container}/{name}" for name in sorted(seen)]


def _checksum(blob: Blob) -> str | None:
    return f"md5:{blob.md5}" if blob.md5 and not blob.is_folder else None


class _Budget:
    """The time that --max-inventory-time leaves for listings, kept where Snakemake keeps it: in its cache."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache
        self._since: float | None = None

    @property
    def spent(self) -> bool:
        used = 0.0 if self._since is None else time.monotonic() - self._since
        return self._cache.remaining_wait_time <= used

    def __enter__(self) -> None:
        self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._cache.remaining_wait_time -= time.monotonic() - (self._since or 0.0)
        self._since = None
