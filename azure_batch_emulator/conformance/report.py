"""What the kit found out, as a table for people and as a file for an issue."""

import json
import textwrap
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .run import Result

PAGE = "docs/emulator/fidelity.md"


def line(result: Result) -> str:
    """One result, as it comes."""
    state = {True: "holds", False: "DIFFERS", None: "unclear"}[result.held]
    text = f"{state:8} {result.probe.name}: {result.probe.fact}"
    if result.held is False:
        text += f"\n         emulator: {shown(result.probe.expected)}\n         service:  {shown(result.observed)}"
        text += f"\n         {PAGE}, line '| {result.probe.row}' ({result.probe.certainty})"
    if result.problem:
        text += f"\n         {result.problem}"
    return text


def shown(value: Any) -> str:
    return textwrap.shorten(value if isinstance(value, str) else json.dumps(value), 300)


def summary(results: Iterable[Result]) -> str:
    results = list(results)
    counts = {state: sum(result.held is state for result in results) for state in (True, False, None)}
    return f"{len(results)} facts: {counts[True]} hold, {counts[False]} differ, {counts[None]} unclear."


def write(path: Path, results: Iterable[Result], url: str) -> None:
    """All of it as JSON: facts, observations, requests and answers."""
    rows = [
        {
            "probe": result.probe.name,
            "fact": result.probe.fact,
            "row": result.probe.row,
            "certainty": result.probe.certainty,
            "emulator": result.probe.expected,
            "service": result.observed,
            "holds": result.held,
            "problem": result.problem,
            "seconds": round(result.seconds, 1),
            "exchanges": result.exchanges,
        }
        for result in results
    ]
    when = datetime.now(UTC).isoformat(timespec="seconds")
    path.write_text(
        json.dumps({"time": when, "service": url, "facts": rows}, indent=1) + "\n", encoding="utf-8"
    )
