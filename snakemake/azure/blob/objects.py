"""One file or directory of a workflow, as Snakemake asks about it and moves it."""

import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_storage_plugins.exceptions import FileOrDirectoryNotFoundError
from snakemake_interface_storage_plugins.io import IOCacheStorageInterface, Mtime, get_constant_prefix
from snakemake_interface_storage_plugins.storage_object import (
    StorageObjectGlob,
    StorageObjectRead,
    StorageObjectTouch,
    StorageObjectWrite,
)

from snakemake.azure.blob.entries import Blob
from snakemake.azure.blob.errors import BlobError
from snakemake.azure.blob.files import fits, too_long
from snakemake.azure.blob.here import Here
from snakemake.azure.blob.inventory import MAX_PAGES, Listing, ListingPlan, lineage, parent_of
from snakemake.azure.blob.names import SCHEME, split_query
from snakemake.azure.blob.store import BlobStore

T = TypeVar("T")


class Provider(Protocol):
    """What an object needs of its `snakemake.azure.blob.storage.StorageProvider`."""

    containers: set[str]
    cache: IOCacheStorageInterface | None
    plan: ListingPlan
    wait_for_free_local_storage: Any
    logger: Any
    here: Here | None
    counts_here: bool
    local_prefix: Path

    @property
    def store(self) -> BlobStore: ...
    def plan_for(self, cache: IOCacheStorageInterface) -> ListingPlan: ...
    async def off_loop(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T: ...


class StorageObject(StorageObjectRead, StorageObjectWrite, StorageObjectGlob, StorageObjectTouch):
    provider: Provider
    # Whether the job changes its local copy in place, as with update(); no part of the interface, see misc/edits.
    local_copy_is_changed = False
    _checked_below: Path | None = None

    def __post_init__(self) -> None:
        self.container, self.name = split_query(self.query)
        self.provider.containers.add(self.container)

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
        if self._beside() is not None:
            return None  # which is known without a listing
        directory = parent_of(self.name)
        root = self.provider.plan.root(self.container, directory)
        return self._key(directory if root is None else root)

    def _beside(self) -> Path | None:
        """The file on this disk that is to become the blob, where that is asked for."""
        provider = self.provider
        return provider.here.path(self.query) if provider.here is not None and provider.counts_here else None

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
        asked = self.store.known.ask()
        pages = self.store.pages(listing.container, listing.prefix, listing.recursive)
        try:
            for number, page in enumerate(pages):
                if number == MAX_PAGES or (number and budget.spent):
                    complete = False
                    break
                blobs += page.blobs
                directories.update(page.directories)
        except BlobError as error:
            if error.status != 403:  # without the permission to list, each blob is asked for
                raise
            complete = False
        self.store.known.remember(listing.container, asked, blobs)
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
        self._check_path()
        if self._beside() is not None:
            return True
        cache: Any = self.provider.cache
        if cache is not None and cache.active and not self._overwrite_local_path:
            if self.store.known.blob(self.container, self.name) is not None:
                return True
            await self.inventory(cache)
            if self.get_inventory_parent() in cache.exists_in_storage.has_inventory:
                return cache.exists_in_storage[self.cache_key()]
        return await _in_one_sentence(super().managed_exists())

    async def managed_size(self) -> int:
        """A size that an inventory does not have is not asked for where it has seen that there is nothing: functions
        of a workflow ask for sizes of what is yet to be made.
        """
        if (path := self._beside()) is not None:
            return path.stat().st_size
        cache: Any = self.provider.cache
        if cache is not None and cache.active and not await self.managed_exists():
            raise FileOrDirectoryNotFoundError(self.print_query, self.local_path())
        return await _in_one_sentence(super().managed_size())

    async def managed_mtime(self) -> float:
        if (path := self._beside()) is not None:
            return path.stat().st_mtime
        return await _in_one_sentence(super().managed_mtime())

    async def managed_checksum(self) -> str | None:
        if self._beside() is not None:
            return None
        return await _in_one_sentence(super().managed_checksum())

    async def managed_local_footprint(self) -> int:
        if (path := self._beside()) is not None:
            return path.stat().st_size
        return await _in_one_sentence(super().managed_local_footprint())

    def exists(self) -> bool:
        return self.store.exists(self.container, self.name)

    def mtime(self) -> float:
        """Last-Modified of the blob; for a directory the newest of its marker and all below it."""
        blob = self._head()
        if blob is not None and not blob.is_folder:
            return blob.mtime
        newest = max(blob.mtime if blob else 0.0, self.store.newest_below(self.container, self.name))
        if not newest:
            raise self.store.missing(self.container, self.name)
        return newest

    def size(self) -> int:
        blob = self._head()
        if blob is None and not self.store.has_below(self.container, self.name):
            raise self.store.missing(self.container, self.name)
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

    async def wait_for_free_space(self) -> None:
        """Snakemake's look at the size costs a request, so it is left out where nobody wants to wait: the download
        learns the size with its first bytes, and ends if the disk has no room for the rest.
        """
        if self.provider.wait_for_free_local_storage is not None:
            await super().wait_for_free_space()

    def _check_path(self) -> None:
        """Raises BlobError when there can be no local copy. This comes first of all, and so before any job runs."""
        if not self.container:  # Snakemake does not validate what it makes of SNAKEMAKE_OUTPUT_CACHE
            raise BlobError(
                f"{self.query}: a place in storage begins with {SCHEME}, as in az://CONTAINER/PATH; if this is one for "
                "--cache, set SNAKEMAKE_OUTPUT_CACHE to such a place."
            )
        below = self._overwrite_local_path or self.provider.local_prefix
        if self.retrieve and below is not self._checked_below:
            if not fits(self.local_path()):
                raise too_long(self.print_query)
            self._checked_below = below

    async def managed_retrieve(self) -> None:
        self._check_path()
        await _in_one_sentence(self.provider.off_loop(super().managed_retrieve))

    async def managed_store(self) -> None:
        await _in_one_sentence(self.provider.off_loop(super().managed_store))

    async def managed_remove(self) -> None:
        await _in_one_sentence(self.provider.off_loop(super().managed_remove))

    async def managed_touch(self) -> None:
        await _in_one_sentence(self.provider.off_loop(super().managed_touch))

    def retrieve_object(self) -> None:
        self.store.fetch(self.container, self.name, self.local_path(), shared=not self.local_copy_is_changed)

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

    def protect(self) -> None:
        """What `protected()` asks for; no part of the interface, see misc/edits."""
        self.store.protect(self.container, self.name)

    def is_protected(self) -> bool:
        blob = self._head()
        return blob is not None and blob.leased

    def list_candidate_matches(self) -> Iterable[str]:
        """Queries of all files and directories that start like this one up to its first wildcard."""
        container, _, prefix = get_constant_prefix(self.query).removeprefix(SCHEME).partition("/")
        if container != self.container:
            raise BlobError(
                f"{self.print_query}: the container's name must not have a wildcard; only the path may "
                "have some."
            )
        seen: set[str] = set()
        for page in self.store.pages(container, prefix):
            for blob in page.blobs:
                name = blob.name.removesuffix("/")
                seen.update(n for n in lineage(name) if n.startswith(prefix) and n)
        there = [f"{SCHEME}{container}/{name}" for name in sorted(seen)]
        if self.provider.here is None or (there and not self.provider.counts_here):
            return there
        here = self.provider.here.starting_with(f"{SCHEME}{container}/{prefix}")
        if self.provider.counts_here:
            return sorted({*there, *here})
        if here:
            self.provider.logger.warning(
                f"There is nothing like {self.print_query} in storage, and there are {len(here):,} such files or "
                "folders on this disk: the same command with --az-batch-upload stores them there."
            )
        return there


def _checksum(blob: Blob) -> str | None:
    return f"md5:{blob.md5}" if blob.md5 and not blob.is_folder else None


async def _in_one_sentence(work: Awaitable[T]) -> T:
    """What `work` returns. Where the interface puts an error of its own around ours, ours alone is raised: it says what
    failed, of which blob, and the way out. Snakemake shows the frames of the interface, and of the thread that a
    transfer runs in, which say nothing to a user.
    """
    try:
        return await work
    except WorkflowError as error:
        cause = error.__context__
        if type(error) is WorkflowError and isinstance(cause, WorkflowError):
            raise cause.with_traceback(None) from None
        raise error.with_traceback(None)  # noqa: B904


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
