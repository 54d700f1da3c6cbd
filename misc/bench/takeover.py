"""From the death of a client by SIGKILL to the moment at which the next run has taken over all of its running tasks.

On the emulator, whose tasks here run on its clock alone.
"""

import json
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from misc.bench import report
from misc.bench.setting import ROOT, Services, azurite, emulator_command, say, server
from misc.bench.tasks import az_batch_command

AIM = 60.0
SECONDS = 3600.0
"""Of a task, on the emulator's clock."""

SNAKEFILE = """
rule all:
    input: expand("out/{n}.txt", n=range(int(config["count"])))

rule one:
    output: "out/{n}.txt"
    shell: "touch {output}"
"""


def run(tasks: int) -> None:
    say(f"takeover: {tasks:,} running tasks")
    before = report.conditions()
    with tempfile.TemporaryDirectory(prefix="azbatch-bench.", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "profile.json").write_text(json.dumps({"taskSeconds": [SECONDS, SECONDS]}))
        emulator = emulator_command("none", "--profile", str(folder / "profile.json"))
        ready = r"ready at (http://[^\s,]+)"
        with (
            azurite(folder) as account,
            server("The Batch emulator", emulator, folder / "batch.log", ready, ROOT) as batch,
        ):
            services = Services(batch.url, account.url.rpartition("/")[0], folder)
            result = _measure(services, tasks)
    report.publish("takeover", before, result)


def _measure(services: Services, tasks: int) -> dict[str, Any]:
    cwd = services.folder / "run"
    cwd.mkdir()
    (cwd / "Snakefile").write_text(SNAKEFILE)
    more = [
        "--az-batch-nodes",
        str(tasks),
        "--max-jobs-per-timespan",
        "100000/1s",
        "--config",
        f"count={tasks}",
    ]
    command = az_batch_command(services, cwd, tasks, *more)
    first = _start(command, services, cwd, "first.txt")
    with services.batch() as client:

        def running() -> bool:
            states = [str(t.state).lower() for job in client.list_jobs() for t in client.list_tasks(job.id)]
            return sum(state.endswith("running") for state in states) == tasks

        _wait(running, first, cwd / "first.txt")
        first.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        second = _start(command, services, cwd, "second.txt")
        log = cwd / "second.txt"
        # Each job that is submitted, or whose task is taken over, is marked in Snakemake's own records.
        marks = cwd / ".snakemake" / "incomplete"
        begun = time.time()
        took = rf"takes over {tasks} tasks that wait or run"

        def taken() -> bool:
            fresh = sum(path.stat().st_mtime >= begun for path in marks.iterdir())
            return fresh >= tasks and bool(re.search(took, log.read_text()))

        _wait(taken, second, log)
        seconds = time.monotonic() - killed
        made = sum(1 for job in client.list_jobs() for _ in client.list_tasks(job.id))
        second.send_signal(signal.SIGINT)
        second.wait()
    say(f"  {seconds:.1f} s (aim {AIM:.0f} s) = {seconds / AIM:.2f} of it; {made} tasks in the account")
    return {"tasks": tasks, "seconds": seconds, "aim": AIM, "tasks_in_the_account": made}


def _start(command: list[str], services: Services, cwd: Path, log: str) -> subprocess.Popen:
    with (cwd / log).open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=services.environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def _wait(true: Any, process: subprocess.Popen, log: Path, seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not true():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise SystemExit(f"The run did not get there:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.2)
