"""The functions, as the documented table has them, and `abs`, `ceil`, `floor`, `round` and `vec`, which it mentions
or others use.

https://learn.microsoft.com/azure/batch/batch-automatic-scaling#functions
"""

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random

from .errors import Mistake, mistake
from .values import Value, Vector, type_name

_DATE = r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[Tt ]{clock})?)?)?"
_CLOCK = r"(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,7}))?)?(Z|z|[+-]\d\d:\d\d)?"
_W3C = re.compile(_DATE.replace("{clock}", _CLOCK), re.ASCII)
_RFC_1123 = re.compile(
    r"(?:[A-Za-z]{3}, )?\d{1,2} [A-Za-z]{3} \d{4} \d\d:\d\d(?::\d\d)? (?:GMT|UTC|[+-]\d{4})", re.ASCII
)


def flatten(arguments: Sequence[Value]) -> Vector:
    """A doubleVecList as one doubleVec."""
    items: list[float] = []
    for argument in arguments:
        if isinstance(argument, Vector):
            items.extend(argument)
        elif isinstance(argument, float):
            items.append(argument)
        else:
            mistake(f"A double or a doubleVec is needed, not a {type_name(argument)}")
    return Vector.of(items)


def _over_list(function: Callable[[Vector], float], *, empty: float | None = None):
    def apply(arguments: Sequence[Value]) -> Value:
        items = flatten(arguments)
        if not items:
            return empty if empty is not None else mistake("There are no values")
        return function(items)

    return apply


def _component_wise(function: Callable[[float], float]):
    def apply(arguments: Sequence[Value]) -> Value:
        if len(arguments) == 1 and isinstance(arguments[0], float):
            return function(arguments[0])
        return Vector(map(function, flatten(arguments)))

    return apply


def _on_double(function: Callable[[float], float]):
    def apply(arguments: Sequence[Value]) -> Value:
        (value,) = check(arguments, float)
        return float(function(value)) if math.isfinite(value) else value

    return apply


def check(arguments: Sequence[Value], *types: type) -> list:
    """The arguments, when they have these types."""
    if len(arguments) != len(types):
        mistake(f"{len(types)} arguments are needed, not {len(arguments)}")
    for argument, wanted in zip(arguments, types, strict=True):
        if not isinstance(argument, wanted):
            mistake(f"An argument can't be a {type_name(argument)}")
    return list(arguments)


def logarithm(base: float) -> Callable[[float], float]:
    exact = {2.0: math.log2, 10.0: math.log10}.get(base, math.log)

    def apply(value: float) -> float:
        if value > 0:
            return exact(value)
        return -math.inf if value == 0 else math.nan

    return apply


def average(items: Sequence[float]) -> float:
    return sum(items) / len(items)


def deviation(items: Sequence[float]) -> float:
    """Of a sample; a single value does not deviate."""
    if len(items) < 2:
        return 0.0
    mean = average(items)
    return math.hypot(*(item - mean for item in items)) / math.sqrt(len(items) - 1)


def percentile(arguments: Sequence[Value]) -> Value:
    """The element of the nearest rank, for 0 to 100 percent."""
    items, percent = check(arguments, Vector, float)
    if not items or not 0 <= percent <= 100:
        mistake("percentile needs values and a percentage from 0 to 100")
    return sorted(items)[max(0, math.ceil(percent / 100 * len(items)) - 1)]


def val(arguments: Sequence[Value]) -> Value:
    """An element by its index, from 0; of an empty vector 0, because formulas in use count on it."""
    items, index = check(arguments, Vector, float)
    if not items:
        return 0.0
    if not 0 <= index < len(items):
        mistake(f"There is no element {index:g} in a doubleVec of {len(items)}")
    return items[int(index)]


def parse_time(text: str) -> datetime:
    """W3C-DTF or RFC 1123; without a zone, UTC."""
    try:
        if match := _W3C.fullmatch(text.strip()):
            year, month, day, hour, minute, second, fraction, zone = match.groups()
            time = datetime(int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0),
                            int(second or 0), int(f"{fraction or 0:0<6}"[:6]), UTC)  # fmt: skip
            if zone and zone not in "Zz":
                return datetime.fromisoformat(time.replace(tzinfo=None).isoformat() + zone).astimezone(UTC)
            return time
        if _RFC_1123.fullmatch(text.strip()):
            return parsedate_to_datetime(text.strip().replace("-0000", "+0000")).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Mistake(f"'{text}' is not a time in W3C-DTF or RFC 1123 format")


LIST_FUNCTIONS: dict[str, Callable[[Sequence[Value]], Value]] = {
    "avg": _over_list(average),
    "len": _over_list(lambda items: float(len(items)), empty=0.0),
    "lg": _component_wise(logarithm(2.0)),
    "ln": _component_wise(logarithm(math.e)),
    "log": _component_wise(logarithm(10.0)),
    "max": _over_list(max),
    "min": _over_list(min),
    "norm": _over_list(lambda items: math.hypot(*items), empty=0.0),
    "percentile": percentile,
    "range": _over_list(lambda items: max(items) - min(items)),
    "std": _over_list(deviation),
    "sum": _over_list(lambda items: float(sum(items)), empty=0.0),
    "val": val,
    "abs": _on_double(abs),
    "ceil": _on_double(math.ceil),
    "floor": _on_double(math.floor),
    "round": _on_double(round),
    "vec": flatten,
}
NAMES = frozenset(LIST_FUNCTIONS) | {"rand", "time", "stop"}


def call(name: str, arguments: Sequence[Value], now: datetime, random: Random) -> Value:
    if name == "rand":
        check(arguments)
        return random.random()
    if name == "time":
        (text,) = check(arguments, str) if arguments else ("",)
        return parse_time(text) if text else now
    return LIST_FUNCTIONS[name](arguments)
