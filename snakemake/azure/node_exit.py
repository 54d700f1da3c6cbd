"""Ends a task's process when its job has ended, without waits that serve nobody.

Two things would hold it up. Snakemake's scheduler sets a timer to look again after the time of
`--max-jobs-per-timespan`, 1 s by default, and the interpreter waits for it although there is nothing more to look at.
And then the interpreter takes a thousand modules apart, one by one, just before the system takes back all memory.
"""

import atexit
import os
import sys
import threading
from typing import NoReturn

FLUSH_FAILED = 120
"""The interpreter's own exit code when its output could not be written to the end."""


def cancel_rescheduling() -> None:
    """Cancels the timers of Snakemake's scheduler, and no others."""
    for thread in threading.enumerate():
        if (
            isinstance(thread, threading.Timer)
            and thread.function.__module__ == "snakemake.scheduling.job_scheduler"
        ):
            thread.cancel()


def leave(code: int) -> NoReturn:
    """Exits as the interpreter does, but for the modules: waits for threads, runs exit functions, writes output."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except OSError:
        code = code or FLUSH_FAILED
    os._exit(code)
