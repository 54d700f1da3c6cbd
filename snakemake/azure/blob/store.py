"""Blobs as files: move them and change them, in bounded memory and without half-done results.

A download goes to a temporary name, and replaces its target in the end.

A directory is all blobs below its name and a slash. Object stores have no directories, so that an empty one
would not exist: an empty blob with the directory's own name and the metadata `hdi_isfolder=true` marks it,
as in accounts with a hierarchical namespace and in Hadoop's driver. Such markers are understood wherever
they come from.
"""

import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.download import Download
from snakemake.azure.blob.entries import FOLDER, Blob, bare, blob_of, inside
from snakemake.azure.blob.errors import BlobError, error_code, explained
from snakemake.azure.blob.files import CHUNK, fits, plain, too_long, walk
from snakemake.azure.blob.inventory import lineage
from snakemake.azure.blob.metadata import BlobMetadata
from snakemake.azure.blob.names import SCHEME, blob_name_fault
from snakemake.azure.blob.parallel import CONCURRENCY, in_parallel
from snakemake.azure.blob.temporary_files import FolderRemoved, replacing
from snakemake.azure.blob.upload import Upload
from snakemake.azure.retry import Patience

if TYPE_CHECKING:
    from snakemake.azure.blob.fence import Fence
    from snakemake.azure.blob.node_cache import NodeCache

T = TypeVar("T")

Condition = dict[str, Any]
"""Arguments for a request of the SDK that say what the blob has to be."""


