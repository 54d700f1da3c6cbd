"""Which operation a method and a path mean. Paths are taken as they were sent: `%2F` is part of a segment."""

import re
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote

from ..protocol.api_versions import CERTIFICATES, CURRENT
from ..protocol.errors import BatchError
from ..protocol.schema import api

# What earlier api-versions have and the current one has not, with the code and the reason of the refusal.
# https://learn.microsoft.com/azure/batch/batch-certificate-migration-guide
_RETIRED = {
    re.compile(r"certificates(\([^/]*\)(/canceldelete)?)?"): CERTIFICATES,
    re.compile(r"pools/[^/]+/nodes/[^/]+/rdp"): ("OperationNotValidOnNode", "The node does not run Windows."),
}


@dataclass(frozen=True)
class Operation:
    """One of the service's operations: its name (as in `data/api.json`), success status, the query parameters
    and conditional headers it takes, the model of its body, and the model that it returns or lists."""

    name: str
    method: str
    segments: tuple[str, ...]
    status: int
    query: frozenset[str]
    conditions: str | None
    body: str | None
    body_optional: bool
    returns: str | None


@cache
def operations() -> tuple[Operation, ...]:
    return tuple(
        Operation(
            name,
            entry["method"],
            tuple(entry["path"].strip("/").split("/")),
            entry["status"],
            frozenset(parameter.lower() for parameter in entry["query"]),
            entry.get("conditions"),
            entry.get("body"),
            entry.get("bodyOptional", False),
            entry.get("returns"),
        )
        for name, entry in api()["operations"].items()
    )


@cache
def _by_length() -> dict[int, list[Operation]]:
    table: dict[int, list[Operation]] = {}
    for operation in operations():
        table.setdefault(len(operation.segments), []).append(operation)
    return table


def find(method: str, raw_path: str, version: str = CURRENT) -> tuple[Operation, dict[str, str]]:
    """The operation and its path parameters, decoded; a BatchError when there is none."""
    segments = raw_path.strip("/").split("/")
    fits: list[str] = []
    for operation in _by_length().get(len(segments), ()):
        parameters = _match(operation.segments, segments)
        if parameters is not None:
            if operation.method == method:
                return operation, parameters
            fits.append(operation.method)
    if fits:
        raise BatchError("UnsupportedHttpVerb", [("Allowed", ", ".join(sorted(fits)))])
    for path, (code, reason) in _RETIRED.items():
        if version != CURRENT and path.fullmatch(raw_path.strip("/").lower()):
            raise BatchError(code, [("Reason", reason)])
    raise BatchError("InvalidUri", [("Path", raw_path)])


def _match(pattern: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    parameters = {}
    for part, segment in zip(pattern, segments, strict=True):
        if part.startswith("{"):
            if not segment:
                return None
            parameters[part[1:-1]] = unquote(segment)
        elif part != segment.lower():
            return None
    return parameters
