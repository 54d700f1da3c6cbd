"""Ctrl-C and closed terminals: both end a run, and neither keeps it from deleting what it has made."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

unfinished: list[Callable[[], None]] = []
"""What has to be done before this process may end."""

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)]


def _in_main_thread() -> bool:
    """Only there can handlers be set, and only there does a signal interrupt anything."""
    return threading.current_thread() is threading.main_thread()


def hangup_as_interrupt() -> None:
    """A terminal that goes away ends the run as Ctrl-C does, and its pool with it; `nohup` stays what it is."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup and _in_main_thread() and signal.getsignal(hangup) is signal.SIG_DFL:
        signal.signal(hangup, signal.default_int_handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Neither ends what is done in here."""
    known = (
        [number for number in SIGNALS if signal.getsignal(number) is not None] if _in_main_thread() else []
    )
    before = {number: signal.signal(number, signal.SIG_IGN) for number in known}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def finish() -> None:
    """For the end of the command: does what is unfinished. Then only threads are left to end, where an interrupt would
    be a traceback: from here on Ctrl-C ends the process at once."""
    with uninterrupted():
        for close in list(unfinished):
            close()
    if _in_main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
