"""Ends a task's process when its job has ended, without work that serves nobody.

The interpreter would take a thousand modules apart, one by one, just before the system takes back all memory.
"""

import atexit
import os
import sys
import threading
from typing import NoReturn

NOT_WAITED_FOR: set[threading.Thread] = set()
"""Threads that the Snakefile has started while it was parsed, as it does again in each task: the client has them too,
and whatever they serve there, the job of a task has ended without them."""

FLUSH_FAILED = 120
"""The interpreter's own exit code when its output could not be written to the end."""


NODE_FAULT = 125
"""The node let the task down before its job began. It is what the container engine exits with when it fails itself."""


def leave(code: int) -> NoReturn:
    """Exits as the interpreter does, but for the modules: waits for threads, runs exit functions, writes output."""
    _wait_for_threads()
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except OSError:
        code = code or FLUSH_FAILED
    os._exit(code)


def _wait_for_threads() -> None:
    """As the interpreter does, but for those that nobody waits for."""
    if not any(thread.is_alive() for thread in NOT_WAITED_FOR):
        threading._shutdown()  # type: ignore[attr-defined]
        return
    for function in reversed(threading._threading_atexits):  # type: ignore[attr-defined]
        function()  # pools wait for what they were given
    for thread in threading.enumerate():
        if not thread.daemon and thread not in (threading.main_thread(), *NOT_WAITED_FOR):
            thread.join()
