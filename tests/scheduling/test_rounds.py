"""Rounds of Snakemake's scheduler: what leads to one, and what never waits for one."""

import os
import re
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

import pytest
from snakemake.scheduling.job_scheduler import JobScheduler

from snakemake.scheduling.wake_ups import WakeUps

EXECUTOR = Path(__file__).parents[2] / "misc" / "bench" / "core"
JOBS = 300


@pytest.fixture
def scheduler():
    """What the callbacks use of one."""
    made = JobScheduler.__new__(JobScheduler)
    made._lock = threading.Lock()
    made._open_jobs = WakeUps()
    made._tofinish, made._toerror, made.dryrun = deque(), deque(), False
    return made


def test_reports_never_wait_for_a_round(scheduler):
    with scheduler._lock:
        scheduler._proceed("job")
        scheduler.error_callback("failed")
        scheduler.executor_error_callback(OSError())
    assert (list(scheduler._tofinish), list(scheduler._toerror)) == (["job"], ["failed"])


def test_any_number_of_wake_ups_are_one():
    wake_ups = WakeUps()
    for _ in range(100):
        wake_ups.release()
    wake_ups.acquire()
    waiting = threading.Thread(target=wake_ups.acquire)
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    wake_ups.release()
    waiting.join(10)
    assert not waiting.is_alive()


SIGNALLED = """
import signal
from snakemake.scheduling.wake_ups import WakeUps

wake_ups = WakeUps()
signal.signal(signal.SIGALRM, lambda *_: wake_ups.release())
for _ in range(100):
    signal.setitimer(signal.ITIMER_REAL, 1e-5)
    wake_ups.acquire()
"""


def test_a_signal_may_wake_whoever_is_just_about_to_wait():
    """Its handler runs in the middle of what the thread does: with a lock in there, both would wait for ever. And for a
    signal that comes just before the system begins to wait, no handler runs until that wait is over.
    """
    subprocess.run([sys.executable, "-c", SIGNALLED], check=True, timeout=120)


@pytest.fixture
def run(tmp_path):
    """Snakemake with an executor whose jobs are over at once, on local files that are there before."""
    (tmp_path / "Snakefile").write_text(
        f"rule all:\n    input: expand('out/{{n}}', n=range({JOBS}))\n"
        "rule one:\n    output: 'out/{n}'\n    shell: 'touch {output}'\n"
    )
    (tmp_path / "out").mkdir()
    for n in range(JOBS):
        (tmp_path / "out" / str(n)).touch()

    def start(*options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "snakemake", "--executor", "bench-nothing", "--forceall", *options]
        return subprocess.Popen(
            command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(EXECUTOR)},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return start


@pytest.mark.parametrize("scheduler", ["greedy", "ilp"])
def test_there_are_few_rounds_for_many_jobs(run, scheduler):
    process = run(
        "--jobs", "100", "--scheduler", scheduler, "--verbose", "--max-jobs-per-timespan", "1000/1s"
    )
    _, text = process.communicate(timeout=120)
    assert process.returncode == 0
    assert len(re.findall(r"Finished jobid: ", text)) == JOBS + 1
    assert len(re.findall(r"Ready jobs: ", text)) <= 20


def test_the_rate_limit_holds_and_leads_to_few_rounds(run):
    process = run("--jobs", "1000", "--verbose", "--max-jobs-per-timespan", "100/1s")
    _, text = process.communicate(timeout=120)
    assert process.returncode == 0
    assert max(map(int, re.findall(r"Execute (\d+) jobs", text))) <= 100
    assert len(re.findall(r"Ready jobs: ", text)) <= 60
