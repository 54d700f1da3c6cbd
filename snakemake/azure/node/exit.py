"""Ends a task's process when its job has ended, without work that serves nobody.

The interpreter would take a thousand modules apart, one by one, just before the system takes back all memory.
"""

import atexit
import os
import sys
import threading
from typing import NoReturn

FLUSH_FAILED = 120
"""The interpreter's own exit code when its output could not be written to the end."""


NODE_FAULT = 125
"""The node let the task down before its job began. It is what the container engine exits with when it fails itself."""


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
