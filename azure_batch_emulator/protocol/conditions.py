"""The conditional headers of a request: ETags and dates that an entity has to meet.

https://learn.microsoft.com/rest/api/batchservice/specifying-conditional-headers
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from .errors import BatchError
from .wire import parse_time


@dataclass(frozen=True)
class Conditions:
    """Those of one request; a tag is without its quotes."""

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
