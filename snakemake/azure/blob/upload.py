"""A file becomes a blob: in one request up to 8 MiB, else in blocks, which become the blob when all have arrived.

Each request carries the MD5 of what it sends, which the service compares with what it got. A blob of one request has
that as its Content-MD5; one in blocks gets the MD5 of the whole file if it is asked for, and each block's id tells
what is in it (snakemake.azure.blob.digests). A block that is lost on its way is sent again, alone, and one that does
not make it in time in smaller ones (snakemake.azure.blob.pace). Blocks of the same content that an upload has left
which was cut off are not sent again: the service keeps them for a week.
https://learn.microsoft.com/rest/api/storageservices/put-block
"""

import io
import os
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from snakemake.azure.blob import traffic
from snakemake.azure.blob.digests import FEWEST_ID_BYTES, ID_BYTES, Digest, block_id, md5, number_in, xxh128
from snakemake.azure.blob.errors import BlobError, error_code
from snakemake.azure.blob.files import MAX_BLOCKS, MIB, SMALL, block_size, content_type, progress_hook
from snakemake.azure.blob.pace import SMALLEST, pace
from snakemake.azure.blob.parallel import in_chunks

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient

T = TypeVar("T")

TRIES = 3  # of a request that arrives changed, and of an upload that others interfere with, here or there
FILE_CHANGED = "FileChanged"  # beside the service's codes
# Blocks up to here are read once and kept until they have arrived; larger ones are read from the file again, so
# that memory stays bounded. They are needed beyond 780 GiB.
BUFFERED = 16 * MIB


@dataclass
class _Chunk:
    """A part of the file: its content, unless that is to be read again, and the blocks that have arrived of it."""

    start: int
    length: int
    data: bytes | None
    digest: str
    number: int
    first_piece: int  # number of the first of its blocks, if it becomes several
    sent: int = 0  # bytes that are there
    blocks: list[Any] = field(default_factory=list)

    @property
    def next_piece(self) -> int:
        return MAX_BLOCKS + self.first_piece + len(self.blocks)


