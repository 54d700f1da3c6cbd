"""A request to Resource Manager that has been let in, and its answer: what handlers get, and what they give back."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from ...engine.engine import Engine
from ...protocol import odata
from ...protocol.conditions import Conditions
from ...protocol.schema import parse_object
from ...protocol.wire import http_date


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: dict | None = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Ask:
    engine: Engine
    base: str
    path: str
    parameters: dict[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    raw: bytes

    @property
    def version(self) -> str:
        return self.query["api-version"]

    def body(self, *, optional: bool = False) -> dict:
        """The JSON object that was sent; where it is optional, nothing stands for an empty one."""
        return {} if optional and not self.raw.strip() else parse_object(self.raw)

    def conditions(self) -> Conditions:
        return Conditions.parse(self.headers, "all")

    def page(
        self,
        rows: Iterable[tuple[str, Any]],
        show: Callable[[Any], dict],
        predicate: odata.Predicate | None = None,
    ) -> Answer:
        """A page of a list. `rows` come with their keys, in ascending order."""
        limit = odata.max_results(self.query.get("maxresults"))
        found, token = odata.page(rows, predicate, limit, self.query.get("$skiptoken"))
        link = None
        if token:
            query = {name: value for name, value in self.query.items() if name != "$skiptoken"}
            query["$skiptoken"] = token
            link = f"{self.base}{self.path}?{urlencode(query, safe='$', quote_via=quote)}"
        return listed([show(row) for row in found], link)


def listed(values: list, next_link: str | None = None) -> Answer:
    return Answer(body={"value": values} | ({"nextLink": next_link} if next_link else {}))


def stamped(resource: dict, modified: datetime) -> Answer:
    """A resource, with its `etag` and time in the headers too."""
    return Answer(body=resource, headers=(("ETag", resource["etag"]), ("Last-Modified", http_date(modified))))
