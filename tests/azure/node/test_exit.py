"""A task's process ends at once when its job has ended, and loses nothing by that."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Longer than any of these processes takes to start on a busy machine.
LONG = 60


def run(code, **options):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=LONG, **options
    )


SCHEDULER = """
import threading
from types import SimpleNamespace
from snakemake.azure.node.startup import skip_unused_imports
skip_unused_imports()
import snakemake.cli
from snakemake.scheduling.job_scheduler import JobScheduler
scheduler = SimpleNamespace(_open_jobs=threading.Semaphore(0), _reevaluation_due=0.0)
JobScheduler._schedule_reevalutation(scheduler, {seconds})
threading.Timer(0.2, lambda: print("of the job", flush=True)).start()
"""


def test_the_schedulers_timer_is_not_waited_for_and_a_jobs_own_is():
    start = time.monotonic()
    done = run(SCHEDULER.format(seconds=2 * LONG))
    assert (done.returncode, done.stdout) == (0, "of the job\n"), done.stderr
    assert time.monotonic() - start < LONG


LEAVE = """
import atexit, sys, tempfile, threading, time
from concurrent.futures import ThreadPoolExecutor
from snakemake.azure.node.exit import leave
class Loud:
    def __del__(self):
        print("taken apart")
loud = Loud()
folder = tempfile.TemporaryDirectory()
atexit.register(print, "exit function")
turn = threading.Event()
def work(name):
    turn.wait()
    print(name)
threading.Thread(target=work, args=["thread"]).start()
threading.Timer(0.2, turn.set).start()
print(folder.name, end=" ")
sys.stderr.write("no newline")
leave({code})
"""


@pytest.mark.parametrize("code", [0, 3])
def test_threads_exit_functions_and_output_are_finished(code, tmp_path):
    done = run(LEAVE.format(code=code), env={"TMPDIR": str(tmp_path)})
    assert done.returncode == code, done.stderr
    assert done.stdout.split(" ", 1)[1] == "thread\nexit function\n"
    assert done.stderr == "no newline"
    assert not list(tmp_path.iterdir())


def test_output_that_cannot_be_written_is_a_failure():
    code = "import sys; from snakemake.azure.node.exit import leave; sys.stdout.write('x'); leave(0)"
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, timeout=LONG, env=buffered)
    assert done.returncode == 120


def test_the_module_exits_with_its_own_code():
    done = subprocess.run(
        [sys.executable, "-m", "snakemake.azure.node"], capture_output=True, text=True, timeout=LONG
    )
    assert done.returncode == 1
    assert done.stderr.startswith("snakemake.azure.node: expects one argument")


STARTED_BY_THE_SNAKEFILE = """
import threading, time
from concurrent.futures import ThreadPoolExecutor
from snakemake.azure.node import exit
threading.Thread(target=time.sleep, args=[{seconds}]).start()
exit.NOT_WAITED_FOR.update(set(threading.enumerate()) - {{threading.main_thread()}})
ThreadPoolExecutor(1).submit(lambda: (time.sleep(0.2), print("of a pool", flush=True)))
threading.Timer(0.4, lambda: print("of the job", flush=True)).start()
exit.leave(0)
"""


def test_a_thread_that_the_snakefile_started_is_not_waited_for():
    start = time.monotonic()
    done = run(STARTED_BY_THE_SNAKEFILE.format(seconds=2 * LONG))
    assert (done.returncode, done.stdout) == (0, "of a pool\nof the job\n"), done.stderr
    assert time.monotonic() - start < LONG