@dataclass(frozen=True)
class _Left:
    """Sizes of blocks that were stored for the blob and never became it: by their ids, and by their numbers."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    by_number: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, blocks: Iterable[Any]) -> "_Left":
        sizes = {block.id: block.size for block in blocks}
        return cls(sizes, {n: size for name, size in sizes.items() if (n := number_in(name)) is not None})


def _time_outs_told(told: bool) -> AbstractContextManager[None]:
    from snakemake.azure.blob.session import time_outs_told

    return time_outs_told() if told else nullcontext()


class Upload:
    """One file's upload; `what` is the blob's query, for messages. With `content_md5`, a blob in blocks gets one."""

    def __init__(
        self, client: "BlobClient", what: str, path: Path, concurrency: int, content_md5: bool = False
    ) -> None:
        self._client = client
        self._what = what
        self._path = path
        self._concurrency = concurrency
        self._content_md5 = content_md5
        self._condition: dict[str, Any] = {}

    def run(self, condition: dict[str, Any] | None = None) -> dict[str, Any]:
        """Replaces the blob; the service's answer, with `etag` and `last_modified`. `condition` are arguments that say
        what the blob has to be for that.
        """
        self._condition = condition or {}
        with self._path.open("rb", buffering=0) as file:
            stored = _again(lambda: self._as_it_is(file), lambda code: code == FILE_CHANGED)
            traffic.sent(os.fstat(file.fileno()).st_size)
            return stored

    def _as_it_is(self, file: io.FileIO) -> dict[str, Any]:
        from snakemake.azure.blob.session import TimedOut

        found = os.fstat(file.fileno())
        if found.st_size > max(pace.size, SMALLEST):
            return self._in_blocks(file, found)
        try:
            if found.st_size <= SMALL:
                return self._whole(file, found)
            answers: list[dict[str, Any]] = []
            in_chunks(lambda found: self._whole(file, found), [found], 1, answers.append)
            return answers[0]
        except TimedOut:
            pace.timed_out(found.st_size)
            return self._in_blocks(file, found)

    def _whole(self, file: io.FileIO, found: os.stat_result) -> dict[str, Any]:
        from azure.storage.blob import ContentSettings

        size = found.st_size
        data = self._read(file, 0, size)
        self._still(file, found)
        settings = ContentSettings(content_type=content_type(self._client.blob_name))
        progress_hook()
        with _time_outs_told(size > SMALLEST):
            return self._intact(
                lambda: self._client.upload_blob(
                    data,
                    length=size,
                    overwrite=True,
                    content_settings=settings,
                    validate_content=True,
                    **self._condition,
                )
            )

    def _in_blocks(self, file: io.FileIO, found: os.stat_result) -> dict[str, Any]:
        """Starts again when others are at the same blob: with a commit the service forgets all blocks that have arrived
        for it, and until there is one, all must have ids of one length.
        """
        lengths = self._lengths_of_ids()
        length = next(lengths)

        def others(code: str) -> bool:
            nonlocal length
            if code == "InvalidBlobOrBlock":
                length = next(lengths, length)
            return code in ("InvalidBlobOrBlock", "InvalidBlockList")

        return _again(lambda: self._blocks(file, found, length), others)

    def _lengths_of_ids(self) -> Iterator[int]:
        """Bytes of our blocks' ids: what is usual, then what the blocks have that another program has left there."""
        from azure.core.exceptions import HttpResponseError

        yield ID_BYTES
        try:
            _, left = self._client.get_block_list("uncommitted")
        except HttpResponseError as error:
            if error.status_code != 403:
                raise
            raise BlobError(
                f"{self._what}: another program has begun to upload this blob in blocks and has not come to an end, "
                "and without permission to read there is no seeing how ours could go beside them; let it end, store "
                "an empty blob of that name, or use a SAS with sp=rwdlc."
            ) from None
        for block in left[:1]:
            lengths = [len(block.id.encode())]
            with suppress(ValueError):  # what is no text in UTF-8 comes in base64
                lengths.append(len(b64decode(block.id, validate=True)))
            yield from (length for length in lengths if length >= FEWEST_ID_BYTES)

    def _blocks(self, file: io.FileIO, found: os.stat_result, id_bytes: int) -> dict[str, Any]:
        from azure.storage.blob import ContentSettings

        size = found.st_size
        step = block_size(size)
        cancelled = progress_hook()
        left = self._left() if id_bytes >= ID_BYTES else _Left()
        of_file = md5() if self._content_md5 else None
        parts: list[_Chunk] = []
        # As many blocks as a part can become, so that there are no more than a blob can have.
        pieces = MAX_BLOCKS // -(-size // step)

        def part(number: int) -> _Chunk:
            start = number * step
            length = min(step, size - start)
            of_block = xxh128()
            data = self._hashed([of_block, of_file] if of_file else [of_block], file, start, length)
            parts.append(_Chunk(start, length, data, of_block.hexdigest(), number, number * pieces))
            return parts[-1]

        def send(chunk: _Chunk) -> None:
            self._take(chunk, file, left, id_bytes)
            self._send(chunk, file, max(SMALLEST, -(-step // pieces)), id_bytes, cancelled)

        # Not a generator function: between its steps it would keep a part that has been sent.
        in_chunks(send, map(part, range(-(-size // step))), self._concurrency)
        self._still(file, found)
        cancelled()
        settings = ContentSettings(
            content_type=content_type(self._client.blob_name),
            content_md5=bytearray.fromhex(of_file.hexdigest()) if of_file else None,
        )
        blocks = [block for part in parts for block in part.blocks]
        return self._intact(
            lambda: self._client.commit_block_list(
                blocks, content_settings=settings, validate_content=True, **self._condition
            )
        )

    def _left(self) -> _Left:
        """What an upload that was cut off has stored; nothing, if there is none, or it may not be looked at."""
        from azure.core.exceptions import HttpResponseError

        try:
            return _Left.of(self._client.get_block_list("uncommitted")[1])
        except HttpResponseError as error:
            if error.status_code not in (403, 404):
                raise
            return _Left()

    def _take(self, chunk: "_Chunk", file: io.FileIO, left: _Left, id_bytes: int) -> None:
        """Makes those blocks the chunk's that have its content, from its beginning on: itself as one, or pieces."""
        from azure.storage.blob import BlobBlock

        whole, _ = self._block(chunk, file, 0, chunk.length, id_bytes)
        if left.sizes.get(whole) == chunk.length:
            chunk.blocks.append(BlobBlock(whole))
            chunk.sent = chunk.length
        while chunk.data is not None and (length := left.by_number.get(chunk.next_piece, 0)) > 0:
            if length > chunk.length - chunk.sent or length == chunk.length:
                return
            name, _ = self._block(chunk, file, chunk.sent, length, id_bytes)
            if left.sizes.get(name) != length:
                return
            chunk.blocks.append(BlobBlock(name))
            chunk.sent += length

    def _send(
        self, chunk: "_Chunk", file: io.FileIO, least: int, id_bytes: int, cancelled: Callable[[], None]
    ) -> None:
        """Stages a part of the file as one block, or as some of `least` bytes or more if the line is slow."""
        from azure.storage.blob import BlobBlock

        from snakemake.azure.blob.session import TimedOut

        while chunk.sent < chunk.length:
            rest = chunk.length - chunk.sent
            length = rest if chunk.data is None else min(rest, max(least, pace.most(rest)))
            name, body = self._block(chunk, file, chunk.sent, length, id_bytes)

            def put() -> None:
                cancelled()
                self._client.stage_block(name, body(), length=length, validate_content=True)  # noqa: B023

            try:
                with _time_outs_told(length > least and chunk.data is not None):
                    self._intact(put)
            except TimedOut:
                pace.timed_out(length)
                continue
            pace.arrived()
            chunk.blocks.append(BlobBlock(name))
            chunk.sent += length
        chunk.data = None  # it has arrived

    def _block(
        self, chunk: "_Chunk", file: io.FileIO, start: int, length: int, id_bytes: int
    ) -> tuple[str, Callable[[], Any]]:
        """The id of a block, which is all of the chunk or a part of it, and what makes its body."""
        data = chunk.data
        if length == chunk.length:
            name = block_id(chunk.digest, chunk.number, id_bytes)
            if data is None:
                return name, lambda: _Part(file, chunk.start, length, self._changed)
            return name, lambda: data
        assert data is not None
        piece, digest = memoryview(data)[start : start + length], xxh128()
        digest.update(piece)
        return block_id(digest.hexdigest(), chunk.next_piece, id_bytes), lambda: bytes(piece)

    def _hashed(self, digests: list[Digest], file: io.FileIO, start: int, length: int) -> bytes | None:
        """Puts a part of the file into the digests; its content, unless that is to be read again."""
        kept = length <= BUFFERED
        step = length if kept else MIB
        for place in range(start, start + length, step):
            data = self._read(file, place, min(step, start + length - place))
            for digest in digests:
                digest.update(data)
        return data if kept else None

    def _read(self, file: io.FileIO, start: int, length: int) -> bytes:
        data = os.pread(file.fileno(), length, start)
        while len(data) < length and (more := os.pread(file.fileno(), length - len(data), start + len(data))):
            data += more
        if len(data) < length:
            raise self._changed()
        return data

    def _still(self, file: io.FileIO, found: os.stat_result) -> None:
        """Raises _Changed when the file is not as it was found: what was read may be no state that it ever had."""
        now = os.fstat(file.fileno())
        if (now.st_size, now.st_mtime_ns) != (found.st_size, found.st_mtime_ns):
            raise self._changed()

    def _changed(self) -> BlobError:
        return _Changed(
            f"{self._what}: {self._path} is written to while it is uploaded; the rule must be done with its output "
            "when it ends.",
        )

    def _intact(self, put: Callable[[], T]) -> T:
        """Sends it again when the service says that it did not get what was sent."""
        return _again(put, lambda code: code == "Md5Mismatch")


class _Changed(BlobError):
    """The local file is not what it was when the upload began."""


def _again(put: Callable[[], T], passes: Callable[[str], bool]) -> T:
    """What `put` returns, which is called up to TRIES times while its errors' codes are such that may pass."""
    from azure.core.exceptions import HttpResponseError

    for _ in range(TRIES - 1):
        try:
            return put()
        except (HttpResponseError, _Changed) as error:
            if not passes(FILE_CHANGED if isinstance(error, _Changed) else error_code(error)):
                raise
    return put()


class _Part(io.RawIOBase):
    """A part of an open file, as a file of its own; any number of them may be read at once. Reading raises what `short`
    makes when the file has become too short for it.
    """

    def __init__(self, file: io.FileIO, start: int, length: int, short: Callable[[], Exception]) -> None:
        self._file, self._start, self._length, self._short = file, start, length, short
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._length}[whence]
        self._place = base + offset
        return self._place

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._length - self._place)
        count = os.preadv(
            self._file.fileno(), [memoryview(buffer)[: max(0, wanted)]], self._start + self._place
        )
        if not count and wanted > 0:
            raise self._short()
        self._place += count
        return count
