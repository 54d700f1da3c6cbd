"""Shows how far a run is (`--az-batch-progress`): live at the bottom of the terminal where the log goes to one, else in
a line a minute of the log.

Upstream's own log stays as it is, and so do logger plugins: where one of them has the terminal, lines go through it.
The words are those of `snakemake.azure.report.progress`.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from snakemake.azure.report.meter import Meter
from snakemake.azure.report.progress import Activity, Jobs, RuleJobs, View
from snakemake.azure.report.terminal import Area, Through
from snakemake.logging import ColorizingTextHandler
from snakemake.settings.enums import Quietness

if TYPE_CHECKING:
    from rich.console import RenderableType

EVERY = 60.0
"""Seconds between two lines."""

FIRST = 20.0
"""Seconds until the first one: short runs need none."""

TICK, LIVE_EVERY = 0.2, 1.0
"""Seconds between two looks whether the area has to come back, and between two that change it."""


class Progress:
    """For `workflow` (Snakemake's). wanted: auto, live, lines or none; now: the clock of the events. A thread shows it
    from `start` on until `stop`, which may be called from any thread, and before."""

    def __init__(
        self,
        workflow: Any,
        wanted: str,
        meter: Meter,
        activity: Activity,
        now: Callable[[], datetime],
        logger: Any,
    ) -> None:
        self._workflow, self._meter, self._activity = workflow, meter, activity
        self._now, self._logger = now, logger
        self._mode = mode(wanted, workflow.output_settings, *_handlers(workflow))
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._restore: list[Callable[[], None]] = []
        self._area: Area | None = None
        self._rules: tuple[int, dict[str, RuleJobs]] = (-1, {})

    def start(self) -> None:
        if self._mode == "none" or self._thread is not None:
            return
        run = self._say
        if self._mode == "live":
            self._take_terminal()
            run = self._draw
        self._thread = threading.Thread(target=run, name="az-batch-progress", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """The terminal is as it was before."""
        self._over.set()
        if self._area is not None:
            self._area.close()
        while self._restore:
            self._restore.pop()()

    # -- the terminal ----------------------------------------------------------------------------------------

    def _take_terminal(self) -> None:
        handler = next(h for h in _handlers(self._workflow)[0] if isinstance(h, ColorizingTextHandler))
        area = self._area = Area(handler.stream, color=not handler.nocolor)
        streams: list[tuple[Any, str]] = [(handler, "stream")]
        # What Python prints, as in onstart:, or a warning.
        streams += [(sys, name) for name in ("stdout", "stderr") if getattr(sys, name).isatty()]
        for holder, name in streams:
            stream = getattr(holder, name)
            setattr(holder, name, Through(stream, area))
            self._restore.append(partial(setattr, holder, name, stream))

    def _draw(self) -> None:
        area, shown, due = self._area, None, 0.0
        assert area is not None
        while not self._over.wait(TICK):
            if self._has_local_jobs():
                # What their commands print goes to the terminal, and not through here.
                area.hide()
                continue
            due -= TICK
            with suppress(RuntimeError):  # the scheduler's thread has changed what is looked at
                if due <= 0 or shown is None:
                    shown, due = renderable(self._view()), LIVE_EVERY
            try:
                if shown is not None:
                    area.draw(shown)
            except (OSError, ValueError):  # the terminal is gone
                return

    def _has_local_jobs(self) -> bool:
        scheduler = self._workflow.scheduler
        if scheduler is None or len(scheduler.running) <= self._activity.open_tasks:
            return False
        with suppress(RuntimeError):
            return any(job.is_local for job in scheduler.running)
        return False

    # -- lines -----------------------------------------------------------------------------------------------

    def _say(self) -> None:
        pause = FIRST
        while not self._over.wait(pause):
            pause = EVERY
            with suppress(RuntimeError):
                self._logger.info(self._view().sentence())

    # -- what is shown ---------------------------------------------------------------------------------------

    def _view(self) -> View:
        now = self._now()
        return self._activity.view(self._jobs(), self._meter.money(now), now)

    def _jobs(self) -> Jobs:
        scheduler, dag = self._workflow.scheduler, self._workflow.dag
        if self._rules[0] != len(dag):
            self._rules = (len(dag), dict(_rules(dag)))
        if scheduler is None:
            return Jobs(len(dag), 0, rules=self._rules[1])
        return Jobs(len(dag), scheduler.finished_jobs, len(scheduler.failed), self._rules[1])


def mode(wanted: str, output: Any, handlers: list[logging.Handler], plugins: list[Any]) -> str:
    """live, lines or none; output: Snakemake's settings of what it prints."""
    quiet = {Quietness.PROGRESS, Quietness.ALL} & set(output.quiet or ())
    if wanted == "none" or (quiet and wanted == "auto"):
        return "none"
    ours = next((h for h in handlers if isinstance(h, ColorizingTextHandler)), None)
    owned = any(plugin.writes_to_stream for plugin in plugins)
    dumb = os.environ.get("TERM", "dumb") == "dumb"
    if wanted == "lines" or ours is None or owned or dumb or not ours.is_tty:
        return "lines"
    return "live"


def _handlers(workflow: Any) -> tuple[list[logging.Handler], list[Any]]:
    """All of Snakemake's, and those of logger plugins."""
    manager = getattr(workflow, "logger_manager", None)
    if manager is None:
        return [], []
    return list(manager.logger.handlers), list(manager.plugin_handlers)


def _rules(dag: Any) -> Iterator[tuple[str, RuleJobs]]:
    """Of the jobs that are to run, with the rules that they wait for."""
    count: dict[str, int] = {}
    after: dict[str, set[str]] = {}
    for job in list(dag.needrun_jobs()):
        name = job.rule.name
        count[name] = count.get(name, 0) + (not job.is_local)
        before = after.setdefault(name, set())
        before.update(each.rule.name for each in list(dag.dependencies[job]) if dag.needrun(each))
    for name, number in count.items():
        yield name, RuleJobs(number, frozenset(after[name]) - {name})


def renderable(view: View) -> "RenderableType":
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    jobs, *others = view.parts()
    first = Table.grid(padding=(0, 1))
    first.add_column(no_wrap=True)
    first.add_column(no_wrap=True, overflow="ellipsis")
    style = "bold red" if view.jobs.failed else "bold"
    bar = ProgressBar(total=max(1, view.jobs.total), completed=view.jobs.done, width=20)
    first.add_row(bar, Text(jobs, style=style))
    lines = [Text(text, no_wrap=True, overflow="ellipsis") for text in others]
    if view.waits:
        lines[-1].stylize("yellow")
    return Group(first, *lines)
