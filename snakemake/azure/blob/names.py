"""Names of containers and blobs, and the queries `az://container/path` that put them together.

The rules are those of
https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata,
and one more: a blob's name must also work as a path below a local folder. A name in a query is taken as it
stands: no character in it is special, and nothing is percent-decoded. Wildcards (`{sample}`) may stand
anywhere.
"""

import os
import re
from functools import lru_cache

from snakemake_interface_storage_plugins.io import WILDCARD_REGEX

SCHEME = "az://"
SPECIAL_CONTAINERS = ("$root", "$web", "$logs")
CONTAINER_LENGTH = (3, 63)
BLOB_NAME_LENGTH = 1024
PATH_SEGMENTS = 254
SEGMENT_BYTES = 255  # of a local file's name, NAME_MAX of Linux's and macOS's file systems

_CONTROL = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
"""What Python makes of bytes that it cannot decode."""
_SAS = re.compile(r"[?&]sig=", re.IGNORECASE)


@lru_cache(maxsize=1000)
def container_name_fault(name: str) -> str | None:
    """Why Azure would refuse this container name, or None."""
    shortest, longest = CONTAINER_LENGTH
    if name in SPECIAL_CONTAINERS:
        return None
    if not shortest <= len(name) <= longest:
        return f"the container name {name!r} has {len(name)} characters, and Azure asks for {shortest} to {longest}"
    if not re.fullmatch(r"[a-z0-9-]+", name):
        return f"the container name {name!r} may only have lower-case letters, digits and hyphens"
    if name.startswith("-") or name.endswith("-") or "--" in name:
        return f"each hyphen in the container name {name!r} must stand between letters or digits"
    return None


def blob_name_fault(name: str) -> str | None:
    """Why Azure, or the local copy, would refuse this blob name, or None."""
    segments = name.split("/")
    if not 1 <= len(name) <= BLOB_NAME_LENGTH:
        return f"the blob name has {len(name)} characters, and Azure asks for 1 to {BLOB_NAME_LENGTH:,}"
    if name.endswith("/"):
        return "the blob name ends with '/', which Azure drops or refuses"
    if len(segments) > PATH_SEGMENTS:
        return f"the blob name has {len(segments)} path segments, and Azure allows {PATH_SEGMENTS}"
    if any(s in ("", ".", "..") for s in segments):
        return "the blob name has an empty path segment, `.` or `..`, so that it cannot be a local path"
    if any(s.endswith(".") for s in segments):
        return "the blob name has a path segment that ends with a dot, and Azure would leave that dot out"
    if (longest := max(len(os.fsencode(s)) for s in segments)) > SEGMENT_BYTES:
        return (
            f"the blob name has a path segment of {longest:,} bytes, and the name of a local file can have "
            f"{SEGMENT_BYTES}"
        )
    if "\\" in name:
        return "the blob name has a backslash, which Azure turns into a slash"
    if _CONTROL.search(name):
        return "the blob name has a control character"
    if _SURROGATE.search(name):
        return "the blob name has bytes that are not UTF-8"
    return None


def split_query(query: str) -> tuple[str, str]:
    """(container, blob name) of a query, wildcards left in, not checked; one trailing slash is dropped."""
    masked = WILDCARD_REGEX.sub(lambda m: "x" * len(m.group()), query)
    if not masked.startswith(SCHEME):
        return "", ""
    end = masked.find("/", len(SCHEME))
    if end < 0:
        return query[len(SCHEME) :], ""
    return query[len(SCHEME) : end], query[end + 1 :].removesuffix("/")


def query_fault(query: str) -> str | None:
    """Why the query does not name a blob, in a clause, or None. Wildcards count as any good text."""
    if not query.startswith(SCHEME):
        return f"it must start with {SCHEME}, as in az://container/path"
    if _SAS.search(query):
        return "it has a SAS in it, which belongs into AZ_BLOB_ACCOUNT_URL"
    container, blob = split_query(WILDCARD_REGEX.sub("xxx", query))
    if not blob:
        return "it names a container but no path in it, as in az://container/path"
    return container_name_fault(container) or blob_name_fault(blob)
