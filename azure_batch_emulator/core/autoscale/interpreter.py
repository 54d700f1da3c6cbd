"""Runs a formula, statement by statement."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

from lark import Token, Tree

from . import functions, operators
from .errors import EVALUATION, AutoscaleError, Mistake, mistake
from .grammar import parse
from .samples import METRICS, History, Metric
from .values import INTERVALS, Value, member, show, type_name

OPTIONS = ("requeue", "terminate", "taskcompletion", "retaineddata")
MAX_DEPTH = 100  # of parentheses and choices in each other
MAX_TARGET = 2**31 - 1
DEDICATED, LOW_PRIORITY, OPTION = (
    "$TargetDedicatedNodes",
    "$TargetLowPriorityNodes",
    "$NodeDeallocationOption",
)
_ALIASES = {"$TargetDedicated": DEDICATED, "$TargetLowPriority": LOW_PRIORITY}


@dataclass(frozen=True)
class Surroundings:
    """What a formula sees: the time, a source of `rand()`, the pool's targets, its samples, and the present values of
    metrics that need no sample (by name with `$`)."""

    now: datetime
    random: Random
    dedicated: int
    low_priority: int
    history: History = field(default_factory=History)
    live: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a formula wants, in nodes, and its variables as the service lists them."""

    dedicated: int
    low_priority: int
    option: str
    results: str


class _Stop(Exception):
    pass


def evaluate(formula: str, around: Surroundings) -> Outcome:
    """Runs the formula; an AutoscaleError says where and why it can't be read or run."""
    run = _Run(around)
    try:
        for statement in parse(formula).children:
            run.statement(statement)
    except _Stop:
        pass
    return run.outcome()


def results(dedicated: int, low_priority: int, option: str, variables: Mapping[str, Value]) -> str:
    """`$TargetDedicatedNodes=3;$TargetLowPriorityNodes=0;$NodeDeallocationOption=requeue;name=value`"""
    shown = [f"{DEDICATED}={dedicated}", f"{LOW_PRIORITY}={low_priority}", f"{OPTION}={option}"]
    return ";".join(shown + [f"{name}={show(value)}" for name, value in sorted(variables.items())])


