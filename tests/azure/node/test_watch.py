"""A task's first process: it ends as its child does, and stores the logs of one that failed, however that ended."""

import os
import signal
import subprocess
import sys

import pytest
from support.emulator import wait_until

from snakemake.azure.blob.fence import TOKEN
from snakemake.azure.node.watch import store_logs

WATCHED = """
import os, signal, sys, time
from pathlib import Path
from snakemake.azure.node.watch import watch
here = Path({here!r})
watch(here, lambda code: (here / "stored").write_text((here / "stderr.txt").read_text()), limit={limit})
(here / "child").write_text(str(os.getpid()))
{job}
"""
HELD = "while True: time.sleep(0.1)"


@pytest.fixture
def start(tmp_path):
    started = []

    def do(job, limit=None):
        code = WATCHED.format(here=str(tmp_path), limit=limit, job=job)
        with (tmp_path / "stderr.txt").open("w") as err:
            process = subprocess.Popen([sys.executable, "-c", code], stderr=err, start_new_session=True)
        started.append(process)
        return process

    yield do
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize(
    "job, code, says",
    [
        ("sys.exit(0)", 0, None),
        ("print('reason', file=sys.stderr); sys.exit(3)", 3, "ended with exit code 3"),
        (
            "print('reason', file=sys.stderr, flush=True); os.kill(os.getpid(), 9)",
            137,
            "was killed by SIGKILL",
        ),
        ("print('reason', file=sys.stderr, flush=True); os._exit(1)", 1, "ended with exit code 1"),
    ],
)
def test_exit_code_and_logs(start, tmp_path, job, code, says):
    assert start(job).wait(60) == code
    stored = tmp_path / "stored"
    assert stored.exists() == (code != 0)
    if says:
        assert stored.read_text() == f"reason\nsnakemake.azure.node: the job's process {says}.\n"


def child_of(tmp_path):
    file = tmp_path / "child"
    return wait_until(lambda: file.exists() and file.read_text())


def test_a_task_that_is_given_up_stores_nothing(start, tmp_path):
    process = start(HELD)
    child_of(tmp_path)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert not (tmp_path / "stored").exists()


def test_a_task_whose_time_is_up_stores_what_there_is(start, tmp_path):
    job = "print('so far', file=sys.stderr, flush=True); signal.signal(15, lambda *_: None)\n" + HELD
    process = start(job, limit=0.001)
    child_of(tmp_path)
    wait_until(lambda: "so far" in (tmp_path / "stderr.txt").read_text())
    os.killpg(process.pid, signal.SIGTERM)
    # While the child, which does not care, has not ended yet.
    wait_until(lambda: (tmp_path / "stored").exists() and (tmp_path / "stored").read_text() == "so far\n")
    assert process.poll() is None
    os.kill(int(child_of(tmp_path)), signal.SIGKILL)
    assert process.wait(60) == 137


@pytest.mark.parametrize("over", [False, True], ids=["goes-on", "over"])
def test_logs_are_stored_only_while_the_run_goes_on(tmp_path, azurite, over):
    """The end of a run deletes its token first, and then the logs that are there."""
    container = azurite.new_container()
    if not over:
        container.upload_blob("run/token", b"{}")
    (tmp_path / "stderr.txt").write_text("it failed\n")
    environ = {"AZ_BLOB_ACCOUNT_URL": azurite.url, "AZ_BLOB_ACCOUNT_KEY": azurite.key}
    environ |= {"AZ_BATCH_TASK_DIR": str(tmp_path), "AZ_BATCH_TASK_ID": "a-1", "AZ_BATCH_NODE_ID": "node"}
    environ[TOKEN] = f"{container.container_name}/run/token"
    store_logs(f"{container.container_name}/run/sources.tar.gz", environ, b"{}\n")
    logs = [name for name in container.list_blob_names() if name != "run/token"]
    assert ("run/logs/a-1/stderr.txt" in logs) is not over and bool(logs) is not over
