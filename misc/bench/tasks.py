"""The command of one task, ours and stock Snakemake's, taken from a run of the real command line that is kept waiting,
and a way to run it as a node would."""

import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from misc.bench.setting import BIN, CONTAINER, HERE, Services, finish, running, stock_python, workdir

T = TypeVar("T")
DEADLINE = 120


@dataclass(frozen=True)
class Measured:
    """One run of a task: seconds from start to end, and seconds of CPU of all its processes."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Order:
    """What a node does for one task: a command without a shell, and the variables that it gets."""

    argv: list[str]
    environ: Mapping[str, str]
    bin: Path
    """Directory whose `python` the command means."""
    shared: Path | None = None
    """What the node keeps from task to task."""
    batch_seconds: list[float] = field(default_factory=list)
    """How long the run's own tasks took, from start to end as Batch reports them."""

    def run(self, scratch: Path, argv: Sequence[str | Path] | None = None) -> Measured:
        """Runs it, or `argv` in its place, in an empty directory, the way the emulator's process runner does."""
        home = Path(tempfile.mkdtemp(prefix="task.", dir=scratch))
        wd, tmp = home / "wd", home / "tmp"
        wd.mkdir()
        tmp.mkdir()
        environ = {
            "PATH": os.pathsep.join([str(self.bin), os.environ.get("PATH", os.defpath)]),
            "HOME": str(wd),
            "LANG": os.environ.get("LANG", "C.UTF-8"),
            "TMPDIR": str(tmp),
            **self.environ,
        }
        if self.shared:
            environ |= {"AZ_BATCH_TASK_WORKING_DIR": str(wd), "AZ_BATCH_NODE_SHARED_DIR": str(self.shared)}
        log = home / "log.txt"
        with log.open("wb") as output:
            start = time.monotonic()
            process = subprocess.Popen(
                argv or self.argv,
                cwd=wd,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                _, status, usage = os.wait4(process.pid, 0)
            except BaseException:
                process.kill()
                process.wait()
                raise
            seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            command = " ".join(str(word) for word in argv or self.argv)
            raise SystemExit(f"The task failed: {command}\n{log.read_text(errors='replace')}")
        shutil.rmtree(home)
        return Measured(seconds, usage.ru_utime + usage.ru_stime)


def forget_output(services: Services, order_name: str) -> None:
    """Removes the task's output from blob storage, so that the next run finds things as the first one did."""
    from azure.core.exceptions import ResourceNotFoundError

    from snakemake.azure.blob.service import connect

    with connect(services.blob) as service, suppress(ResourceNotFoundError):
        service.get_blob_client(CONTAINER, f"{order_name}/out/0.txt").delete_blob()


def wait_for(get: Callable[[], T | None], process: subprocess.Popen, cwd: Path) -> T:
    """The first answer of `get`, while the process runs."""
    deadline = time.monotonic() + DEADLINE
    while (found := get()) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            finish(process, cwd, 0)
            raise SystemExit(f"{process.args!r} ended early.")
        time.sleep(0.2)
    return found


@contextmanager
def pipe(path: Path) -> Iterator[Path]:
    """A named pipe; who reads it waits until the end of this context."""
    os.mkfifo(path)
    try:
        yield path
    finally:
        with suppress(OSError):  # ENXIO: nobody waits
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))


def az_batch_command(services: Services, cwd: Path, jobs: int, *more: str) -> list[str]:
    """`snakemake --az-batch` for the benchmark's workflow, as a user would give it."""
    url = services.batch_url.replace("http://127.0.0.1", "emulator")
    command = [str(BIN / "snakemake"), "--az-batch", "--az-batch-account-url", url, "--jobs", str(jobs)]
    command += ["--az-batch-vm-size", "Standard_D2ds_v5", *storage("azblob", cwd.name)]
    return [*command, *more]


def storage(provider: str, prefix: str) -> list[str]:
    return ["--default-storage-provider", provider, "--default-storage-prefix", f"az://{CONTAINER}/{prefix}"]


@contextmanager
def our_task(services: Services, tasks: int = 3) -> Iterator[Order]:
    """A task of a run on the Batch emulator that has done `tasks` such tasks, one after the other, and waits."""
    with workdir(services, "ours") as cwd, services.batch() as batch:
        fifo = cwd / "pipe"
        command = az_batch_command(
            services, cwd, 2, "--az-batch-nodes", "1", "--config", f"jobs={tasks}", f"hold={fifo}"
        )

        def done():
            for job in batch.list_jobs():
                ended = [
                    t
                    for t in batch.list_tasks(job.id)
                    if t.id.startswith("trivial") and t.execution_info.end_time
                ]
                if len(ended) == tasks:
                    return job, ended
            return None

        with running(command, cwd, services.environ) as process:
            with pipe(fifo):
                job, ended = wait_for(done, process, cwd)
                shared = services.folder / "shared"
                shared.mkdir()
                yield Order(
                    shlex.split(next(t for t in ended if t.id.startswith("trivial-0")).command_line),
                    {s.name: s.value for s in job.common_environment_settings},
                    BIN,
                    shared,
                    [
                        (t.execution_info.end_time - t.execution_info.start_time).total_seconds()
                        for t in ended
                    ],
                )
            finish(process, cwd)


@contextmanager
def stock_task(services: Services) -> Iterator[Order]:
    """The same task of stock Snakemake, whose run waits in the meantime so that its sources stay in storage."""
    from snakemake.azure.blob.account import AZURITE_ACCOUNT

    python = stock_python()
    with workdir(services, "stock") as cwd:
        order, fifo = cwd / "order.json", cwd / "pipe"
        command = [
            str(python),
            "-m",
            "snakemake",
            "--executor",
            "bench-shell",
            "--jobs",
            "1",
            *storage("azure", cwd.name),
        ]
        command += ["--bench-shell-order", str(order), "--bench-shell-pipe", str(fifo)]
        # The plugin knows one way to another endpoint than Azure's, this variable.
        variable = "AZURITE_CONNECTION_STRING"
        command += [
            "--storage-azure-account-name",
            AZURITE_ACCOUNT,
            "--envvars",
            variable,
            "--config",
            "jobs=1",
        ]
        environ = services.environ | {
            variable: services.connection_string,
            "PYTHONPATH": str(HERE / "stock"),
        }
        with running(command, cwd, environ) as process:
            with pipe(fifo):
                found = wait_for(
                    lambda: json.loads(order.read_text()) if order.exists() else None, process, cwd
                )
                yield Order(["/bin/sh", "-c", found["command"]], found["environment"], python.parent)
            finish(process, cwd)
