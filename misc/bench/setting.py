"""What the benchmarks run in: Azurite and the Batch emulator on free ports, and a stock Snakemake beside ours."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snakemake.azure.blob.account import BlobAccount

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
STOCK = ROOT / "build" / "bench-stock"
STORAGE_PLUGIN = "snakemake-storage-plugin-azure==0.4.4"
CONTAINER = "bench"
START_SECONDS = 60

# A line of Azurite's access log: address, time, "METHOD PATH HTTP/1.1", status, size.
ACCESS = re.compile(r'"(?P<method>[A-Z]+) (?P<path>\S+) HTTP/[\d.]+" (?P<status>\d{3})')


def say(text: str = "") -> None:
    print(text, flush=True)


@dataclass(frozen=True)
class Server:
    url: str
    pid: int


@contextmanager
def server(name: str, command: list[str], log: Path, ready: str, cwd: Path) -> Iterator[Server]:
    """A server in a process of its own, whose log gives its URL as the group of `ready`; ended afterwards."""
    with log.open("wb") as output:
        # A session of its own, so that Ctrl-C reaches the benchmark first and the servers outlive their clients.
        process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (found := re.search(ready, log.read_text(errors="replace"))):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{name} did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.05)
        yield Server(found[1], process.pid)
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class BlobRequest:
    method: str
    path: str
    status: int


@dataclass(frozen=True)
class Services:
    """A running Azurite and a running Batch emulator, their logs of requests, and clients for them."""

    batch_url: str
    blob_endpoint: str
    folder: Path

    @cached_property
    def blob(self):
        from snakemake.azure.blob.account import BlobAccount

        return BlobAccount.azurite(int(self.blob_endpoint.rpartition(":")[2]))

    @property
    def connection_string(self) -> str:
        account = f"AccountName={self.blob.name};AccountKey={self.blob.key}"
        return f"DefaultEndpointsProtocol=http;{account};BlobEndpoint={self.blob.url};"

    @property
    def environ(self) -> dict[str, str]:
        """Variables for the `snakemake` of this tree."""
        from azure_batch_emulator import DEV_ACCOUNT, DEV_KEY

        return clean_environ() | {
            "AZ_BATCH_ACCOUNT_URL": self.batch_url,
            "AZ_BATCH_ACCOUNT_NAME": DEV_ACCOUNT,
            "AZ_BATCH_ACCOUNT_KEY": DEV_KEY,
            "AZ_BLOB_ACCOUNT_URL": self.blob.url,
            "AZ_BLOB_ACCOUNT_KEY": self.blob.key,
        }

    @contextmanager
    def batch(self) -> Iterator:
        """The SDK's Batch client."""
        from snakemake.azure.batch.account import BatchAccount
        from snakemake.azure.settings import ExecutorSettings

        with BatchAccount.resolve(
            ExecutorSettings(account_url=self.batch_url), self.environ
        ).client() as client:
            yield client

    def batch_requests(self) -> list[tuple[str, str, int]]:
        """Method, path and status of the requests that the Batch emulator has answered."""
        lines = (self.folder / "requests.jsonl").read_text(encoding="utf-8").splitlines()
        return [(r["method"], r["path"], r["status"] or 0) for r in map(json.loads, lines)]

    def mark(self) -> str:
        """A place in Azurite's access log: asks for a blob that nobody else asks for, and waits for its line."""
        name = f"fence-{uuid.uuid4().hex}"
        try:
            urllib.request.urlopen(f"{self.blob.url}/fence/{name}", timeout=30).close()
        except urllib.error.HTTPError as error:
            error.close()
        deadline = time.monotonic() + 10
        while name not in (self.folder / "blob.log").read_text(errors="replace"):
            if time.monotonic() > deadline:
                raise SystemExit("Azurite does not write its access log.")
            time.sleep(0.01)
        return name

    def blob_requests(self, since: str) -> list[BlobRequest]:
        """What Azurite answered between `since = mark()` and now."""
        until = self.mark()
        text = (self.folder / "blob.log").read_text(errors="replace")
        between = text[text.index(since) : text.index(until)].partition("\n")[2]
        return [BlobRequest(m["method"], m["path"], int(m["status"])) for m in ACCESS.finditer(between)]


