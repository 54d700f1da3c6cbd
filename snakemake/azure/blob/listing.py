"""A page of a listing, read with nothing around it.

The SDK makes objects of all that a listing says of a blob, of which the fork uses a fifth: 0.2 ms for each entry. With
thousands of files that is much of what `snakemake -n` does, and a part of what each job costs. All else about a
listing, its pages, errors and retries, stays the SDK's.
https://learn.microsoft.com/rest/api/storageservices/list-blobs
"""

import xml.etree.ElementTree as ET
from base64 import b64decode
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from snakemake.azure.blob.entries import Blob, bare, is_folder

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

ANSWERS = ("ListBlobsFlatSegmentResponse", "ListBlobsHierarchySegmentResponse")


def reading_listings(client: "ContainerClient") -> "ContainerClient":
    """The client, whose listings have a Blob for each blob and the name of each directory, with its slash.

    A client is made for each listing, so no other use of it is changed. Where the SDK has no such place any more, it is
    left as it is; then its listings have what the SDK makes of them.
    """
    container: Any = getattr(getattr(client, "_client", None), "container", None)
    if hasattr(container, "_deserialize"):
        container._deserialize = _Reader(container._deserialize)
    return client


def undecoded(answer: Any) -> None:
    """For the SDK's hook for answers: a listing is not parsed on its way, for nobody but `read` uses what comes out."""
    if answer.http_response.status_code == 200:
        answer.http_response.content_type = "text/plain"


class _Reader:
    """In place of the SDK's deserializer of a container's answers; all but listings is left to that."""

    def __init__(self, other: Any) -> None:
        self._other = other

    def __call__(self, target: Any, response: Any, *more: Any, **options: Any) -> Any:
        if target in ANSWERS:
            return read(response.body() if callable(getattr(response, "body", None)) else response.content)
        return self._other(target, response, *more, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._other, name)


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
