"""What is in an account: one blob, many, a listing, a directory; asked for as seldom as can be.

What is known is not asked for again, see snakemake.azure.blob.metadata_cache. Many blobs that are asked for at once are
asked for side by side, or by a listing of their directory where that costs less.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.entries import Blob, blob_of
from snakemake.azure.blob.errors import BlobError, explained
from snakemake.azure.blob.inventory import PAGE, Directories, parent_of
from snakemake.azure.blob.listing import reading_listings, undecoded
from snakemake.azure.blob.metadata_cache import MetadataCache
from snakemake.azure.blob.names import SCHEME
from snakemake.azure.blob.parallel import in_parallel
from snakemake.azure.blob.service import connect, service_of
from snakemake.azure.retry import Patience

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient, BlobServiceClient, ContainerClient

UNLISTED = 10**12  # entries of a directory that may not be listed


class Page(NamedTuple):
    """Of a listing: `directories` are names without their slash, and `entries` is how many there were of both."""

    blobs: list[Blob]
    directories: list[str]
    entries: int


class BlobMetadata:
    """Questions about the blobs of one account; see BlobStore, which answers them and moves the blobs, too."""

    def __init__(self, account: BlobAccount, patience: float | Patience | None = None) -> None:
        self.account = account
        self.known = MetadataCache()
        self.endpoint = service_of(account, patience)
        self._service: BlobServiceClient | None = None
        self._lock = threading.Lock()
        self._directories = Directories()
        self._archived: dict[tuple[str, str], str | None] = {}

    @property
    def service(self) -> "BlobServiceClient":
        with self._lock:
            if self._service is None:
                self._service = connect(self.account, self.endpoint)
            return self._service

    def container(self, name: str) -> "ContainerClient":
        return self.service.get_container_client(name)

    def _blob(self, container: str, name: str) -> "BlobClient":
        return self.service.get_blob_client(container, name)

    def head(self, container: str, name: str) -> Blob | None:
        """The properties of the blob, or None when it or its container does not exist.

        No request if it is known, and at most one for each blob that is asked for: when many of a directory are asked
        for one after the other, a listing answers for the rest.
        """
        if (blob := self.known.blob(container, name)) is not None:
            return blob
        directory = parent_of(name)
        if misses := self._directories.missed(container, directory):
            self._list(container, directory, misses)
            if (blob := self.known.blob(container, name)) is not None:
                return blob
        return self._ask(container, name)

    def _ask(self, container: str, name: str) -> Blob | None:
        from azure.core.exceptions import ResourceNotFoundError

        asked = self.known.ask()
        with explained(self.account, f"{SCHEME}{container}/{name}"):
            try:
                blob = blob_of(self._blob(container, name).get_blob_properties())
            except ResourceNotFoundError:
                return None
        self.known.remember(container, asked, [blob])
        return blob

    def exists(self, container: str, name: str) -> bool:
        """Whether there is such a file or directory."""
        if self.known.is_absent(container, name):
            return False
        return self._exists(container, name, self.head)

    def _exists(self, container: str, name: str, head: Callable[[str, str], Blob | None]) -> bool:
        asked = self.known.ask()
        if head(container, name) is not None or self.has_below(container, name):
            return True
        self.known.remember_absent(container, asked, [name])
        return False

    def look_at(self, container: str, names: Iterable[str]) -> None:
        """Asks for those that are not known, many at once; then there are no more requests for them."""
        unknown: dict[str, list[str]] = defaultdict(list)
        for name in dict.fromkeys(names):
            if self.known.blob(container, name) is None and not self.known.is_absent(container, name):
                unknown[parent_of(name)].append(name)
        single: list[str] = []
        for directory, some in unknown.items():
            single += self._list(container, directory, len(some), some)
        in_parallel(lambda name: self._exists(container, name, self._ask), single)

    def _list(self, container: str, directory: str, count: int, names: Collection[str] = ()) -> list[str]:
        """Lists the directory, if that pays for `count` names of it; those of `names` that it leaves open."""
        left = set(names)
        limit = self._directories.pages(container, directory, count)
        if not limit:
            return sorted(left)
        asked, entries, complete = self.known.ask(), 0, False
        made: set[str] = set()  # directories, with or without a marker
        try:
            prefix = f"{directory}/" if directory else ""
            listing = self.pages(container, prefix, recursive=False, wanted=left.copy() or None)
            # A page may have fewer entries than could be: where the service's own partitions end, even none.
            for page in islice(listing, count):
                self.known.remember(container, asked, page.blobs)
                left.difference_update(blob.name for blob in page.blobs)
                made.update(page.directories)
                entries += page.entries
                if entries >= limit * PAGE:
                    break
            complete = next(listing, None) is None
            self._directories.saw(container, directory, entries if complete else entries + PAGE)
        except BlobError as error:
            if error.status != 403:  # without the permission to list, each blob is asked for
                raise
            self._directories.saw(container, directory, UNLISTED)
        if complete:
            self.known.remember_absent(container, asked, left - made)
            left &= made
        return sorted(left)

    def missing(self, container: str, name: str) -> BlobError:
        """The error for a file or directory that was expected."""
        return BlobError(
            f"{SCHEME}{container}/{name}: there is no such blob or directory in the storage account "
            f"{self.account.name}.",
            404,
            "BlobNotFound",
        )

    def pages(
        self, container: str, prefix: str, recursive: bool = True, wanted: Collection[str] | None = None
    ) -> Iterator[Page]:
        """What has a name that starts with `prefix`; up to 5,000 entries and one request for each page.

        Not recursive, it stops at the next slash, and `directories` has the names up to there. With `wanted`, blobs
        that are not among them may be left out. Nothing comes out when the container does not exist.
        """
        from azure.storage.blob import BlobPrefix

        client, unwanted = reading_listings(self.container(container), wanted)
        options: dict[str, Any] = {
            "name_starts_with": prefix or None,
            "include": ["metadata"],
            "raw_response_hook": undecoded,
        }
        listing = client.list_blobs(**options) if recursive else client.walk_blobs(delimiter="/", **options)
        try:
            with explained(self.account, f"{SCHEME}{container}/{prefix}"):
                for page in listing.by_page():
                    blobs, directories = [], []
                    item: Any
                    for item in page:
                        if isinstance(item, Blob):
                            blobs.append(item)
                        elif isinstance(item, str | BlobPrefix):
                            directories.append(
                                (item if isinstance(item, str) else item.name).removesuffix("/")
                            )
                        else:
                            blobs.append(blob_of(item))
                    yield Page(blobs, directories, len(blobs) + len(directories) + unwanted.count)
        except BlobError as error:
            if not error.is_missing:
                raise

    def below(self, container: str, name: str) -> Iterator[Blob]:
        """All blobs of the directory, its own marker not among them."""
        for page in self.pages(container, f"{name}/"):
            yield from page.blobs

    def newest_below(self, container: str, directory: str) -> float:
        """The newest mtime of all blobs of the directory, 0.0 if there are none."""
        newest = self.known.newest_below(container, directory)
        if newest is None:
            asked, newest, archived = self.known.ask(), 0.0, None
            for blob in self.below(container, directory):
                newest = max(newest, blob.mtime)
                archived = archived or (blob.name if blob.archived else None)
            self._archived[container, directory] = archived
            self.known.remember_newest(container, asked, directory, newest)
        return newest

    def archived_below(self, container: str, directory: str) -> str | None:
        """The name of a blob of the directory that lies in the archive tier, if there is one."""
        self.newest_below(container, directory)
        return self._archived.get((container, directory))

    def has_below(self, container: str, name: str) -> bool:
        """Whether there is any blob of the directory besides its marker. One request, if it is not known."""
        from azure.core.exceptions import ResourceNotFoundError

        if (newest := self.known.newest_below(container, name)) is not None:
            return newest > 0
        with explained(self.account, f"{SCHEME}{container}/{name}/"):
            try:
                names = self.container(container).list_blob_names(
                    name_starts_with=f"{name}/", results_per_page=1
                )
                return next(iter(names), None) is not None
            except ResourceNotFoundError:
                return False
