"""Runs a task as `python -m snakemake.azure.node` does, and notes when each part of it ended.

`python phases.py FILE START ORDER`; START is the parent's monotonic clock, in seconds, just before this process.
"""

import functools
import inspect
import json
import sys
import time
from pathlib import Path

marks: list[tuple[str, float]] = []


def mark(name: str) -> None:
    marks.append((name, time.monotonic()))


def note(owner, attribute: str, before: str = "", after: str = "") -> None:
    """Has a function say when it is called and when it returns."""
    function = getattr(owner, attribute)

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        if before:
            mark(before)
        result = function(*args, **kwargs)
        if after:
            mark(after)
        return result

    @functools.wraps(function)
    async def awaiting(*args, **kwargs):
        if before:
            mark(before)
        result = await function(*args, **kwargs)
        if after:
            mark(after)
        return result

    setattr(owner, attribute, awaiting if inspect.iscoroutinefunction(function) else wrapper)


def main(file: str, start: str, order: str) -> None:
    from snakemake.azure.node import __main__ as node
    from snakemake.azure.node import startup
    from snakemake.azure.node.exit import leave

    mark("interpreter, first imports")
    note(startup, "skip_unused_imports", before="sources laid out")
    start_up = startup.one_attempt

    def loaded():
        import snakemake.cli
        from snakemake.dag import DAG
        from snakemake.scheduling.job_scheduler import JobScheduler

        start_up()
        mark("import of Snakemake")
        note(snakemake.cli, "parse_args", after="plugins and options")
        note(
            JobScheduler,
            "schedule",
            before="Snakefile, DAG, state of the files",
            after="job run and output stored",
        )
        note(DAG, "retrieve_storage_inputs", after="input fetched")

    startup.one_attempt = loaded
    try:
        node.main([order])
    except SystemExit as e:
        mark("end of the workflow")
        times = [float(start), *(t for _, t in marks)]
        parts = {name: after - before for (name, after), before in zip(marks, times, strict=False)}
        Path(file).write_text(json.dumps({"parts": parts, "end": times[-1]}))
        leave(e.code if isinstance(e.code, int) else 1)


main(*sys.argv[1:])
