"""A few lines at the bottom of a terminal, below what is printed meanwhile.

What is printed goes through `Area.write`, or through a `Through` in place of the stream: the lines are taken away,
the text is written as it is, and they come back when it has been quiet for a moment, and only at the beginning of a
line. So no line is broken, however fast others come, and each costs what it did. Nothing of the terminal is changed
that would have to be restored: the cursor stays, keys do what they do, and a process that is killed leaves the lines
where they are.

The lines are made with rich (https://rich.readthedocs.io/en/stable/console.html), which is loaded when there are some.
"""

import io
import re
import shutil
import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import RenderableType

UP, ERASE = "\x1b[1A", "\x1b[J"
STYLE = re.compile(r"\x1b\[[0-9;]*m")
QUIET = 0.15
"""Seconds without a line after which the area comes back."""

LONGEST = 1.0
"""Seconds that it stays away at most, while lines come all the time."""


class Area:
    """On `stream`, a terminal. Methods may be called from any thread."""

    def __init__(
        self,
        stream: TextIO,
        clock: Callable[[], float] = monotonic,
        width: Callable[[], int] = lambda: shutil.get_terminal_size().columns,
        color: bool = True,
    ) -> None:
        self._stream, self._clock, self._width, self._color = stream, clock, width, color
        self._lock = threading.RLock()
        self._shown: list[int] = []
        self._what: RenderableType | None = None
        self._at_start = True
        self._written = self._drawn = float("-inf")
        self._is_over = False

    def write(self, text: str) -> int:
        """Writes the text above the area, which comes back with `draw`."""
        with self._lock:
            self._erase()
            self._stream.write(text)
            if text:
                self._at_start, self._written = text.endswith("\n"), self._clock()
        return len(text)

    def draw(self, what: "RenderableType") -> None:
        """Shows it, one way or another: not in the middle of a line, or between two that come together."""
        if self._shown and what is self._what:
            return
        now = self._clock()
        if now - self._written < QUIET and now - self._drawn < LONGEST:
            return
        lines = self._lines(what)
        with self._lock:
            if self._is_over or not self._at_start:
                return
            self._erase()
            # No line end after the last one: the terminal would scroll for nothing.
            self._stream.write("\n".join(text for text, _ in lines))
            self._stream.flush()
            self._shown, self._drawn = [cells for _, cells in lines], self._clock()
            self._what = what

    def hide(self) -> None:
        """Takes it away, for what is not written through here."""
        with self._lock:
            self._erase()
            self._stream.flush()

    def close(self) -> None:
        """Takes it away for good."""
        with self._lock:
            self._is_over = True
            self.hide()

    def _erase(self) -> None:
        if not self._shown:
            return
        # The terminal may be narrower by now, and has wrapped them.
        width = max(1, self._width())
        rows = sum(max(1, -(-cells // width)) for cells in self._shown)
        self._stream.write("\r" + UP * (rows - 1) + ERASE)
        self._shown = []

    def _lines(self, what: "RenderableType") -> list[tuple[str, int]]:
        """The lines, with the cells that each takes: one less than there are, as a full line would be wrapped."""
        from rich.cells import cell_len
        from rich.console import Console

        console = Console(
            file=io.StringIO(),
            force_terminal=True,
            width=max(1, self._width() - 1),
            no_color=not self._color,
            highlight=False,
        )
        with console.capture() as captured:
            console.print(what)
        lines = captured.get().rstrip("\n").split("\n")
        return [(line, cell_len(STYLE.sub("", line))) for line in lines]


class Through:
    """In place of `stream`: what is written to it goes above the area."""

    def __init__(self, stream: TextIO, area: Area) -> None:
        self.stream, self._area = stream, area

    def write(self, text: str) -> int:
        return self._area.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
