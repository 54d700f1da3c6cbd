"""Request bodies against the models of the service: `data/api.json`, made from the published SDK.

A body comes out as the service would store it: known properties only, numbers as numbers (clients also send
them as strings), enum values in the service's spelling, durations normalised, nulls dropped.
"""

import json
import math
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

from .errors import BatchError, invalid_property, missing_property
from .wire import format_duration, format_time, parse_duration, parse_time


@cache
def api() -> dict:
    """The operations, models and enums of api-version 2025-06-01."""
    return json.loads(files("azure_batch_emulator").joinpath("data/api.json").read_text(encoding="utf-8"))


def parse_object(raw: bytes) -> dict:
    """The JSON object that `raw` is the text of. What can't be kept and told again is refused: numbers of more
    than 64 bits, and halves of surrogate pairs."""
    try:
        value = json.loads(
            raw,
            object_pairs_hook=_once,
            parse_constant=_no_constant,
            parse_int=_whole_number,
            parse_float=_finite_number,
        )
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise BatchError("InvalidRequestBody", [("Reason", "The body is nested too deeply.")]) from None
    except ValueError as error:
        raise BatchError("InvalidRequestBody", [("Reason", f"The body is not JSON: {error}")]) from None
    if not isinstance(value, dict):
        raise BatchError("InvalidRequestBody", [("Reason", "The body is not a JSON object.")])
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a property is there twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _whole_number(text: str) -> int:
    number = int(text)
    if not -(2**63) <= number < 2**64:
        raise ValueError("an integer has more than 64 bits")
    return number


def _finite_number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is out of range")
    return number


def check_model(model: str, value: dict, path: str) -> dict:
    fields = api()["models"][model]
    for name in value:
        if name not in fields and not name.startswith(("odata.", "@odata.")):
            raise BatchError(
                "InvalidRequestBody",
                [
                    ("Reason", f"The property '{path}{name}' does not exist on type '{model}'."),
                    ("PropertyName", path + name),
                ],
            )
    result = {}
    for name, kind in fields.items():
        kind, _, mode = kind.partition(" ")
        given = value.get(name)
        if mode == "read":
            if given is not None:
                raise BatchError(
                    "InvalidRequestBody",
                    [
                        ("Reason", f"The property '{path}{name}' is read-only here."),
                        ("PropertyName", path + name),
                    ],
                )
        elif given is not None:
            result[name] = check_value(kind.rstrip("?"), given, path + name)
        elif not kind.endswith("?"):
            raise missing_property(path + name)
    return result


def check_value(kind: str, value: Any, path: str) -> Any:
    if kind.startswith("["):
        if not isinstance(value, list):
            raise _mistyped(path, "A list is expected.")
        return [check_value(kind[1:-1], item, f"{path}[{i}]") for i, item in enumerate(value)]
    if kind.startswith("enum:"):
        for known in api()["enums"][kind[5:]]:
            if isinstance(value, str) and known.lower() == value.lower():
                return known
        raise invalid_property(path, value, f"One of {', '.join(api()['enums'][kind[5:]])} is expected.")
    if check := _SCALARS.get(kind):
        try:
            return check(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise _mistyped(path, f"{error}.") from None
    if not isinstance(value, dict):
        raise _mistyped(path, f"An object of type '{kind}' is expected.")
    return check_model(kind, value, path + "/")


def _mistyped(path: str, reason: str) -> BatchError:
    return BatchError("InvalidRequestBody", [("Reason", reason), ("PropertyName", path)])


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("A string is expected")
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("An integer is expected")
    try:
        number = int(value)
    except ValueError:
        raise ValueError("An integer is expected") from None
    if not -(2**63) <= number < 2**63:
        raise ValueError("The integer is out of range")
    return number


def _int32(value: Any) -> int:
    number = _integer(value)
    if not -(2**31) <= number < 2**31:
        raise ValueError("The integer is out of range")
    return number


def _boolean(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise ValueError("A boolean is expected")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("A number is expected")
    return float(value)


def _duration(value: Any) -> str:
    return format_duration(parse_duration(_string(value)))


def _time(value: Any) -> str:
    time: datetime = parse_time(_string(value))
    return format_time(time)


def _map(value: Any) -> dict:
    if not isinstance(value, dict):
        raise ValueError("An object is expected")
    return {str(key): _string(item) for key, item in value.items()}


def _object(value: Any) -> dict:
    """Any JSON, as extensions have it, although the client's model speaks of strings."""
    if not isinstance(value, dict):
        raise ValueError("An object is expected")
    return value


_SCALARS = {
    "str": _string,
    "int": _int32,
    "int64": _integer,
    "bool": _boolean,
    "float": _number,
    "duration": _duration,
    "datetime": _time,
    "map": _map,
    "object": _object,
}
