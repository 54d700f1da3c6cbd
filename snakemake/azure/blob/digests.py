"""Whether what arrives is what was stored.

A blob of one request has its Content-MD5 from the service. A blob in blocks has one only if its uploader made it, for
1.3 seconds of CPU for each gigabyte, stored or fetched. Our uploads say what is in a block where it cannot be parted
from it: in the block's id, which holds the XXH128 of its content, at a fiftieth of that. Whoever changes a part of
the blob stages new blocks, whose ids are his; metadata, by contrast, outlive a change of the content, since other
programs (BlobFuse is one) carry them over. See docs/decisions/0017.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator
from typing import Protocol

# Bytes of an id; the service takes up to 64, and the number is below 50,000.
ID_BYTES = 45
FEWEST_ID_BYTES = 9  # of an id that is only random
_ID = re.compile(r"xxh128\.([0-9a-f]{32})\.([0-9a-f]{5})\.*")


def block_id(digest: str, number: int, length: int) -> str:
    """The id, of `length` bytes, of an upload's block with this XXH128. One that has no room for it is random: two
    uploads of a blob that are going on at once must not use the same id for different content.
    """
    if length < ID_BYTES:
        return secrets.token_hex(length)[:length]
    return f"xxh128.{digest}.{number:05x}".ljust(length, ".")


def digest_in(name: str) -> str | None:
    """The XXH128 that a block's id tells, None for blocks of other programs."""
    found = _ID.fullmatch(name)
    return found[1] if found else None


def number_in(name: str) -> int | None:
    """The block's number in such an id."""
    found = _ID.fullmatch(name)
    return int(found[2], 16) if found else None


class Digest(Protocol):
    """What hashlib and xxhash give."""

    def update(self, data: memoryview | bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


def md5() -> Digest:
    return hashlib.md5(usedforsecurity=False)


def xxh128() -> Digest:
    import xxhash

    return xxhash.xxh3_128()


class Check(Protocol):
    """A comparison of a blob's content, which comes in pieces from the first byte to the last."""

    def update(self, piece: bytes) -> None: ...

    def fault(self) -> str | None:
        """After the last piece, the end of a sentence `what arrives does not have ...`; None if all is well."""


class Md5Check:
    def __init__(self, said: str) -> None:
        self._said = said
        self._md5 = md5()
        self.update = self._md5.update

    def fault(self) -> str | None:
        found = self._md5.hexdigest()
        if found == self._said:
            return None
        return f"the MD5 that the blob is said to have ({found}, not {self._said})"


class BlocksCheck:
    """`blocks` are sizes and ids, in the blob's order. Those whose id tells nothing are passed over."""

    def __init__(self, blocks: Iterable[tuple[int, str]]) -> None:
        self._blocks: Iterator[tuple[int, str | None]] = (
            (size, digest_in(name)) for size, name in blocks if size
        )
        self._fault: str | None = None
        self._place = 0
        self._next()

    def _next(self) -> None:
        self._left, self._said = next(self._blocks, (0, None))
        self._xxh128 = xxh128() if self._said else None

    def update(self, piece: bytes) -> None:
        view = memoryview(piece)
        while view:
            if not self._left:
                return
            part = view[: self._left]
            if self._xxh128 is not None:
                self._xxh128.update(part)
            self._left -= len(part)
            self._place += len(part)
            view = view[len(part) :]
            if not self._left:
                self._end_of_block()

    def _end_of_block(self) -> None:
        if self._xxh128 is not None and (found := self._xxh128.hexdigest()) != self._said:
            self._fault = self._fault or (
                f"the XXH128 that the id of its block before byte {self._place:,} tells ({found}, not {self._said})"
            )
        self._next()

    def fault(self) -> str | None:
        return self._fault
