"""What is in an account: one blob, a listing, a directory; asked for as seldom as can be.

What was seen a moment ago, and not changed by this object since, is not asked for again; many questions about one
directory become a listing of it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.entries import Blob, blob_of
from snakemake.azure.blob.errors import BlobError, explained
from snakemake.azure.blob.inventory import Crowd, parent_of
from snakemake.azure.blob.names import SCHEME
from snakemake.azure.blob.seen import SEEN_SECONDS, Seen
from snakemake.azure.blob.service import connect, service_of
from snakemake.azure.retry import Patience

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient, BlobServiceClient, ContainerClient

PAGE = 5000  # entries of a listing in one answer


class BlobLooks:
    """Questions about the blobs of one account; see BlobStore, which answers them and moves the blobs, too."""

    def __init__(
        self,
        account: BlobAccount,
        clock: Callable[[], float] = time.monotonic,
        patience: float | Patience | None = None,
    ) -> None:
        self.account = account
        self.endpoint = service_of(account, patience)
        self._clock = clock
        self._service: BlobServiceClient | None = None
        self._lock = threading.Lock()
        self._seen = Seen()
        self._crowd = Crowd(SEEN_SECONDS)

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
        """The properties of the blob, or None when it or its container does not exist. At most one request.

        What was seen within the last second, and not changed through this object since, is not asked for again.
        When many blobs of one directory are asked for, one listing a second answers for all of them.
        """
        from azure.core.exceptions import ResourceNotFoundError

        asked = self._clock()
        if (seen := self._seen.recent(container, name, asked)) is not None:
            return seen
        if self._crowd.asks(container, parent_of(name), asked):
            self._look_around(container, parent_of(name), asked)
            if (seen := self._seen.recent(container, name, asked)) is not None:
                return seen
        with explained(self.account, f"{SCHEME}{container}/{name}"):
            try:
                blob = blob_of(self._blob(container, name).get_blob_properties())
            except ResourceNotFoundError:
                return None
        self._seen.remember(container, asked, [blob])
        return blob

    def exists(self, container: str, name: str) -> bool:
        """Whether there is such a file or directory. That there was none a moment ago is not asked again."""
        asked = self._clock()
        if self._seen.is_absent(container, name, asked):
            return False
        if self.head(container, name) is not None or self.has_below(container, name):
            return True
        self._seen.remember_absence(container, asked, name)
        return False

    def missing(self, container: str, name: str) -> BlobError:
        """The error for a file or directory that was expected."""
        return BlobError(
            f"{SCHEME}{container}/{name}: there is no such blob or directory in the storage account "
            f"{self.account.name}.",
            404,
            "BlobNotFound",
        )

    def _look_around(self, container: str, directory: str, when: float) -> None:
        """Remembers what the first page of the directory's listing says."""
        try:
            page = next(self.pages(container, f"{directory}/" if directory else "", recursive=False), None)
        except BlobError as error:
            if error.status != 403:  # without the permission to list, each blob is asked for as before
                raise
            page = None
        blobs, folders = page or ([], [])
        if page is None or len(blobs) + len(folders) >= PAGE:
            self._crowd.give_up(container, directory)
        self._seen.remember(container, when, blobs)

    def _forget(self, container: str, name: str) -> None:
        self._seen.changed(container, name, self._clock())

    def pages(
        self, container: str, prefix: str, recursive: bool = True
    ) -> Iterator[tuple[list[Blob], list[str]]]:
        """Pages of (blobs, directories) whose names start with `prefix`; up to 5,000 entries and one request each.

        Not recursive, it stops at the next slash, and `directories` has the names up to there, without the
        slash. Nothing comes out when the container does not exist.
        """
        from azure.storage.blob import BlobPrefix

        client = self.container(container)
        options: dict[str, Any] = {"name_starts_with": prefix or None, "include": ["metadata"]}
        listing = client.list_blobs(**options) if recursive else client.walk_blobs(delimiter="/", **options)
        try:
            with explained(self.account, f"{SCHEME}{container}/{prefix}"):
                for page in listing.by_page():
                    blobs, directories = [], []
                    for item in page:
                        if isinstance(item, BlobPrefix):
                            directories.append(item.name.removesuffix("/"))
                        else:
                            blobs.append(blob_of(item))
                    yield blobs, directories
        except BlobError as error:
            if not error.is_missing:
                raise

    def below(self, container: str, name: str) -> Iterator[Blob]:
        """All blobs of the directory, its own marker not among them."""
        for blobs, _ in self.pages(container, f"{name}/"):
            yield from blobs

    def newest_below(self, container: str, name: str) -> float:
        """The newest mtime of all blobs of the directory, 0.0 if there are none; remembered for a second, too."""
        asked = self._clock()
        newest = self._seen.newest_below(container, name, asked)
        if newest is None:
            newest = max((blob.mtime for blob in self.below(container, name)), default=0.0)
            self._seen.remember_newest(container, asked, name, newest)
        return newest

    def has_below(self, container: str, name: str) -> bool:
        """Whether there is any blob of the directory besides its marker. One request."""
        from azure.core.exceptions import ResourceNotFoundError

        with explained(self.account, f"{SCHEME}{container}/{name}/"):
            try:
                names = self.container(container).list_blob_names(
                    name_starts_with=f"{name}/", results_per_page=1
                )
                return next(iter(names), None) is not None
            except ResourceNotFoundError:
                return False
