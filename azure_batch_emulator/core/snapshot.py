"""The state of an account as bytes, and back: what `Machine` annotates, its time and its random generator.

The codec follows the type hints (by msgspec), so a new field or entity needs nothing here. A field that an older
snapshot lacks takes its default; one that has gone is left out. What is referred to from several places (a task, by
its job, its run and its node) is written out at each, and is one object again afterwards.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

import msgspec

from .entities import Entity, Run
from .machine import Machine
from .states import TABLES, Table

FORMAT = 2
Timer = tuple[datetime, tuple]
"""When it fires, and its key (see `timers`)."""


class SnapshotError(ValueError):
    """Bytes that are not a snapshot, or one that this version can't read; the message says which."""


class _Head(msgspec.Struct):
    format: int


class _File(msgspec.Struct):
    now: datetime
    random: list
    timers: list[tuple[datetime, list]]
    account: msgspec.Raw
    format: int = FORMAT


def dump(m: Machine, timers: Iterable[Timer]) -> bytes:
    """The machine's state and the timers that are still to fire."""
    account = msgspec.msgpack.encode({name: getattr(m, name) for name in kept()}, enc_hook=encode_other)
    version, internal, gauss = m.random.getstate()
    file = _File(
        m.now, [version, internal, gauss], [(at, list(key)) for at, key in timers], msgspec.Raw(account)
    )
    return msgspec.msgpack.encode(file)


def load(m: Machine, data: bytes) -> list[Timer]:
    """Gives a new machine the state of a snapshot; returns its timers. SnapshotError if it can't be read."""
    kind = _account()
    try:
        if (found := msgspec.msgpack.decode(data, type=_Head).format) > FORMAT:
            raise SnapshotError(f"it has format {found}, and this version reads formats up to {FORMAT}")
        file = msgspec.msgpack.decode(data, type=_File)
        state = file.account if found == FORMAT else _with_todays_names(file.account)
        account: Any = msgspec.msgpack.decode(state, type=kind, dec_hook=decode_other)
        version, internal, gauss = file.random
        generator = random.Random()
        generator.setstate((version, tuple(internal), gauss))
    except (msgspec.MsgspecError, AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, SnapshotError):
            raise
        raise SnapshotError(f"it is damaged or of another version ({error})") from None
    merge = _Merge()
    for name in kept():
        if (value := getattr(account, name)) is not msgspec.UNSET:
            setattr(m, name, merge.visit(value))
    m.random.setstate(generator.getstate())
    m.now = max(m.now, file.now)
    m.reindex()
    return [(at, tuple(key)) for at, key in file.timers]


# What format 1 called attributes otherwise than today.
_TASK = {"gang": "attempt"}
_JOB = {"picky": "constrained", "helpers": "prep_release_runs"}
_JOB_SCHEDULE = {"made": "jobs_created", "last_made": "last_created"}


def _with_todays_names(data: bytes) -> bytes:
    """An account of format 1 as one of the present format."""
    account = msgspec.msgpack.decode(data)
    jobs, schedules = account["jobs"].values(), account.get("job_schedules", {}).values()
    nodes = [node for pool in account["pools"].values() for node in pool["nodes"].values()]
    tasks = [
        *(task for job in jobs for task in job["tasks"].values()),
        *(run["task"] for run in account["runs"].values() if run["task"] is not None),
        *(task for node in nodes for task in node["recent"]),
    ]
    for entities, names in ((tasks, _TASK), (jobs, _JOB), (schedules, _JOB_SCHEDULE)):
        for entity in entities:
            entity |= {new: entity.pop(old) for old, new in names.items() if old in entity}
    return msgspec.msgpack.encode(account)


@cache
def kept() -> dict[str, Any]:
    """The machine's attributes that a snapshot holds, with their types."""
    return {name: hint for name, hint in get_type_hints(Machine).items() if get_origin(hint) is not ClassVar}


@cache
def _account() -> type:
    # An attribute that an older snapshot does not have stays as a new machine has it.
    names = [(name, hint | msgspec.UnsetType, msgspec.UNSET) for name, hint in kept().items()]
    return msgspec.defstruct("Account", names)


def encode_other(value: Any) -> Any:
    if isinstance(value, Table):
        return value.name
    raise NotImplementedError(f"a snapshot can't hold a {type(value).__name__}")


def decode_other(kind: type, value: Any) -> Any:
    if kind is Table:
        return TABLES[value]
    raise NotImplementedError(f"a snapshot can't hold a {kind.__name__}")


_IDENTIFIED = (Entity, Run)  # no two of these are alike: with the same content they are the same


class _Merge:
    """Makes the copies of one thing, which were written at each place that refers to it, one again."""

    def __init__(self) -> None:
        self._known: dict[tuple[type, str], list] = {}

    def visit(self, value: Any) -> Any:
        """The value, with what it holds merged; what is immutable and changes is made anew."""
        if isinstance(value, _IDENTIFIED):
            known = self._known.setdefault((type(value), value.id), [])
            for other in known:
                if other == value:
                    return other
            known.append(value)
        if isinstance(value, list):
            value[:] = [self.visit(item) for item in value]
        elif isinstance(value, tuple):
            value = tuple(self.visit(item) for item in value)
        elif isinstance(value, dict):
            for key, item in value.items():
                value[key] = self.visit(item)
        elif is_dataclass(value) and not isinstance(value, type):
            for name in _leading_on(type(value)):
                object.__setattr__(value, name, self.visit(getattr(value, name)))  # also of frozen ones
        return value


@cache
def _leading_on(kind: type) -> tuple[str, ...]:
    """The fields of a dataclass through which something identified can be reached: most hold plain values."""
    hints = get_type_hints(kind)
    return tuple(
        field.name
        for field in fields(kind)
        if any(issubclass(found, _IDENTIFIED) for found in reachable(hints[field.name]))
    )


def reachable(hint: Any) -> set[type]:
    """All dataclasses in a type, and in the fields of those."""
    found: set[type] = set()
    waiting = [hint]
    while waiting:
        for kind in _mentioned(waiting.pop()):
            if kind not in found:
                found.add(kind)
                waiting += get_type_hints(kind).values()
    return found


def _mentioned(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and is_dataclass(hint):
        yield hint
    for argument in get_args(hint):
        yield from _mentioned(argument)
