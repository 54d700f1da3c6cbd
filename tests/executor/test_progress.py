"""How far a run is, in a real terminal (a pseudo-terminal, read by a terminal emulator), in a file, and beside logger
plugins."""

import fcntl
import os
import re
import signal
import struct
import subprocess
import termios
import threading
from contextlib import contextmanager, suppress

import pyte
import pytest
from support.emulator import wait_until

COLUMNS, ROWS = 100, 30

WORKFLOW = """
rule all:
    input: expand("done/{{n}}", n=range(6)), "held"

rule each:
    output: "done/{{n}}"
    shell: "touch {{output}}"

rule held:
    output: "held"
    shell: "{held}; touch {{output}}"
"""


class Terminal:
    """What a process has written to its terminal, and what can be seen of it."""

    def __init__(self):
        self.screen = pyte.HistoryScreen(COLUMNS, ROWS, history=10_000, ratio=0.0001)
        self.stream = pyte.ByteStream(self.screen)
        self.written = b""
        self.master, self.slave = os.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        with suppress(OSError):
            while data := os.read(self.master, 65536):
                with self.lock:
                    self.written += data
                    self.stream.feed(data)

    @property
    def lines(self):
        """All that was scrolled away, and the screen."""
        with self.lock:
            above = ["".join(line[x].data for x in range(COLUMNS)) for line in self.screen.history.top]
            return [line.rstrip() for line in [*above, *self.screen.display]]

    def shows(self, text):
        return any(text in line for line in self.lines)


@contextmanager
def in_terminal(site, *args, **changes):
    """A run whose log goes to a terminal."""
    terminal = Terminal()
    process = subprocess.Popen(
        site.command(*args, **changes),
        cwd=site.workdir,
        env=site.environ | {"TERM": "xterm-256color"},
        stdin=terminal.slave,
        stdout=terminal.slave,
        stderr=terminal.slave,
        start_new_session=True,
    )
    try:
        yield process, terminal
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(30)
        os.close(terminal.slave)
        terminal.thread.join(5)
        os.close(terminal.master)


def logged(site):
    """What the log file has, which never sees the live lines."""
    (log,) = (site.workdir / ".snakemake/log").glob("*.log")
    return log.read_text().splitlines()


def test_it_is_live_in_a_terminal_and_breaks_no_line(site):
    site.write({"Snakefile": WORKFLOW.format(held=site.held())})
    with in_terminal(site) as (process, terminal):
        wait_until(lambda: terminal.shows("6 of 8 jobs done, 1 running, 1 waiting"), timeout=60)
        wait_until(lambda: terminal.shows("1 node, 1 of 4 slots in use") and terminal.shows("USD so far"))
        site.let_go()
        assert process.wait(60) == 0, "\n".join(terminal.lines)
        wait_until(lambda: terminal.shows("Complete log"))
        shown = terminal.lines
        assert termios.tcgetattr(terminal.slave) == terminal.before
    assert not any("slots in use" in line for line in shown), "it is gone at the end"
    wrapped = [
        line[i : i + COLUMNS].rstrip() for line in logged(site) for i in range(0, max(1, len(line)), COLUMNS)
    ]
    text, wanted = [line for line in shown if line], [line for line in wrapped if line]
    missing = [line for line in wanted if line not in text]
    assert len(wanted) > 50 and missing == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_terminal_as_it_was(site, number):
    site.write({"Snakefile": WORKFLOW.format(held=site.held())})
    with in_terminal(site) as (process, terminal):
        wait_until(lambda: terminal.shows("1 running, 1 waiting"), timeout=60)
        process.send_signal(number)
        process.wait(60)
        wait_until(lambda: terminal.shows("Azure Batch: deleted the pool"))
        assert not terminal.shows("slots in use") and terminal.screen.cursor.x == 0
        assert termios.tcgetattr(terminal.slave) == terminal.before
        assert b"?25l" not in terminal.written and b"?1049" not in terminal.written
    site.assert_clean()


def test_without_a_terminal_it_is_a_line_in_the_log(site):
    site.write({"Snakefile": WORKFLOW.format(held=site.held())})
    with site.running() as process:
        wait_until(
            lambda: re.search(r"Azure Batch: 6 of 8 jobs done, 1 running.* slots in use", site.output()), 60
        )
        site.let_go()
        assert process.wait(60) == 0
    assert "\x1b" not in site.output()
    assert sum("slots in use" in line for line in logged(site)) == site.output().count("slots in use") == 1


@pytest.mark.parametrize(
    "options", [("--az-batch-progress", "none"), ("--quiet", "progress"), ("--quiet", "all")], ids=" ".join
)
def test_it_is_left_out(site, options):
    site.write({"Snakefile": WORKFLOW.format(held="true")})
    with in_terminal(site, *options) as (process, terminal):
        assert process.wait(60) == 0
    assert b"slots in use" not in terminal.written


@pytest.mark.parametrize("plugin, has_terminal", [("rich", True), ("snkmt", False)])
def test_logger_plugins_go_on_beside_it(site, plugin, has_terminal):
    """One that has the terminal keeps it, and is given lines; one that has not does not see it."""
    site.environ["HOME"] = str(site.workdir)  # where snkmt keeps its database
    site.write({"Snakefile": WORKFLOW.format(held=site.held())})
    with in_terminal(site, "--logger", plugin) as (process, terminal):
        wait_until(lambda: b"slots in use" in terminal.written, timeout=60)
        site.let_go()
        assert process.wait(60) == 0, terminal.written[-3000:]
    if has_terminal:
        assert terminal.shows("slots in use"), "a line of the log, which stays"
    else:
        assert not terminal.shows("slots in use") and list(site.workdir.rglob("snkmt*"))
