"""What a job costs in a run of thousands: ours on the emulator, without tasks, beside the same DAG on local files with
an executor whose jobs are done at once, which is Snakemake's own share.

The outputs are there before, in one directory, and `--forceall` has them made again.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from misc.bench import report
from misc.bench.setting import BIN, CONTAINER, HERE, ROOT, Services, azurite, emulator_command, say, server
from misc.bench.tasks import az_batch_command

AT_ONCE = 1_000
"""Jobs that run at once."""
NODES = 500
"""With two slots each."""
TIME_SCALE = 10
"""A task takes a second of the emulator's clock."""
AIM = 1.5
ADDING = {"create_task", "create_task_collection"}
# Snakemake submits 100 jobs a second by default, which would be the measure of all.
UNLIMITED = ["--max-jobs-per-timespan", "100000/1s"]

SNAKEFILE = """
COUNT = int(config["count"])

rule all:
    input: expand("out/{n}.txt", n=range(COUNT))

rule one:
    output: "out/{n}.txt"
    shell: "touch {output}"
"""
MANY_INPUTS = """
rule all:
    input: "all.txt"

rule gather:
    input: expand("out/{n}.txt", n=range(int(config["count"])))
    output: "all.txt"
    shell: "touch {output}"
"""
ONE_INPUT_EACH = """
rule all:
    input: expand("made/{n}.txt", n=range(int(config["count"])))

rule one:
    input: "out/{n}.txt"
    output: "made/{n}.txt"
    shell: "touch {output}"
"""


@dataclass(frozen=True)
class Run:
    """Of one command: seconds, of the clock and of CPU, and MB of memory at most; requests of the services; seconds
    until the first task was added."""

    jobs: int
    wall: float
    cpu: float
    memory: float
    blob: int = 0
    batch: int = 0
    tasks_polled: int = 0
    submitted: float = 0.0

    @property
    def cpu_ms(self) -> float:
        return self.cpu / self.jobs * 1000


def run(sizes: list[int], latency: float) -> None:
    say(
        f"scale: jobs with their outputs in one directory, {AT_ONCE:,} at once; {latency * 1000:.0f} ms of latency"
    )
    before = report.conditions()
    result: dict[str, Any] = {"at_once": AT_ONCE, "latency_s": latency, "sizes": {}}
    base = local_run("base", SNAKEFILE, 1)
    for jobs in sizes:
        core = local_run(f"core-{jobs}", SNAKEFILE, jobs)
        ours = {seconds: batch_run(SNAKEFILE, jobs, seconds) for seconds in (0.0, latency)}
        result["sizes"][jobs] = show(jobs, base, core, ours)
    most = max(sizes)
    core = local_run("inputs", MANY_INPUTS, most)
    inputs = batch_run(MANY_INPUTS, most, 0.0, jobs=1)
    result["inputs"] = {"core": asdict(core), "ours": asdict(inputs)}
    say(
        f"  {most:,} inputs of one job: ours/core = {inputs.submitted / core.wall:.2f} until it is submitted "
        f"({inputs.submitted:.1f} s and {core.wall:.1f} s), CPU {inputs.cpu / core.cpu:.2f}, {inputs.wall:.1f} s to "
        f"the end, {inputs.blob} requests to Blob Storage"
    )
    some = min(most, 5_000)
    core = local_run("dry", ONE_INPUT_EACH, some, "-n", "-q")
    dry = batch_run(ONE_INPUT_EACH, some, 0.0, "-n", "-q")
    result["dry"] = {"core": asdict(core), "ours": asdict(dry)}
    say(
        f"  `-n` of {some:,} jobs with an input each: ours/core = {dry.wall / core.wall:.2f} ({dry.wall:.1f} s and "
        f"{core.wall:.1f} s), CPU {dry.cpu / core.cpu:.2f}, {dry.blob} requests to Blob Storage"
    )
    report.publish("scale", before, result)


def show(jobs: int, base: Run, core: Run, ours: Mapping[float, Run]) -> dict[str, Any]:
    say(f"  {jobs:,} jobs: core {core.cpu_ms:.2f} ms of CPU a job, {core.wall:.1f} s, {core.memory:.0f} MB")
    for latency, each in ours.items():
        ratio = each.cpu / core.cpu
        polls = each.batch / each.tasks_polled if each.tasks_polled else 0
        say(
            f"    ours, {latency * 1000:.0f} ms of latency: {each.cpu_ms:.2f} ms of CPU a job, {ratio:.2f} of core's "
            f"(aim {AIM}); {each.wall:.1f} s, {jobs / each.wall:.0f} jobs/s; {each.memory:.0f} MB; "
            f"{each.blob / jobs:.2f} blob requests a job; {each.batch} to Batch, {polls:.4f} of one per open task "
            "and poll"
        )
    return {"core": asdict(core), "ours": {str(latency): asdict(each) for latency, each in ours.items()}}