class _Run:
    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.variables: dict[str, Value] = {}
        self.names: dict[str, str] = {}  # `$x` and `x` are one variable, shown as first written
        self.targets: dict[str, float] = {}
        self.option = OPTIONS[0]
        self.depth = 0

    # Statements

    def statement(self, tree: Tree) -> None:
        parts: list[Any] = tree.children
        value = self.value(parts[-1])
        if tree.data == "assignment":
            self.assign(parts[0], value)

    def assign(self, name: Token, value: Value) -> None:
        if name in (DEDICATED, LOW_PRIORITY, *_ALIASES):
            self.targets[str(name)] = _target(name, value)
        elif name == OPTION:
            if value not in OPTIONS:
                raise _at(name, f"{OPTION} is one of {', '.join(OPTIONS)}")
            self.option = str(value)
        elif name in METRICS:
            raise _at(name, f"{name} can't be assigned to")
        elif name in INTERVALS or name in OPTIONS or name in functions.NAMES:
            raise _at(name, f"'{name}' has a meaning of its own and can't be assigned to")
        else:
            shown = self.names.setdefault(name.removeprefix("$"), str(name))
            self.variables[shown] = value

    def outcome(self) -> Outcome:
        dedicated, low = int(self.target(DEDICATED)), int(self.target(LOW_PRIORITY))
        return Outcome(dedicated, low, self.option, results(dedicated, low, self.option, self.variables))

    def target(self, name: str) -> float:
        """What has been assigned, the full name before its alias; else the pool's present target."""
        for known in (name, *(alias for alias, full in _ALIASES.items() if full == name)):
            if known in self.targets:
                return self.targets[known]
        return float(self.around.dedicated if name == DEDICATED else self.around.low_priority)

    # Expressions

    def value(self, tree: Tree) -> Value:
        """The value of an expression; a metric becomes its last value."""
        found = self.visit(tree)
        if isinstance(found, Metric):
            try:
                return found.value()
            except Mistake as error:
                raise _at(tree, error.reason, error.code) from None
        return found

    def visit(self, tree: Tree) -> Value | Metric:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _at(tree, "The expression is nested too deeply")
        try:
            return getattr(self, "visit_" + tree.data)(*tree.children)
        finally:
            self.depth -= 1

    def values(self, arguments: Tree) -> list[Value]:
        return [self.value(argument) for argument in arguments.children]

    def visit_number(self, text: Token) -> Value:
        return float(text)

    def visit_string(self, text: Token) -> Value:
        return str(text)[1:-1]

    def visit_variable(self, name: Token) -> Value | Metric:
        if name in (DEDICATED, LOW_PRIORITY):
            return self.target(str(name))
        if name in _ALIASES:
            return self.targets.get(str(name), self.target(_ALIASES[name]))
        if name == OPTION:
            return self.option
        if name in METRICS:
            live = self.around.live.get(str(name))
            return Metric(str(name), self.around.history, self.around.now, live)
        if name in INTERVALS:
            return INTERVALS[name]
        if (known := self.names.get(name.removeprefix("$"))) is not None:
            return self.variables[known]
        if name in OPTIONS:
            return str(name)
        raise _at(name, f"The variable '{name}' is not defined")

    def visit_member(self, owner: Tree, name: Token) -> Value:
        with _Place(name):
            return member(self.value(owner), name)

    def visit_method(self, owner: Tree, name: Token, open_: Token, arguments: Tree) -> Value:
        target = self.visit(owner)
        values = self.values(arguments)
        with _Place(open_):
            if not isinstance(target, Metric):
                mistake(f"A {type_name(target)} has no methods")
            return target.call(name, values)

    def visit_call(self, name: Token, open_: Token, arguments: Tree) -> Value:
        values = self.values(arguments)
        with _Place(open_):
            if name not in functions.NAMES:
                mistake(f"There is no function '{name}'")
            if name == "stop":
                functions.check(values)
                raise _Stop
            return functions.call(name, values, self.around.now, self.around.random)

    def visit_choice(self, condition: Tree, yes: Tree, no: Tree) -> Value | Metric:
        value = self.value(condition)
        with _Place(condition):
            chosen = operators.truth(value, "A condition")
        return self.visit(yes if chosen else no)

    def visit_unary(self, *parts: Any) -> Value:
        *symbols, operand = parts
        value = self.value(operand)
        for symbol in reversed(symbols):
            with _Place(symbol):
                value = operators.unary(symbol, value)
        return value

    def _chain(self, first: Tree, *rest: Any) -> Value:
        value = self.value(first)
        for symbol, operand in zip(rest[::2], rest[1::2], strict=True):
            right = self.value(operand)
            with _Place(symbol):
                value = operators.binary(symbol, value, right)
        return value

    visit_product = visit_sum = visit_relation = visit_equality = _chain

    def _logical(self, decisive: bool, first: Tree, *rest: Any) -> Value:
        """Stops at the first operand that decides."""
        value, symbols = self.value(first), rest[::2]
        for symbol, operand in zip(symbols, rest[1::2], strict=True):
            with _Place(symbol):
                if operators.truth(value, f"Operator '{symbol}'") == decisive:
                    return float(decisive)
            value = self.value(operand)
        with _Place(symbols[-1]):
            return float(operators.truth(value, f"Operator '{symbols[-1]}'"))

    def visit_either(self, *parts: Any) -> Value:
        return self._logical(True, *parts)

    def visit_both(self, *parts: Any) -> Value:
        return self._logical(False, *parts)


class _Place:
    """Adds a place to the mistakes inside it."""

    def __init__(self, where: Token | Tree) -> None:
        self.where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, traceback) -> None:
        if isinstance(error, Mistake):
            raise _at(self.where, error.reason, error.code) from None


def _at(where: Token | Tree, reason: str, code: str = EVALUATION) -> AutoscaleError:
    at = where if isinstance(where, Token) else where.meta
    return AutoscaleError(code, reason, (at.line or 1, at.column or 1))


def _target(name: Token, value: Value) -> float:
    """A number of nodes; a fraction is cut off."""
    if not isinstance(value, float):
        raise _at(name, f"{name} needs a double, not a {type_name(value)}")
    if not (math.isfinite(value) and -1 < value <= MAX_TARGET):
        raise _at(name, f"{name} can't be {show(value)}")
    return value
