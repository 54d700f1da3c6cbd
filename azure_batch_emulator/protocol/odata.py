"""`$filter`, `$select`, `$expand` and paging of lists.

Filters: comparisons (eq ne gt ge lt le), and, or, not, parentheses, startswith(property, 'x'), DateTime'...'.
Property names are case-sensitive paths with '/', string values compare without case. Which properties a list can
be filtered by, and with which operators, is data (`Field`): anything else is refused, as the service does.
https://learn.microsoft.com/rest/api/batchservice/odata-filters-in-batch
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from .errors import BatchError, invalid_query
from .wire import parse_time

GRAMMAR = r"""
start: either
?either: both ("or"i both)*
?both: term ("and"i term)*
?term: "not"i term -> negation
     | "(" either ")"
     | "startswith"i "(" PATH "," STRING ")" ("eq"i BOOLEAN)? -> startswith
     | PATH OPERATOR literal -> compare
     | literal OPERATOR PATH -> compare_reversed
literal: STRING -> string | TIME -> time | NUMBER -> number | BOOLEAN -> boolean | NULL -> null
OPERATOR.3: /(eq|ne|gt|ge|lt|le)(?=[\s'])/i
BOOLEAN.3: /(true|false)\b/i
NULL.3: /null\b/
TIME.4: /datetime(offset)?'[^']*'/i
STRING: /'(?:[^']|'')*'/
NUMBER: /-?\d+(\.\d+)?/
PATH: /[A-Za-z_][A-Za-z0-9_]*(\/[A-Za-z_][A-Za-z0-9_]*)*/
%ignore /\s+/
"""

ORDERED = frozenset({"eq", "ne", "gt", "ge", "lt", "le"})
EQUAL = frozenset({"eq", "ne"})
TEXT = EQUAL | {"startswith"}
MAX_DEPTH = 100  # levels of nesting; the service documents no limit
IDENTIFIER = ORDERED | {"startswith"}
_MIRROR = {"gt": "lt", "lt": "gt", "ge": "le", "le": "ge"}


@dataclass(frozen=True)
class Field:
    """A property that a list can be filtered by: its kind (string, time, number, boolean), how to get it from
    a row, and the operators that the service takes for it."""

    kind: str
    get: Callable[[Any], Any]
    operators: frozenset[str]


Predicate = Callable[[Any], bool]


@cache
def _parser():
    from lark import Lark

    return Lark(GRAMMAR, parser="lalr")


@lru_cache(maxsize=256)
def _tree(text: str):
    from lark.exceptions import LarkError

    try:
        tree = _parser().parse(text)
    except LarkError as error:
        raise invalid_query(
            "$filter", text, f"The filter can't be read: {str(error).splitlines()[0]}"
        ) from None
    level, depth = [tree], 0
    while level:
        level, depth = (
            [child for node in level for child in node.children if hasattr(child, "children")],
            depth + 1,
        )
        if depth > MAX_DEPTH:
            raise invalid_query("$filter", text[:1000], f"More than {MAX_DEPTH} levels of nesting.")
    return tree


def compile_filter(text: str | None, fields: Mapping[str, Field]) -> Predicate | None:
    """The filter as a function of a row, or None where there is no filter."""
    if not text or not text.strip():
        return None
    return _Compiler(text, fields).visit(_tree(text).children[0])


def demands(text: str | None) -> list[tuple[str, str, Any]]:
    """What each row that passes a filter must meet, as (property, operator, value), as far as the filter is a single
    comparison or several joined by `and`. Strings are in lower case. For a filter that `compile_filter` takes."""
    if not text or not text.strip():
        return []
    found, nodes = [], [_tree(text).children[0]]
    while nodes:
        node = nodes.pop()
        if node.data == "both":
            nodes += node.children
        elif node.data in ("compare", "compare_reversed"):
            path, operator, literal = node.children if node.data == "compare" else node.children[::-1]
            operator = operator.lower()
            if node.data == "compare_reversed":
                operator = _MIRROR.get(operator, operator)
            if literal.data in ("string", "time"):
                said = str(literal.children[0])
                value = _unquote(said).lower() if literal.data == "string" else _time(said)
                found.append((str(path), operator, value))
    return found


class _Compiler:
    def __init__(self, text: str, fields: Mapping[str, Field]) -> None:
        self.text, self.fields = text, fields

    def visit(self, node) -> Predicate:
        return getattr(self, node.data)(*node.children)

    def either(self, *nodes) -> Predicate:
        parts = [self.visit(node) for node in nodes]
        return lambda row: any(part(row) for part in parts)

    def both(self, *nodes) -> Predicate:
        parts = [self.visit(node) for node in nodes]
        return lambda row: all(part(row) for part in parts)

    def negation(self, node) -> Predicate:
        part = self.visit(node)
        return lambda row: not part(row)

    def startswith(self, path, text, truth=None) -> Predicate:
        get = self.field(path, "startswith").get
        prefix = _unquote(text).lower()
        wanted = truth is None or truth.lower() == "true"
        return lambda row: ((get(row) or "").lower().startswith(prefix)) == wanted

    def compare_reversed(self, literal, operator, path) -> Predicate:
        return self.compare(path, _MIRROR.get(operator.lower(), operator), literal)

    def compare(self, path, operator, literal) -> Predicate:
        operator = operator.lower()
        field = self.field(path, operator)
        value = self.value(path, field, literal)
        get = field.get
        if field.kind == "string" and value is not None:

            def get(row, inner=field.get):
                text = inner(row)
                return None if text is None else text.lower()

        if field.kind == "number" and operator == "ne" and value is not None:
            # As reported of exit codes: https://github.com/microsoft/BatchExplorer/issues/829
            return lambda row: (x := get(row)) is not None and x != value
        if value is None and operator not in EQUAL:
            raise invalid_query("$filter", self.text, f"null can't be compared with '{operator}'.")
        return _COMPARISONS[operator](get, value)

    def field(self, path: str, operator: str) -> Field:
        field = self.fields.get(path)
        if field is None:
            known = ", ".join(sorted(self.fields)) or "none"
            raise invalid_query(
                "$filter", self.text, f"This list can't be filtered by '{path}'; it can by: {known}."
            )
        if operator not in field.operators:
            raise invalid_query("$filter", self.text, f"'{path}' can't be filtered with '{operator}'.")
        return field

    def value(self, path: str, field: Field, literal) -> Any:
        kind, text = literal.data, str(literal.children[0]) if literal.children else "null"
        try:
            if kind == "null":
                return None
            if kind == "string" and field.kind == "string":
                return _unquote(text).lower()
            if kind in ("time", "string") and field.kind == "time":
                return _time(text)
            if kind == "number" and field.kind == "number":
                return float(text)
            if kind == "boolean" and field.kind == "boolean":
                return text.lower() == "true"
        except ValueError as error:
            raise invalid_query("$filter", self.text, f"{error}.") from None
        raise invalid_query("$filter", self.text, f"'{path}' is a {field.kind}, and {text} is none.")


def _time(literal: str) -> datetime:
    return parse_time(literal[literal.index("'") + 1 : -1])


def _unquote(text: str) -> str:
    return text[1:-1].replace("''", "'")


# A row without the property equals nothing but null, differs from every value but numbers, and is in no order.
_COMPARISONS: dict[str, Callable[[Callable, Any], Predicate]] = {
    "eq": lambda get, value: lambda row: get(row) == value,
    "ne": lambda get, value: lambda row: get(row) != value,
    "gt": lambda get, value: lambda row: (x := get(row)) is not None and x > value,
    "ge": lambda get, value: lambda row: (x := get(row)) is not None and x >= value,
    "lt": lambda get, value: lambda row: (x := get(row)) is not None and x < value,
    "le": lambda get, value: lambda row: (x := get(row)) is not None and x <= value,
}


def parse_select(text: str | None, properties: Iterable[str]) -> frozenset[str] | None:
    """The selected property names, or None for all of them."""
    if not text or not text.strip():
        return None
    names = frozenset(name.strip() for name in text.split(","))
    # A path selects the property that it starts in.
    heads = frozenset(name.partition("/")[0] for name in names)
    if unknown := heads - frozenset(properties):
        raise invalid_query("$select", text, f"There is no property '{sorted(unknown)[0]}' to select.")
    return heads


def parse_expand(text: str | None) -> frozenset[str]:
    """The properties to expand; there is only one that can be."""
    names = frozenset(name.strip() for name in (text or "").split(",")) - {""}
    if names - {"stats"}:
        raise invalid_query("$expand", text, "Only 'stats' can be expanded.")
    return names


def max_results(text: str | None) -> int:
    """The page length, 1 to 1000."""
    if text is None:
        return 1000
    try:
        number = int(text)
    except ValueError:
        raise invalid_query("maxresults", text, "An integer is expected.") from None
    if not 1 <= number <= 1000:
        raise BatchError(
            "OutOfRangeQueryParameterValue",
            [
                ("QueryParameterName", "maxresults"),
                ("QueryParameterValue", text),
                ("MinimumAllowed", "1"),
                ("MaximumAllowed", "1000"),
            ],
        )
    return number


def page(
    rows: Iterable[tuple[str, Any]], predicate: Predicate | None, limit: int, token: str | None
) -> tuple[list, str | None]:
    """The rows (with their keys, in ascending order of key) after `token`, and the token of the next page.

    The token names the last key that was given out, so rows that come or go in between do no harm.
    """
    after = decode_token(token) if token else None
    found: list = []
    last = ""
    for key, row in rows:
        if after is not None and key <= after:
            continue
        if predicate is not None and not predicate(row):
            continue
        if len(found) == limit:
            return found, encode_token(last)
        found.append(row)
        last = key
    return found, None


def encode_token(key: str) -> str:
    # Clients quote and unquote the token in their own ways; these characters survive all of them.
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def decode_token(token: str) -> str:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise invalid_query(
            "$skiptoken", token, "The continuation token is not one of this service's."
        ) from None