def measured(command: list[str], cwd: Path, environ: Mapping[str, str]) -> tuple[float, float, float]:
    """Seconds, seconds of CPU and MB of a command that has to succeed."""
    log = cwd / "log.txt"
    with log.open("wb") as output:
        start = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.send_signal(2)
            process.wait()
            raise
        seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{log.read_text(errors='replace')[-2000:]}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def local_run(name: str, snakefile: str, count: int, *options: str) -> Run:
    """On local files, with the executor that does nothing."""
    with tempfile.TemporaryDirectory(prefix="azbatch-bench.") as folder:
        cwd = Path(folder)
        (cwd / "Snakefile").write_text(snakefile)
        for file in files(snakefile, count):
            (cwd / file).parent.mkdir(exist_ok=True)
            (cwd / file).touch()
        command = [str(BIN / "snakemake"), "--executor", "bench-nothing", "--jobs", str(AT_ONCE), *UNLIMITED]
        command += ["--forceall", "--config", f"count={count}", *options]
        wall, cpu, memory = measured(command, cwd, {**os.environ, "PYTHONPATH": str(HERE / "core")})
    return Run(count, wall, cpu, memory)


def files(snakefile: str, count: int) -> list[str]:
    return [*(["all.txt"] if "all.txt" in snakefile else []), *(f"out/{n}.txt" for n in range(count))]


@contextmanager
def setting(latency: float) -> Iterator[tuple[Services, dict[str, str]]]:
    """Azurite and an emulator that runs nothing; the environment leads to both through the latency."""
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="azbatch-bench.", ignore_cleanup_errors=True)
            )
        )
        account = stack.enter_context(azurite(folder))
        emulator = emulator_command(
            "none", "--time-scale", str(TIME_SCALE), "--request-log", str(folder / "requests.jsonl")
        )
        batch = stack.enter_context(
            server("The Batch emulator", emulator, folder / "batch.log", r"ready at (http://[^\s,]+)", ROOT)
        )
        direct = Services(batch.url, account.url.rpartition("/")[0], folder)
        urls = [batch.url, account.url]
        if latency:
            for number, url in enumerate(urls):
                port = url.partition("://")[2].partition("/")[0].rpartition(":")[2]
                command = [str(BIN / "python"), str(HERE / "inside" / "latency.py"), port, str(latency)]
                way = stack.enter_context(
                    server(
                        "The proxy", command, folder / f"proxy-{number}.log", r"ready at (http://\S+)", ROOT
                    )
                )
                urls[number] = url.replace(f"http://127.0.0.1:{port}", way.url)
        yield (
            Services(urls[0], direct.blob_endpoint, folder),
            direct.environ | {"AZ_BATCH_ACCOUNT_URL": urls[0], "AZ_BLOB_ACCOUNT_URL": urls[1]},
        )


def batch_run(snakefile: str, count: int, latency: float, *options: str, jobs: int | None = None) -> Run:
    """Ours: blobs there before, an emulator without tasks, both behind the latency."""
    with setting(latency) as (around, environ):
        from snakemake.azure.blob.service import connect

        cwd = around.folder / "run"
        cwd.mkdir()
        (cwd / "Snakefile").write_text(snakefile)
        with connect(around.blob) as service, ThreadPoolExecutor(16) as pool:
            container = service.get_container_client(CONTAINER)
            names = [f"run/{file}" for file in files(snakefile, count)]
            list(pool.map(lambda name: container.upload_blob(name, b"x"), names))
        polls = cwd / "polls.jsonl"
        arguments = az_batch_command(around, cwd, AT_ONCE, "--az-batch-nodes", str(NODES), *UNLIMITED)
        arguments += ["--forceall", "--config", f"count={count}", *options]
        command = [
            str(BIN / "python"),
            str(HERE / "inside" / "counting_client.py"),
            str(polls),
            *arguments[1:],
        ]
        mark, begun = around.mark(), time.time()
        wall, cpu, memory = measured(command, cwd, environ)
        asked = [json.loads(line)[1] for line in polls.read_text().splitlines()] if polls.exists() else []
        blob = len(around.blob_requests(mark))
        log = around.folder / "requests.jsonl"
        requests = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    added = (datetime.fromisoformat(r["time"]).timestamp() for r in requests if r["operation"] in ADDING)
    submitted = next(added, begun) - begun
    return Run(jobs or count, wall, cpu, memory, blob, len(requests), sum(asked), submitted)
