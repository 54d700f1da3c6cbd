"""One request on its way through: what handlers get, and what they give back."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode

from .. import odata, older
from ..engine import Engine
from ..errors import BatchError
from ..wire import http_date, parse_time
from .routing import Operation


@dataclass(frozen=True)
class Conditions:
    """The conditional headers of a request.

    https://learn.microsoft.com/rest/api/batchservice/specifying-conditional-headers
    """

    match: str | None = None
    none_match: str | None = None
    modified_since: datetime | None = None
    unmodified_since: datetime | None = None

    @classmethod
    def parse(cls, headers: Mapping[str, str], taken: str | None) -> "Conditions":
        """`taken` says which of them an operation takes: all, since (the two dates), or none."""
        if taken is None:
            return cls()

        def time(name: str) -> datetime | None:
            if name not in headers:
                return None
            try:
                return parse_time(headers[name])
            except ValueError:
                raise BatchError(
                    "InvalidHeaderValue", [("HeaderName", name), ("HeaderValue", headers[name])]
                ) from None

        def tag(name: str) -> str | None:
            value = headers.get(name)
            return value.removeprefix("W/").strip('"') if value is not None else None

        given = cls(
            tag("if-match"), tag("if-none-match"), time("if-modified-since"), time("if-unmodified-since")
        )
        return given._one(taken)

    def _one(self, taken: str) -> "Conditions":
        """A request has one condition. A tag beside the date of the same sense is the one that counts."""
        match, none_match = (None, None) if taken == "since" else (self.match, self.none_match)
        alone = replace(
            self,
            match=match,
            none_match=none_match,
            unmodified_since=self.unmodified_since if match is None else None,
            modified_since=self.modified_since if none_match is None else None,
        )
        if sum(value is not None for value in vars(alone).values()) > 1:
            raise BatchError("MultipleConditionHeadersNotSupported")
        return alone

    def check(self, method: str, etag: str | None, modified: datetime) -> None:
        """412 where a condition is not met; 304 where that only says that a reader has the newest."""
        modified = modified.replace(microsecond=0)
        reading = 304 if method in ("GET", "HEAD") else 412
        if self.match is not None and self.match not in ("*", etag):
            raise BatchError("ConditionNotMet")
        if self.unmodified_since is not None and modified > self.unmodified_since:
            raise BatchError("ConditionNotMet")
        if self.none_match is not None and self.none_match in ("*", etag):
            raise BatchError("ConditionNotMet", status=reading)
        if self.modified_since is not None and modified <= self.modified_since:
            raise BatchError("ConditionNotMet", status=reading)


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
        selected = self.selected
        odata.check_expand(self.query.get("$expand"))
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
        selected = self.selected
        odata.check_expand(self.query.get("$expand"))
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
        names = older.names(self.operation.returns or "", self.version)
        return odata.parse_select(self.query.get("$select"), names)

    def _project(self, shown: dict, selected: frozenset[str] | None) -> dict:
        shown = older.as_of(self.operation.returns or "", shown, self.version)
        return (
            shown if selected is None else {name: value for name, value in shown.items() if name in selected}
        )


def stamps(entity: Any) -> dict[str, str]:
    return {"ETag": entity.etag, "Last-Modified": http_date(entity.modified)}
