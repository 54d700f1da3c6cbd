"""What tests that interrupt processes need of the process that starts them."""

import signal

import pytest


@pytest.fixture(scope="session", autouse=True)
def interrupts() -> None:
    """Processes started by tests take note of Ctrl-C and of a terminal that goes, also where a shell began these tests in
    the background or under nohup: it has them ignore it, and they would hand that on."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