def emulator_command(runner: str, *more: str) -> list[str]:
    """Starts a Batch emulator of profile fast on a free port."""
    command = [
        sys.executable,
        "-u",
        "-m",
        "azure_batch_emulator",
        "start",
        "--port",
        "0",
        "--profile",
        "fast",
    ]
    return [*command, "--runner", runner, *more]


@contextmanager
def azurite(folder: Path, memory: bool = True) -> Iterator["BlobAccount"]:
    """Azurite on a free port with its log `folder/blob.log`, which keeps blobs in memory or below `folder`."""
    from azure_batch_emulator.host.azurite import find
    from snakemake.azure.blob.account import BlobAccount

    command = [find(), "--blobPort", "0", "--queuePort", "0", "--tablePort", "0"]
    command += ["--inMemoryPersistence"] if memory else ["--location", str(folder / "blobs")]
    command += ["--skipApiVersionCheck", "--disableTelemetry"]
    listening = r"Blob service is successfully listening at (http://\S+)"
    with server("Azurite", command, folder / "blob.log", listening, folder) as found:
        account = BlobAccount.azurite(int(found.url.rpartition(":")[2]))
        from snakemake.azure.blob.service import connect

        with connect(account) as service:
            service.create_container(CONTAINER)
        yield account


@contextmanager
def services() -> Iterator[Services]:
    """Azurite in memory, and a Batch emulator (profile fast, tasks as processes) that logs its requests."""
    with tempfile.TemporaryDirectory(prefix="azbatch-bench.", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        emulator = emulator_command(
            "process", "--location", str(folder / "batch"), "--request-log", str(folder / "requests.jsonl")
        )
        ready = r"ready at (http://[^\s,]+)"
        with (
            azurite(folder) as account,
            server("The Batch emulator", emulator, folder / "batch.log", ready, ROOT) as batch,
        ):
            yield Services(batch.url, account.url.rpartition("/")[0], folder)


def clean_environ() -> dict[str, str]:
    """This environment without what would point Snakemake or an Azure SDK elsewhere."""
    return {
        k: v for k, v in os.environ.items() if not k.startswith(("AZ_", "AZURE_", "AZURITE_", "SNAKEMAKE_"))
    }


def upstream_pin() -> str:
    """The requirement `snakemake==X` that this tree is built on."""
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    return next(r for r in requires if r.startswith("snakemake=="))


def stock_python() -> Path:
    """Python of an environment with stock Snakemake of the same release, made on first use."""
    python = STOCK / "bin" / "python"
    wanted = [upstream_pin(), STORAGE_PLUGIN]
    made = STOCK / "requirements.txt"
    if not made.is_file() or made.read_text().split() != wanted:
        say(f"Making {STOCK.relative_to(ROOT)} with {' and '.join(wanted)} ...")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(STOCK)], check=True)
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, *wanted], check=True, stderr=subprocess.DEVNULL)
        made.write_text("\n".join(wanted))
    return python


@contextmanager
def workdir(services: Services, name: str) -> Iterator[Path]:
    """A directory with the benchmark's workflow, and its input in blob storage under the directory's name."""
    folder = services.folder / name
    folder.mkdir()
    (folder / "Snakefile").write_bytes((HERE / "workflow" / "Snakefile").read_bytes())
    from snakemake.azure.blob.service import connect

    with connect(services.blob) as service:
        service.get_blob_client(CONTAINER, f"{name}/in/data.txt").upload_blob(b"input\n")
    yield folder


@contextmanager
def running(command: list[str], cwd: Path, environ: Mapping[str, str]) -> Iterator[subprocess.Popen]:
    """A process whose output goes into `cwd/log.txt`; interrupted as by Ctrl-C if it still runs at the end."""
    with (cwd / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=cwd, env=dict(environ), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(2)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def finish(process: subprocess.Popen, cwd: Path, seconds: float = 120) -> None:
    """Waits for the end of a process from `running`, and shows its output if it failed."""
    try:
        code: int | str = process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        code = f"none after {seconds:.0f} s"
    if code:
        log = (cwd / "log.txt").read_text(errors="replace")
        kept = ROOT / "build" / "bench" / "failed.log"
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(log)
        raise SystemExit(
            f"{process.args!r} failed (exit code {code}), see {kept.relative_to(ROOT)}:\n{log[-2000:]}"
        )