class BlobStore(BlobMetadata):
    """The blobs of one account. The client is made with the first request; all methods may be called from threads.

    Methods raise BlobError, with the query `az://container/name` in the sentence. What may pass is waited out for
    `patience` (seconds; None: as all requests of the process, see snakemake.azure.retry). With `content_md5`, blobs in
    blocks get a Content-MD5, too. `copies` is the folder that downloads go to, see
    snakemake.azure.blob.temporary_files; `fence` makes the one that all changes have to pass
    (snakemake.azure.blob.fence), or None.
    """

    def __init__(
        self,
        account: BlobAccount,
        cache: "NodeCache | None" = None,
        patience: float | Patience | None = None,
        content_md5: bool = False,
        copies: Path | None = None,
        fence: "Callable[[BlobStore], Fence | None]" = lambda store: None,
    ) -> None:
        super().__init__(account, patience)
        self._fence = fence(self)
        self._cache = cache
        self._content_md5 = content_md5
        self._copies = copies

    def check_run(self) -> None:
        """Raises BlobError where this process may not write any more, see snakemake.azure.blob.fence."""
        if self._fence is not None:
            self._fence.check()

    # -- down ------------------------------------------------------------------------------------------------

    def fetch(self, container: str, name: str, path: Path, shared: bool = True) -> float:
        """Writes the blob or directory to `path`, gives it its mtime in storage, and returns that.

        Not `shared`, it comes past the node cache, which may hand out files that nobody may write to.

        A file takes one request for its first MiB, and none to find out what it is.
        """
        seen = self.known.blob(container, name)
        cache = self._cache if shared else None
        try:
            try:
                mtime = self._replace(container, name, path, cache, seen)
            except FolderRemoved:
                mtime = self._replace(container, name, path, cache, seen)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise too_long(f"{SCHEME}{container}/{name}") from None
            if error.errno in (errno.EEXIST, errno.ENOTDIR):
                raise BlobError(
                    f"{SCHEME}{container}/{name}: its local copy {path} would lie below a file; remove that file, "
                    "or the blob that it is a copy of, if there is one."
                ) from None
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            there = next(folder for folder in path.absolute().parents if folder.is_dir())
            free = f"{shutil.disk_usage(there).free:,} bytes are free"
            raise BlobError(
                f"{SCHEME}{container}/{name}: the disk of {path.parent} has no room for it "
                f"({free if error.errno == errno.ENOSPC else 'your quota there is used up'}); free some, or put "
                "--local-storage-prefix on a larger disk."
            ) from None
        return mtime

    def _replace(
        self, container: str, name: str, path: Path, cache: "NodeCache | None", seen: Blob | None
    ) -> float:
        with replacing(path, self._copies) as partial:
            mtime = self._download(container, name, partial, cache, etag=seen.etag if seen else None)
            if mtime is None:
                mtime = self._download_directory(container, name, partial, path, cache)
            os.utime(partial, (mtime, mtime))
        return mtime

    def _download(
        self,
        container: str,
        name: str,
        path: Path,
        cache: "NodeCache | None",
        concurrency: int = CONCURRENCY,
        etag: str | None = None,
    ) -> float | None:
        """The blob's mtime after its content is at `path`; None when it is no file.

        With a node cache, the content comes from there; `etag` is what the blob was last seen to have.
        """
        what = f"{SCHEME}{container}/{name}"
        with explained(self.account, what):
            ask = Download(self._blob(container, name), what, concurrency, self.endpoint).begin
            if cache is None:
                return plain(ask, path)
            return cache.get(container, name, path, etag, ask)

    def _download_directory(
        self, container: str, name: str, path: Path, final: Path, cache: "NodeCache | None"
    ) -> float:
        """Makes the directory `path`, which will be `final`, of all blobs below `name`; the newest mtime among them and
        the marker.
        """
        marker = self.head(container, name)
        newest = marker.mtime if marker else 0.0
        path.mkdir()
        files: list[tuple[Blob, Path]] = []
        for blob in self.below(container, name):
            newest = max(newest, blob.mtime)
            if blob.name == f"{name}/":
                continue
            relative = inside(container, name, blob)
            target = path / relative
            if not (fits(target) and fits(final / relative)):
                raise too_long(f"{SCHEME}{container}/{blob.name}")
            if blob.is_folder:
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                files.append((blob, target))
        if not newest:
            raise self.missing(container, name)
        if clash := next((blob.name for blob, target in files if target.is_dir()), None):
            raise BlobError(
                f"{SCHEME}{container}/{clash}: there are blobs below this name as well, so that it cannot be a local "
                "file; rename or remove one of them."
            )
        each = max(1, CONCURRENCY // max(1, len(files)))

        def get(job: tuple[Blob, Path]) -> None:
            blob, target = job
            mtime = self._download(container, blob.name, target, cache, each, blob.etag)
            if mtime is None:
                raise BlobError(
                    f"{SCHEME}{container}/{blob.name}: the blob was removed meanwhile; start again."
                )
            os.utime(target, (mtime, mtime))

        in_parallel(get, files)
        return newest

    # -- up --------------------------------------------------------------------------------------------------

    def upload(self, container: str, name: str, path: Path, concurrency: int = CONCURRENCY) -> None:
        """Makes the file at `path` the blob, replacing what is there; creates a missing container."""
        before = path.stat()
        what = f"{SCHEME}{container}/{name}"
        upload = Upload(self._blob(container, name), what, path, concurrency, self._content_md5)
        with self.known.changing(container, name) as change:
            stored = self._creating(container, name, upload.run)
            if before.st_size <= CHUNK and _same(before, path.stat()):
                change.made(_of_one_request(name, before.st_size, stored))
        if self._cache is not None:
            mtime = stored["last_modified"].timestamp()
            self._cache.put(container, name, path, before, bare(stored["etag"]), mtime)

    def upload_directory(self, container: str, name: str, path: Path) -> None:
        """Makes the directory at `path` the one in storage: files, empty directories, and the marker last.

        Blobs below `name` that have no file at `path` are removed, since an output is what the rule made.
        Symbolic links are followed.
        """
        files, empty = walk(path)
        jobs = [(f"{name}/{relative}", path / relative) for relative in files]
        folders = [f"{name}/{relative}" for relative in empty]
        made = {n for n, _ in jobs} | set(folders)
        if blocked := next((n for n in sorted(made) if blob_name_fault(n)), None):
            raise BlobError(f"{SCHEME}{container}/{blocked}: {blob_name_fault(blocked)}; rename the file.")
        each = max(1, CONCURRENCY // max(1, len(jobs)))
        in_parallel(lambda job: self.upload(container, job[0], job[1], each), jobs)
        in_parallel(lambda folder: self.mark_folder(container, folder), folders)
        # With a hierarchical namespace, every directory is a blob that cannot go before what is in it.
        around = {above for n in made for above in lineage(n)}
        old = [b for b in self.below(container, name) if b.name not in made]
        self.delete_all(container, [b.name for b in old if not (b.is_folder and b.name in around)])
        self.mark_folder(container, name)

    def mark_folder(self, container: str, name: str) -> None:
        def put(condition: Condition) -> None:
            client = self._blob(container, name)
            client.upload_blob(b"", length=0, overwrite=True, metadata=FOLDER, **condition)

        with self.known.changing(container, name):
            self._creating(container, name, put)

    def _fenced(
        self, container: str, name: str, change: Callable[[Condition], T], seen: str | None = None
    ) -> T:
        """What `change` returns, whose request is made under the conditions that it is given; `seen` is the entity tag
        of the blob to be changed, None where there is none.
        """
        if self._fence is None:
            return change({})
        return self._fence.write(lambda: self._etag(container, name), change, seen)

    def _etag(self, container: str, name: str) -> str | None:
        """The blob's entity tag as it is at this moment."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return self._blob(container, name).get_blob_properties().etag
        except ResourceNotFoundError:
            return None

    def _creating(self, container: str, name: str, change: Callable[[Condition], T]) -> T:
        """Runs `change`, and once more after creating the container when that was missing.

        Asking first would cost a request for each file, and a permission that a container's SAS lacks.
        """
        from azure.core.exceptions import ResourceExistsError

        def put() -> T:
            return self._fenced(container, name, change)

        what = f"{SCHEME}{container}/{name}"
        try:
            with explained(self.account, what):
                return put()
        except BlobError as error:
            if error.code != "ContainerNotFound":
                raise
            with explained(self.account, what):
                try:
                    self.container(container).create_container()
                except ResourceExistsError as conflict:
                    if error_code(conflict) != "ContainerAlreadyExists":
                        raise
                return put()

    # -- changing --------------------------------------------------------------------------------------------

    def touch(self, container: str, name: str) -> None:
        """Moves Last-Modified to now. Azure has no such operation: the metadata is written again as it is, which
        leaves content, content type, tags and tier alone. A directory without a marker gets one.
        """
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError

        client, what = self._blob(container, name), f"{SCHEME}{container}/{name}"
        with explained(self.account, what), self.known.changing(container, name) as change:
            try:
                found = client.get_blob_properties()
                if self._fence is not None:
                    self._fence.check()
                answer: dict[str, Any] = client.set_blob_metadata(
                    found.metadata or {}, etag=found.etag, match_condition=MatchConditions.IfNotModified
                )
                mtime, etag = answer["last_modified"].timestamp(), bare(answer["etag"])
                change.made(replace(blob_of(found), mtime=mtime, etag=etag))
                return
            except ResourceModifiedError as error:
                # Changed this moment, it is as new as can be; a lease is another matter.
                if error_code(error) != "ConditionNotMet":
                    raise
                return
            except ResourceNotFoundError:
                if not self.has_below(container, name):
                    raise
        self.mark_folder(container, name)

    def protect(self, container: str, name: str) -> None:
        """Nobody can change or remove the file or directory any more, until its lease is broken. Its mtime and ETag
        stay as they are. Once more does no harm.

        A lease that never ends is what the service has for that: https://learn.microsoft.com/rest/api/storageservices/lease-blob
        """
        blob = self.head(container, name)
        names = [] if blob is None else [name]
        if blob is None or blob.is_folder:
            names += [each.name for each in self.below(container, name)]
        if not names:
            raise self.missing(container, name)
        in_parallel(lambda each: self._lease(container, each), names)

    def _lease(self, container: str, name: str) -> None:
        from azure.storage.blob import BlobLeaseClient

        if self._fence is not None:
            self._fence.check()
        # Always the same for a blob: whoever has this lease may ask for it again.
        ours = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{SCHEME}{container}/{name}"))
        what = f"{SCHEME}{container}/{name}"
        with explained(self.account, what), self.known.changing(container, name):
            BlobLeaseClient(self._blob(container, name), ours).acquire(lease_duration=-1)

    def delete(self, container: str, name: str) -> None:
        """Removes the blob with its snapshots; one that isn't there is fine."""
        from azure.core.exceptions import ResourceNotFoundError

        def remove(condition: Condition) -> None:
            # "No longer there" is no condition to remove something on.
            if "etag" in condition or self._fence is None:
                self.container(container).delete_blob(name, delete_snapshots="include", **condition)

        if self._cache is not None:
            self._cache.drop(container, name)
        what = f"{SCHEME}{container}/{name}"
        with (
            explained(self.account, what),
            self.known.changing(container, name),
            suppress(ResourceNotFoundError),
        ):
            seen = self._etag(container, name) if self._fence is not None else None
            self._fenced(container, name, remove, seen)

    def delete_all(self, container: str, names: Iterable[str]) -> None:
        """Removes the blobs, the deepest first: with a hierarchical namespace a directory must be empty by then."""
        levels: dict[int, list[str]] = {}
        for name in names:
            levels.setdefault(name.count("/"), []).append(name)
        for depth in sorted(levels, reverse=True):
            in_parallel(lambda name: self.delete(container, name), levels[depth])

    def remove(self, container: str, name: str) -> None:
        """Removes the file or directory; one that isn't there is fine."""
        blob = self.head(container, name)
        if blob is None or blob.is_folder:
            self.delete_all(container, [b.name for b in self.below(container, name)])
        if blob is not None:
            self.delete(container, name)


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _of_one_request(name: str, size: int, answer: dict[str, Any]) -> Blob:
    """A blob as the service says, in its answer to the request that brought all of it, that it is now."""
    md5 = answer.get("content_md5")
    return Blob(
        name,
        size,
        answer["last_modified"].timestamp(),
        md5=bytes(md5).hex() if md5 else None,
        etag=bare(answer["etag"]),
    )
