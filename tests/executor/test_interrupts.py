"""Ctrl-C, SIGTERM and SIGHUP, once and more often: a sentence, exit code 1, and nothing is left in the cloud."""

import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from azure.core.rest import HttpRequest
from snakemake.scheduling.job_scheduler import JobScheduler
from support.emulator import wait_until
from support.faults import proxy


def in_set(process: subprocess.Popen, name: str) -> bool:
    """Whether SIGINT is in that set of signals of the process, such as those that it ignores."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(rf"^{name}:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return bool(found and int(found[1], 16) >> (signal.SIGINT - 1) & 1)


WAITING = """
import os, time

def wait(wildcards=None):
    open("here", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.01)
    return "in"

{top}
rule one:
    input: {input}
    output: "out"
    shell: "cp {{input}} {{output}}"
"""


@pytest.mark.parametrize(
    ("parts", "number"),
    [
        ({"top": "wait()", "input": '"in"'}, signal.SIGTERM),
        ({"top": "", "input": "wait"}, signal.SIGINT),
        ({"top": "", "input": "wait"}, signal.SIGHUP),
    ],
    ids=["workflow", "DAG", "DAG-hangup"],
)
def test_before_anything_runs(site, parts, number):
    """While the workflow is read, and while its jobs are found."""
    site.put("in")
    site.write({"Snakefile": WAITING.format(**parts)})
    with site.running() as process:
        wait_until(lambda: (site.workdir / "here").exists())
        process.send_signal(number)
        site.let_go()
        assert process.wait(60) == 1
    assert site.output().count("Cancelling snakemake on user request.") == 1
    assert "Traceback" not in site.output(), site.output()
    assert site.left() == []


SECONDS = 10
"""What `docker stop` gives, and twice that where many tests share the machine."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_while_jobs_run(site, number):
    site.write({"Snakefile": 'rule:\n    output: "out"\n    shell: "sleep 600"\n'})
    with site.running() as process:
        wait_until(site.tasks)
        process.send_signal(number)
        assert process.wait(2 * SECONDS) == 1
        site.assert_clean()
    assert site.output().count("on user request") == 1 and "Traceback" not in site.output(), site.output()


@pytest.fixture
def blobs(site):
    """A proxy before Blob Storage."""
    with proxy(site.azurite.port) as faults:
        site.environ["AZ_BLOB_ACCOUNT_URL"] = faults.url(site.environ["AZ_BLOB_ACCOUNT_URL"])
        yield faults


def test_while_a_finished_job_is_processed(site, blobs):
    """The scheduler waits for an answer that does not come, and holds its lock."""
    site.write({"Snakefile": 'rule:\n    output: "out"\n    shell: "echo > {output}"\n'})

    def about_it(passing):
        return passing.path.partition("?")[0].endswith("/out")

    def stored(passing):
        if about_it(passing) and passing.method == "PUT":
            blobs.plan = lambda p: "hang" if about_it(p) else None

    blobs.plan = stored
    with site.running() as process:
        wait_until(lambda: any(fault == "hang" for fault, _ in blobs.done))
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: not site.left(), timeout=2 * SECONDS)
        assert process.wait(2 * SECONDS) == 1
    assert "Traceback" not in site.output(), site.output()


def test_while_it_waits_for_a_service(site):
    """The clean-up waits as well, but the note is there at once."""
    site.write({"Snakefile": 'rule:\n    output: "out"\n    shell: "sleep 600"\n'})
    with proxy(int(site.emulator.url.rpartition(":")[2])) as batch:
        batch.plan = lambda p: "busy" if "/addtaskcollection" in p.path else None
        with site.running(az_batch_account_url=batch.url(site.emulator.url)) as process:
            wait_until(lambda: len(batch.done) > 2)
            batch.plan = lambda _: "refuse"
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: "trying on" in site.output(), timeout=2 * SECONDS)
            assert list((site.workdir / ".snakemake/azure_batch").glob("left-*.json"))
            batch.plan = lambda _: None
            assert process.wait(60) == 1
    assert "Traceback" not in site.output(), site.output()
    site.assert_clean()
    kept = (site.workdir / ".snakemake/azure_batch").glob("*")
    assert [path.name for path in kept if path.suffix != ".jsonl"] == [], "but for the run's journal"


def test_while_a_local_job_runs(site):
    """It is ended, too: a terminal would have told it of Ctrl-C."""
    site.write(
        {
            "Snakefile": """
rule all:
    input: "here", "there"

rule here:
    output: "here"
    localrule: True
    shell: "echo $$ > pid; exec sleep 600"

rule there:
    output: "there"
    shell: "sleep 600"
"""
        }
    )
    with site.running() as process:
        pid = wait_until(lambda: (site.workdir / "pid").exists() and (site.workdir / "pid").read_text())
        wait_until(site.tasks)
        process.send_signal(signal.SIGTERM)
        assert process.wait(2 * SECONDS) == 1
    wait_until(lambda: not Path(f"/proc/{pid.strip()}").exists(), timeout=SECONDS)
    assert "Traceback" not in site.output(), site.output()
    site.assert_clean()


def test_elsewhere_sigterm_waits_for_running_jobs_and_for_no_lock():
    """Upstream's handler runs in the thread that may hold the scheduler's lock."""
    scheduler = SimpleNamespace(_lock=threading.Lock(), _open_jobs=threading.Semaphore(0))
    with scheduler._lock:
        JobScheduler.exit_gracefully(scheduler)
    assert scheduler._user_kill == "graceful" and scheduler._open_jobs.acquire(timeout=10)


def test_again_and_again(site):
    """While the run is cleaned up: that is done all the same."""
    site.write({"Snakefile": 'rule:\n    output: "out"\n    shell: "sleep 600"\n'})
    with site.running() as process:
        wait_until(lambda: site.tasks())
        process.send_signal(signal.SIGINT)
        # Before and after the clean-up an interrupt is one: it is sent while the process stands still in it.
        while process.poll() is None:
            process.send_signal(signal.SIGSTOP)
            if in_set(process, "SigIgn"):
                process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.005)
        assert process.wait(60) == 1
    assert "Traceback" not in site.output(), site.output()
    site.assert_clean()


def test_when_all_is_done_ctrl_c_is_no_traceback(site):
    """Here in a thread of the workflow, which the interpreter waits for."""
    site.write(
        {
            "Snakefile": """
import os, threading, time

def wait():
    while not os.path.exists("go"):
        time.sleep(0.01)

threading.Thread(target=wait).start()

rule here:
    localrule: True
    shell: "true"
"""
        }
    )
    with site.running() as process:
        wait_until(lambda: "Complete log" in site.output())
        wait_until(lambda: not in_set(process, "SigCgt"))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == -signal.SIGINT
    assert "Traceback" not in site.output(), site.output()


"""
"""


def test_what_the_service_does_not_find_yet_is_deleted_all_the_same(site):
    """Ctrl-C in the seconds in which a pool and a job that were made are 404, for longer than anybody waits for an
    answer that never came."""
    client, url = site.emulator.client(), f"{site.emulator.url}/-/faults"

    def not_found(seconds):
        client.send_request(HttpRequest("POST", url, json={"notFoundSeconds": seconds})).raise_for_status()

    site.write({"Snakefile": "rule a:\n    output: 'a'\n    shell: 'sleep 100'\n"})
    not_found(9)
    try:
        with site.running() as process:
            wait_until(lambda: "created the job" in site.output())
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 1
    finally:
        not_found(None)
    assert "deleted the pool" in site.output() and "deleted the Batch job" in site.output(), site.output()
    site.assert_clean()
