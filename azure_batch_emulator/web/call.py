"""One request on its way through: what handlers get, and what they give back."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode

from ..engine.engine import Engine
from ..protocol import api_versions, odata
from ..protocol.conditions import Conditions
from ..protocol.wire import http_date
from .routing import Operation


@dataclass
class Reply:
    """An answer: JSON (`body`), a stream, or nothing but headers."""

    body: dict | None = None
    headers: dict[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None


@dataclass
class Call:
    engine: Engine
    operation: Operation
    path: dict[str, str]
    query: dict[str, str]
    headers: Mapping[str, str]
    body: dict
    base: str
    url: str
    version: str
    conditions: Conditions

    def check(self, entity: Any) -> None:
        """Holds the request's conditions against an entity with `etag` and `modified`."""
        self.conditions.check(self.operation.method, entity.etag, entity.modified)

    def stamped(self, entity: Any, **more: str) -> Reply:
        """An answer without a body, with the entity's tag."""
        return Reply(None, stamps(entity) | {"DataServiceId": self.base + self.url} | more)

    def item(self, shown: dict, kind: str, entity: Any = None) -> Reply:
        """One thing as JSON, cut down to `$select`."""
        selected, _ = self.selected, self.expanded
        body = {"odata.metadata": f"{self.base}/$metadata#{kind}/@Element"} | self._project(shown, selected)
        return Reply(body, (stamps(entity) if entity is not None else {}))

    def listing(
        self,
        rows: Iterable[tuple[str, Any]],
        fields: Mapping[str, odata.Field],
        show: Callable[[Any], dict],
        kind: str,
    ) -> Reply:
        """A page of a list. `rows` come with their keys, in ascending order; those up to `after` may be left out."""
        selected, _ = self.selected, self.expanded
        predicate = odata.compile_filter(self.query.get("$filter"), fields)
        limit = odata.max_results(self.query.get("maxresults"))
        found, token = odata.page(rows, predicate, limit, self.query.get("$skiptoken"))
        body: dict = {
            "odata.metadata": f"{self.base}/$metadata#{kind}",
            "value": [self._project(show(row), selected) for row in found],
        }
        if token:
            # Older clients follow the link as it is.
            query = self.query | {"$skiptoken": token, "api-version": self.version}
            body["odata.nextLink"] = f"{self.base}{self.url}?{urlencode(query, safe='$', quote_via=quote)}"
        return Reply(body)

    @property
    def after(self) -> str | None:
        """The key that the page before ended with."""
        token = self.query.get("$skiptoken")
        return odata.decode_token(token) if token else None

    @cached_property
    def selected(self) -> frozenset[str] | None:
        """The properties that `$select` names, or None for all of them."""
        names = api_versions.names(self.operation.returns or "", self.version)
        return odata.parse_select(self.query.get("$select"), names)

    @cached_property
    def expanded(self) -> frozenset[str]:
        """The properties that `$expand` names; a BatchError if they can't be expanded."""
        return odata.parse_expand(self.query.get("$expand"))

    @cached_property
    def wants_stats(self) -> bool:
        """What is selected counts; without a selection it takes an expansion.

        https://learn.microsoft.com/azure/batch/batch-efficient-list-queries
        """
        return "stats" in (self.expanded if self.selected is None else self.selected)

    def _project(self, shown: dict, selected: frozenset[str] | None) -> dict:
        shown = api_versions.as_of(self.operation.returns or "", shown, self.version)
        return (
            shown if selected is None else {name: value for name, value in shown.items() if name in selected}
        )


def stamps(entity: Any) -> dict[str, str]:
    return {"ETag": entity.etag, "Last-Modified": http_date(entity.modified)}
