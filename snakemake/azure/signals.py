"""Ctrl-C, SIGTERM and SIGHUP all mean the same: stop, and give everything back, whatever the run is doing.

A handler runs in the main thread, between any two of its steps: it must take no lock, since the main thread may hold
it. So it does what Ctrl-C does and no more: the main thread gets a KeyboardInterrupt. But that may take its time to
come to the clean-up, since it waits for an answer or for a solver. Therefore a thread of its own hears of the signal as
well, by the bytes that Python's own handler writes to a socket (`signal.set_wakeup_fd`). It sets `stopping`, upon
which no request waits any longer (`snakemake.azure.retry`), and does what is in `unfinished`. When the main thread gets
there, it finds that done, or waits until it is. Where that stands still in a step of an event loop, in a request whose
answer doesn't come, it is interrupted once more: asyncio only asks the loop to end. And a signal that comes just before
the main thread begins to wait for something ends no wait, so that its handler would run some day, or never: a second
signal without a meaning, `NUDGE`, ends that wait.
"""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

unfinished: list[Callable[[], None]] = []
"""What has to be done before this process may end. Each may be called twice, from two threads at once."""

stopping = threading.Event()
"""Whether a signal has said that this process is to end."""

STANDSTILL = 1.0
"""Seconds without a step that count as standing still."""

FREED_WITHIN = 10.0

NUDGE = getattr(signal, "SIGURG", None)
"""Nobody minds it: what it interrupts goes on, once the handlers of earlier signals have run."""

MAIN = threading.main_thread().ident or 0

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _in_main_thread() -> bool:
    """Only there can handlers be set, and only there does a signal interrupt anything."""
    return threading.current_thread() is threading.main_thread()


def as_interrupt(number: int, frame: FrameType | None) -> None:
    """The handler of SIGTERM and SIGHUP: does what Ctrl-C would do now, which asyncio has its own way for."""
    handler: Any = signal.getsignal(signal.SIGINT)
    if not callable(handler):
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)


def listen() -> None:
    """From now on these signals end the run. One that is ignored, as by `nohup`, stays so."""
    if not _in_main_thread() or signal.getsignal(signal.SIGTERM) is as_interrupt:
        return
    for number in SIGNALS:
        if number != signal.SIGINT and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, as_interrupt)
    if NUDGE is not None and signal.getsignal(NUDGE) is signal.SIG_DFL:
        signal.signal(NUDGE, lambda number, frame: None)
    heard, said = socket.socketpair()
    said.setblocking(False)
    signal.set_wakeup_fd(said.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(heard, said), name="signals", daemon=True).start()
    if hasattr(os, "register_at_fork"):
        # What is sent to a copy of this process is not said to this one.
        os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))


def _watch(heard: socket.socket, said: socket.socket) -> None:
    """`said`, the other end, is only kept open."""
    while numbers := heard.recv(64):
        if not any(number in SIGNALS for number in numbers):
            continue
        # Requests end now, with errors that event loops would tell with tracebacks: nobody waits for them any more.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        stopping.set()
        if any(number != signal.SIGINT for number in numbers if number in SIGNALS):
            _end_children()
        for close in list(unfinished):
            close()
        _free_main_thread()


def _free_main_thread() -> None:
    for _ in range(int(FREED_WITHIN / STANDSTILL)):
        before = _step_of_a_loop()
        time.sleep(STANDSTILL)
        _nudge()
        if before is not None and before == _step_of_a_loop():
            # A real signal, which ends what the system waits for.
            is_heard = callable(signal.getsignal(signal.SIGINT))
            signal.pthread_kill(MAIN, signal.SIGINT if is_heard else signal.SIGTERM)


def _nudge() -> None:
    if NUDGE is not None and callable(signal.getsignal(NUDGE)):
        signal.pthread_kill(MAIN, NUDGE)


def _step_of_a_loop() -> tuple[int, int] | None:
    """Where in a step of an event loop the main thread is; None if it is in none."""
    top = frame = sys._current_frames().get(MAIN)
    while frame is not None:
        if frame.f_code.co_qualname == "Handle._run":
            return id(top), top.f_lasti if top else 0
        frame = frame.f_back
    return None


def _end_children() -> None:
    """A terminal sends Ctrl-C to local jobs, too; other signals come to this process alone."""
    import psutil

    with suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                child.terminate()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """No signal ends what is done in here."""
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
    be a traceback: from here on a signal ends the process at once."""
    with uninterrupted():
        for close in list(unfinished):
            close()
    if not _in_main_thread():
        return
    for number in SIGNALS:
        if signal.getsignal(number) in (signal.default_int_handler, as_interrupt):
            signal.signal(number, signal.SIG_DFL)


def leave(code: int) -> NoReturn:
    """Ends the process. One that was told to end does not wait for threads, which may wait for an answer."""
    if stopping.is_set():
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)
