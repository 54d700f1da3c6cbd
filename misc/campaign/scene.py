"""What a trial takes place in: an emulator, an Azurite, and between them and the client a proxy each that can fail."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from misc.bench.setting import CONTAINER, azurite, clean_environ, emulator_command, server
from misc.campaign.workflow import INPUT, Workflow
from tests.support.faults import Faults, proxy

SNAKEMAKE = Path(sys.executable).with_name("snakemake")
PREFIX = "run"
DELAYS = ("allocation", "boot", "reboot", "removal", "restoration", "loss", "recovery")
IMAGE = "registry.example.org/snakemake:campaign"


class Scene:
    """Used in a `with` block; `folder` is the trial's own, `snakemake` below it is the run's directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workdir = folder / "snakemake"
        self.ledger = folder / "ledger"
        self._stack = ExitStack()

    def __enter__(self) -> "Scene":
        for path in (self.folder, self.workdir, self.ledger):
            path.mkdir()
        try:
            self.blob = self._stack.enter_context(azurite(self.folder))
            self.batch_url = self._start_emulator()
            self.blob_proxy = self._stack.enter_context(proxy(_port(self.blob.url)))
            self.batch_proxy = self._stack.enter_context(proxy(_port(self.batch_url)))
            self.storage.upload_blob(f"{PREFIX}/in/data.txt", INPUT.encode())
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start_emulator(self, **faults: Any) -> str:
        profile = self.folder / "profile.json"
        profile.write_text(json.dumps({f"{name}Seconds": [0.1, 0.5] for name in DELAYS} | faults))
        command = emulator_command("process", "--location", str(self.folder / "batch"))
        command[command.index("fast")] = str(profile)
        ready = r"ready at (http://[^\s,]+)"
        found = self._stack.enter_context(
            server("The Batch emulator", command, self.folder / "batch.log", ready, self.folder)
        )
        return found.url

    # -- the services, past the proxies ------------------------------------------------------------------------

    @property
    def storage(self) -> Any:
        """The container's client."""
        from snakemake.azure.blob.service import connect

        return connect(self.blob).get_container_client(CONTAINER)

    @contextmanager
    def batch(self) -> Iterator[Any]:
        from snakemake.azure.batch.account import BatchAccount
        from snakemake.azure.settings import ExecutorSettings

        account = BatchAccount.resolve(ExecutorSettings(account_url=self.batch_url), self.environ())
        with account.client() as client:
            yield client

    def control(self, path: str, body: object = None) -> None:
        """An order to the emulator, see docs/emulator/control.md."""
        from azure.core.rest import HttpRequest

        with self.batch() as client:
            client.send_request(HttpRequest("POST", f"{self.batch_url}/-/{path}", json=body))

    def nodes(self) -> list[tuple[str, str, str]]:
        """Pool, id and state of every node."""
        from snakemake.azure.wire import lower

        found = []
        with self.batch() as client:
            for pool in client.list_pools():
                with suppress(Exception):  # it may go meanwhile
                    found += [(pool.id, node.id, lower(node.state)) for node in client.list_nodes(pool.id)]
        return found

    def left(self) -> list[str]:
        """What is there in the cloud besides the workflow's files."""
        with self.batch() as client:
            pools = [f"pool {pool.id}" for pool in client.list_pools()]
            jobs = [f"job {job.id}" for job in client.list_jobs()]
        blobs = [
            f"blob {blob.name}" for blob in self.storage.list_blobs(name_starts_with=f"{PREFIX}/.snakemake")
        ]
        return pools + jobs + blobs

    def outputs(self) -> dict[str, str]:
        """Path and content of the workflow's files in storage."""
        names = [blob.name for blob in self.storage.list_blobs(name_starts_with=f"{PREFIX}/")]
        return {
            name.removeprefix(f"{PREFIX}/"): self.storage.download_blob(name).readall().decode()
            for name in names
            if not name.startswith((f"{PREFIX}/.snakemake", f"{PREFIX}/in/"))
        }

    # -- the client --------------------------------------------------------------------------------------------

    def environ(self) -> dict[str, str]:
        from azure_batch_emulator import DEV_ACCOUNT, DEV_KEY

        return clean_environ() | {
            "AZ_BATCH_ACCOUNT_NAME": DEV_ACCOUNT,
            "AZ_BATCH_ACCOUNT_KEY": DEV_KEY,
            "AZ_BLOB_ACCOUNT_URL": self.blob_proxy.url(self.blob.url)
            if hasattr(self, "blob_proxy")
            else self.blob.url,
            "AZ_BLOB_ACCOUNT_KEY": self.blob.key or "",
            "PYTHONUNBUFFERED": "1",
        }

    @contextmanager
    def client(self, workflow: Workflow, *args: str) -> Iterator["Client"]:
        """A run of the workflow that goes on while the trial looks on; killed at the end of the block."""
        (self.workdir / "Snakefile").write_text(workflow.text())
        command = [
            str(SNAKEMAKE), "--az-batch", "--az-batch-account-url", self.batch_proxy.url(self.batch_url),
            "--default-storage-provider", "azblob", "--default-storage-prefix", f"az://{CONTAINER}/{PREFIX}",
            "--container-image", IMAGE, "--jobs", "200", "--seconds-between-status-checks", "1",
            "--az-batch-nodes", "4", "--nocolor", *args,
        ]  # fmt: skip
        with Client(command, self.workdir, self.environ()) as client:
            yield client

    def run(self, workflow: Workflow, *args: str, seconds: float = 600) -> "Client":
        with self.client(workflow, *args) as client:
            client.wait(seconds)
        return client


def _port(url: str) -> int:
    return int(re.search(r":(\d+)", url.partition("//")[2])[1])  # type: ignore[index]


class Client:
    """A `snakemake` process and what it has said."""

    numbers = count(1)

    def __init__(self, command: list[str], workdir: Path, environ: Mapping[str, str]) -> None:
        self._command, self._workdir, self._environ = command, workdir, dict(environ)
        self.log = workdir.parent / f"log.{next(Client.numbers)}.txt"
        self.code: int | None = None

    def __enter__(self) -> "Client":
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._workdir, env=self._environ, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill(signal.SIGKILL)
            self._process.wait()

    def kill(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    @property
    def over(self) -> bool:
        self.code = self._process.poll()
        return self.code is not None

    def wait(self, seconds: float) -> int | None:
        """The exit code; None when it still ran after so many seconds."""
        with suppress(subprocess.TimeoutExpired):
            self.code = self._process.wait(seconds)
        return self.code

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def finished(self) -> set[str]:
        """The jobs whose end it has seen, as the ledger names them."""
        named = re.findall(r"^Finished jobid: (\d+) \(Rule: (\w+)\)", self.text(), re.MULTILINE)
        wildcards = dict(re.findall(r"jobid: (\d+)\n(?:    .*\n)*?    wildcards: \w+=(\d+)", self.text()))
        return {f"{rule}.{wildcards[jobid]}" if jobid in wildcards else rule for jobid, rule in named}


def until(true: Callable[[], object], seconds: float, pause: float = 0.2) -> bool:
    """Whether it became true in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True


__all__ = ["Client", "Faults", "Scene", "until"]
