"""A page of a listing, read with nothing around it.

The SDK makes objects of all that a listing says of a blob, of which the fork uses a fifth: 0.2 ms for each entry. With
thousands of files that is much of what `snakemake -n` does, and a part of what each job costs. All else about a
listing, its pages, errors and retries, stays the SDK's.

Who looks for a few blobs of a large directory wants to know nothing of the others. Those are cut out of the answer
before it is parsed, which takes a tenth of the time: within XML, `<` is never part of a text.
https://learn.microsoft.com/rest/api/storageservices/list-blobs
"""

import xml.etree.ElementTree as ET
from base64 import b64decode
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from snakemake.azure.blob.entries import Blob, bare, is_folder

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

ANSWERS = ("ListBlobsFlatSegmentResponse", "ListBlobsHierarchySegmentResponse")


def reading_listings(
    client: "ContainerClient", wanted: Collection[str] | None = None
) -> tuple["ContainerClient", "Unwanted"]:
    """The client, whose listings have a Blob for each blob (of `wanted`, and perhaps others) and the name of each
    directory, with its slash; and how many blobs they left out.

    A client is made for each listing, so no other use of it is changed. Where the SDK has no such place any more, it is
    left as it is; then its listings have what the SDK makes of them.
    """
    unwanted = Unwanted()
    container: Any = getattr(getattr(client, "_client", None), "container", None)
    if hasattr(container, "_deserialize"):
        container._deserialize = _Reader(container._deserialize, wanted, unwanted)
    return client, unwanted


def undecoded(answer: Any) -> None:
    """For the SDK's hook for answers: a listing is not parsed on its way, for nobody but `read` uses what comes out."""
    if answer.http_response.status_code == 200:
        answer.http_response.content_type = "text/plain"


@dataclass
class Unwanted:
    """How many blobs the last page had that nobody asked for, and that it does not have any more."""

    count: int = 0


class _Reader:
    """In place of the SDK's deserializer of a container's answers; all but listings is left to that."""

    def __init__(self, other: Any, wanted: Collection[str] | None, unwanted: Unwanted) -> None:
        self._other, self._wanted, self._unwanted = other, wanted, unwanted

    def __call__(self, target: Any, response: Any, *more: Any, **options: Any) -> Any:
        if target not in ANSWERS:
            return self._other(target, response, *more, **options)
        body = response.body() if callable(getattr(response, "body", None)) else response.content
        if self._wanted is not None:
            body, self._unwanted.count = without_unwanted(body, self._wanted)
        return read(body)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._other, name)


def without_unwanted(body: bytes, wanted: Collection[str]) -> tuple[bytes, int]:
    """The answer without the blobs that are not wanted, and how many these were. What does not look as expected, or
    whose name is written in another way, stays in.
    """
    head, begin, rest = body.partition(b"<Blobs>")
    entries, end, tail = rest.rpartition(b"</Blobs>")
    if not begin or not end or b"<!" in body:  # a comment, or text in which `<` is what it is
        return body, 0
    first, *pieces = entries.split(_BLOB)
    kept = [piece for piece in pieces if not _is_unwanted(piece, wanted)]
    return _BLOB.join([head + begin + first, *kept]) + end + tail, len(pieces) - len(kept)


_BLOB, _NAME = b"<Blob>", b"<Name>"


def _is_unwanted(piece: bytes, wanted: Collection[str]) -> bool:
    """Whether the piece of an answer, which begins after `<Blob>`, is one blob, and that blob is not wanted."""
    if not piece.startswith(_NAME) or not piece.rstrip().endswith(b"</Blob>"):
        return False
    name = piece[len(_NAME) : piece.find(b"<", len(_NAME))]
    return b"&" not in name and name.decode("utf-8", "replace") not in wanted


def read(body: bytes) -> SimpleNamespace:
    """What the SDK's pages want to know of an answer.

    Raises
    ------
    DecodeError: the answer is no XML.
    """
    try:
        answer = ET.fromstring(body)
    except ET.ParseError:
        from azure.core.exceptions import DecodeError

        raise DecodeError("The answer to a listing is no XML.") from None
    blobs: list[Blob] = []
    prefixes: list[str] = []
    for entry in answer.find("Blobs") or ():
        parts = {part.tag: part for part in entry}
        name = parts.get("Name")
        text = "" if name is None else name.text or ""
        if name is not None and name.get("Encoded") == "true":
            text = unquote(text)
        if entry.tag == "Blob":
            blobs.append(_blob(text, parts.get("Properties") or (), parts.get("Metadata") or ()))
        else:
            prefixes.append(text)
    return SimpleNamespace(
        service_endpoint=answer.get("ServiceEndpoint"),
        container_name=answer.get("ContainerName"),
        prefix=answer.findtext("Prefix"),
        marker=answer.findtext("Marker"),
        max_results=answer.findtext("MaxResults"),
        delimiter=answer.findtext("Delimiter"),
        next_marker=answer.findtext("NextMarker"),
        segment=SimpleNamespace(blob_items=blobs, blob_prefixes=prefixes),
    )


def _blob(name: str, properties: Iterable[ET.Element], metadata: Iterable[ET.Element]) -> Blob:
    said = {each.tag: each.text or "" for each in properties}
    md5 = said.get("Content-MD5")
    return Blob(
        name=name,
        size=int(said.get("Content-Length") or 0),
        mtime=_seconds(said["Last-Modified"]),
        is_folder=is_folder(name, {each.tag: each.text or "" for each in metadata}),
        md5=b64decode(md5).hex() if md5 else None,
        etag=bare(said.get("Etag")),
        leased=said.get("LeaseStatus") == "locked",
        archived=said.get("AccessTier") == "Archive",
    )


@lru_cache(maxsize=1000)
def _seconds(date: str) -> float:
    return parsedate_to_datetime(date).timestamp()
