"""Which operation a method and a path mean. Paths are taken as they were sent: `%2F` is part of a segment."""

from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote

from ..errors import BatchError
from ..schema import api

# Operations of earlier api-versions that the current one does not have.
_RETIRED = ("certificates",)


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


def find(method: str, raw_path: str) -> tuple[Operation, dict[str, str]]:
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
    if segments[0].partition("(")[0] in _RETIRED:
        raise BatchError("NotImplementedByEmulator", [("Path", raw_path)])
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
