"""Threads for work that blocks: one per piece of work, and none of them keeps the process alive.

(The standard pool joins its threads when the interpreter ends, so one download that hangs would hold up a shutdown.)
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class Workers:
    """`submit` runs a function in a thread of its own; `close` gives those that run a last while to end."""

    def __init__(self) -> None:
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()

    def submit(self, work: Callable[..., Any], *args: Any) -> Future:
        """The future's callbacks run in the thread too."""
        future: Future = Future()

        def run() -> None:
            try:
                result = work(*args)
            except BaseException as error:  # noqa: BLE001 - handed on through the future, as executors do
                future.set_exception(error)
            else:
                future.set_result(result)
            finally:
                with self._lock:
                    self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name=f"batch-{work.__name__}", daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()
        return future

    def close(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
