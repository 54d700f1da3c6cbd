"""A blob's content into a file: in ranges, some at once, each of them asked for until all of it has come.

The SDK's own download of a whole blob gives up on a range after three broken connections. Here a range goes on
from what has arrived of it, in smaller and smaller steps while the connection keeps breaking, until nothing more
arrives for as long as requests are tried again (`snakemake.azure.retry`). All ranges are of one state of the blob
(If-Match). The length is checked, and the content by what the service knows of it, see snakemake.azure.blob.digests.
"""

import errno
import io
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from snakemake.azure import retry
from snakemake.azure.blob import traffic
from snakemake.azure.blob.digests import BlocksCheck, Check, Md5Check, digest_in
from snakemake.azure.blob.entries import Blob, blob_of
from snakemake.azure.blob.errors import BlobError, error_code
from snakemake.azure.blob.files import CHUNK, SMALL, Source, Unchanged, pause, progress_hook
from snakemake.azure.blob.parallel import in_chunks

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient

T = TypeVar("T")

SMALLEST = 64 * 1024  # bytes of a range that is asked for while connections break
TRIES = 3  # of a download whose content is not what was stored


class Download:
    """One blob's download; `what` is its query, for messages, `service` where it is."""

    def __init__(self, client: "BlobClient", what: str, concurrency: int, service: retry.Service) -> None:
        self._client = client
        self._what = what
        self._concurrency = concurrency
        self._service = service

    def begin(self, unless: str | None) -> Source | None:
        """Asks for the first MiB of the blob, None when it is no file. Raises Unchanged for the ETag `unless`."""
        from azure.core import MatchConditions
        from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

        condition: dict[str, Any] = {}
        if unless:
            condition = {"etag": f'"{unless}"', "match_condition": MatchConditions.IfModified}
        try:
            blob, first, is_block_blob = self._first(condition)
        except ResourceNotFoundError as error:
            if error_code(error) == "ContainerNotFound":
                raise
            return None
        except HttpResponseError as error:
            if error.status_code == 304:
                raise Unchanged from None
            raise
        if blob.is_folder:
            return None
        kept = [first]
        return Source(
            blob.etag, blob.size, blob.mtime, lambda path: self._write(path, blob, kept, is_block_blob)
        )

    def _first(self, condition: dict[str, Any]) -> tuple[Blob, bytes, bool]:
        """The blob's properties, its first bytes, and whether it is a block blob, whose MD5 is to be trusted."""

        from azure.core.exceptions import HttpResponseError, IncompleteReadError

        def get(size: int) -> tuple[Blob, bytes, bool]:
            try:
                stream = self._ask(0, size, condition)
            except HttpResponseError as error:
                if error.status_code != 416:
                    raise
                # An empty blob has no range.
                blob = blob_of(self._client.get_blob_properties(**condition))
                if blob.size:
                    raise IncompleteReadError("The blob was empty a moment ago") from None
                return blob, b"", False
            blob = blob_of(stream.properties, size=_whole(stream.properties))
            # The service keeps no MD5 of append and page blobs up to date.
            return blob, _exactly(min(size, blob.size), stream), stream.properties.blob_type == "BlockBlob"

        return self._insist(SMALL, get)

    def _ask(self, start: int, size: int, condition: dict[str, Any]) -> Any:
        # As it is stored: a part of what has a Content-Encoding cannot be decoded, nor has it the blob's MD5.
        return self._client.download_blob(offset=start, length=size, decompress=False, **condition)

    def _write(self, path: Path, blob: Blob, kept: list[bytes], is_block_blob: bool) -> None:
        """`kept` has the first bytes, which are used once and not held any longer."""
        if blob.size > SMALL and shutil.disk_usage(path.parent).free < blob.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        for _ in range(TRIES):
            check = self._check(blob) if is_block_blob else None
            self._attempt(path, blob, kept, check)
            fault = None if check is None else check.fault()
            if fault is None:
                traffic.received(blob.size)
                return
        raise BlobError(
            f"{self._what}: what arrives does not have {fault}, {TRIES} times over; upload the blob again, or look "
            "for what changes data on its way here (a proxy, or bad memory)."
        )

    def _check(self, blob: Blob) -> Check | None:
        """What compares the content with the digests that the service has of it, if it has any."""
        if blob.md5 is not None:
            return Md5Check(blob.md5)
        if blob.size <= CHUNK:
            return None
        committed, _ = self._client.get_block_list("committed")
        blocks = [(block.size, block.id) for block in committed]
        return BlocksCheck(blocks) if any(digest_in(name) for _, name in blocks) else None

    def _attempt(self, path: Path, blob: Blob, kept: list[bytes], check: Check | None) -> None:
        """Writes it all, and lets `check` see what was written."""
        size = 0
        cancelled = progress_hook()

        def get(start: int) -> bytes:
            cancelled()
            return self._range(start, min(start + CHUNK, blob.size), blob.etag)

        with path.open("wb", buffering=0) as file:

            def write(piece: bytes) -> None:
                nonlocal size
                _write_all(file, piece)
                size += len(piece)

            # Two steps, so that one piece is hashed while the next one is written.
            steps = (write,) if check is None else (write, check.update)
            if kept:
                first = kept.pop()
                for step in steps:
                    step(first)
                del first
            if starts := range(size, blob.size, CHUNK):
                in_chunks(get, starts, min(self._concurrency, len(starts)), *steps)
        if size != blob.size:
            raise BlobError(f"{self._what}: {size:,} of {blob.size:,} bytes arrived; start again.")

    def _range(self, start: int, end: int, etag: str) -> bytes:
        from azure.core import MatchConditions

        same: dict[str, Any] = {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}
        parts: list[bytes] = []
        while start < end:
            data = self._insist(
                end - start,
                lambda size: _exactly(size, self._ask(start, size, same)),  # noqa: B023
            )
            parts.append(data)
            start += len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _insist(self, size: int, get: Callable[[int], T]) -> T:
        """What `get(size)` returns; while its connection breaks it is called again, for less and less bytes."""
        from azure.core.exceptions import HttpResponseError

        attempts = self._service.attempts(pause)
        while True:
            try:
                arrived = get(size)
            except HttpResponseError as error:
                # What the SDK makes of a broken connection has no status; else it is the service's answer.
                if not attempts.again(retry.of_error(error)):
                    raise
                size = max(min(SMALLEST, size), size // 2)
            else:
                attempts.over()
                return arrived


def _exactly(size: int, stream: Any) -> bytes:
    """The content of an answer, which counts as a broken connection when it is not of this size."""
    from azure.core.exceptions import IncompleteReadError

    # Its first chunk, as it came: `read` would make a copy.
    data: bytes = next(stream.chunks(), b"") if size else b""
    if len(data) != size:
        raise IncompleteReadError(f"{len(data)} bytes of {size} arrived")
    return data


def _write_all(file: io.FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _whole(properties: Any) -> int:
    """The blob's size: `bytes 0-99/12345` is what a part of it says, and an empty blob has no range."""
    found = re.fullmatch(r"bytes .*/(\d+)", properties.content_range or "")
    return int(found[1]) if found else properties.size
