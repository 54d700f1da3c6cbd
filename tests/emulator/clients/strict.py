"""What the emulator answered, against the strict models of azure-batch.

The client's models take any JSON: an unknown property, an enum value that is none, or a time that can't be read
pass silently. `complaints` looks at each property that was on the wire, at any depth, and at those that are missing.
"""

import types
import typing
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import Enum
from functools import cache

from azure.batch import models
from azure.batch._utils.model_base import Model
from azure.batch.models import _models

# Required in the model, but said to be absent: before a node has booted, without IPv6, and because it is secret.
_OFTEN_ABSENT = {"lastBootTime", "ipv6Address", "password"}


@cache
def _hints(model: type) -> dict:
    return typing.get_type_hints(model, vars(_models), {"_models": models})


def complaints(value: Model, *, whole: bool = True, path: str = "") -> Iterator[str]:
    """One sentence for each deviation; `whole` also asks for the properties that the model has as required."""
    path = path or type(value).__name__
    fields = {field._rest_name: name for name, field in value._attr_to_rest_field.items()}
    hints = _hints(type(value))
    for wire in value:
        if wire not in fields and not wire.startswith("odata."):
            yield f"{path}: the model has no property {wire!r}"
    for wire, name in fields.items():
        if wire in value:
            if value[wire] is None:
                yield f"{path}/{wire} is null"
            else:
                yield from _of_type(getattr(value, name), hints[name], f"{path}/{wire}")
        elif whole and wire not in _OFTEN_ABSENT and type(None) not in typing.get_args(hints[name]):
            yield f"{path}: {wire} is missing"


def _of_type(value: object, hint: object, path: str) -> Iterator[str]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [kind for kind in arguments if kind is not type(None)]
        enums = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Enum)]
        if enums:
            if not isinstance(value, enums[0]):
                yield f"{path}: {value!r} is no {enums[0].__name__}"
        elif len(kinds) == 1:
            yield from _of_type(value, kinds[0], path)
        elif not any(not list(_of_type(value, kind, path)) for kind in kinds):
            yield f"{path}: {value!r} is none of {kinds}"
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
            return
        for i, item in enumerate(value):
            yield from _of_type(item, arguments[0], f"{path}[{i}]")
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no object"
            return
        for key, item in value.items():
            yield from _of_type(item, arguments[1], f"{path}[{key}]")
    elif isinstance(hint, type) and issubclass(hint, Model):
        if not isinstance(value, hint):
            yield f"{path}: {value!r} is no {hint.__name__}"
            return
        yield from complaints(value, path=path)
    elif hint in (str, bool, int, float, datetime, timedelta):
        # bool is a kind of int in Python, and not on the wire; an int is a good float.
        kinds = (int, float) if hint is float else (hint,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and hint is not bool):
            yield f"{path}: {value!r} is no {hint.__name__}"
    elif hint is not typing.Any:
        yield f"{path}: this test does not know the type {hint}"
