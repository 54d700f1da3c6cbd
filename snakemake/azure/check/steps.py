"""Steps that are tried one after the other, each with its time, and one sentence where it fails."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.secrets import without_secrets

T = TypeVar("T")

OK, FAILED, SKIPPED = "ok", "FAILED", "not tried"
NAMES = 22  # characters of the longest name of a step


@dataclass(frozen=True)
class Row:
    """One step: `seconds` that it took, None where it was not tried."""

    name: str
    state: str
    seconds: float | None
    text: str = ""

    def line(self) -> str:
        time = "" if self.seconds is None else f"{self.seconds:.1f} s"
        return f"{self.state:9} {self.name:{NAMES}} {time:>9}  {self.text}".rstrip()


@dataclass
class Steps:
    """Shows each step with `say` as it ends; `clock` is in seconds."""

    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    rows: list[Row] = field(default_factory=list)

    def do(self, name: str, call: Callable[[], tuple[T, str]], *needed: object) -> T | None:
        """What `call` returns as its value, told with its words; None where it failed, or where something that it
        needs, and that was to come from an earlier step, is None."""
        if any(each is None for each in needed):
            self.add(Row(name, SKIPPED, None, "needs what failed above"))
            return None
        began = self.clock()
        try:
            value, text = call()
        except WorkflowError as e:
            self.add(Row(name, FAILED, self.clock() - began, one_line(str(e))))
            return None
        self.add(Row(name, OK, self.clock() - began, text))
        return value

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self.say(row.line())

    @property
    def failed(self) -> int:
        return sum(row.state == FAILED for row in self.rows)


def one_line(text: str) -> str:
    return " ".join(without_secrets(text).split())
