"""Whole runs of the real command line against the real emulator and Azurite."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.emulator import wait_until

from snakemake.azure.blob.account import NOT_FOR_NODES

SNAKEMAKE = Path(sys.executable).with_name("snakemake")
IMAGE = "registry.example.org/snakemake:test"


@dataclass
class Result:
    code: int
    output: str

    def last_error(self) -> str:
        return self.output[-3000:]


@dataclass
class Site:
    """A working directory with the two services: what a user has in front of them."""

    workdir: Path
    emulator: object
    azurite: object
    container: object
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        return f"az://{self.container.container_name}/run"

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.workdir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def put(self, name: str, data: bytes = b"data") -> None:
        self.container.upload_blob(f"run/{name}", data, overwrite=True)

    def read(self, name: str) -> str:
        return self.container.download_blob(f"run/{name}").readall().decode()

    def blobs(self) -> set[str]:
        names = (b.name for b in self.container.list_blobs(name_starts_with="run/", include=["metadata"]))
        return {name.removeprefix("run/") for name in names}

    def held(self) -> str:
        """A shell command for a rule that lasts until `let_go`."""
        return f"until [ -e {self.workdir}/go ]; do sleep 0.05; done"

    def let_go(self) -> None:
        (self.workdir / "go").touch()

    def options(self, **changes: str | None) -> list[str]:
        given = {
            "az-batch-account-url": self.emulator.url,
            "default-storage-provider": "azblob",
            "default-storage-prefix": self.prefix,
            "container-image": IMAGE,
            "jobs": "8",
            "seconds-between-status-checks": "1",
        } | {name.replace("_", "-"): value for name, value in changes.items()}
        return [part for name, value in given.items() if value is not None for part in (f"--{name}", value)]

    def command(self, *args: str, **changes: str | None) -> list[str]:
        return [str(SNAKEMAKE), "--az-batch", *self.options(**changes), *args]

    def sweep(self) -> list[str]:
        return [str(SNAKEMAKE), "--az-batch-account-url", self.emulator.url, "--az-batch-sweep"]

    def run(
        self, *args: str, command: list[str] | None = None, timeout: float = 120, **changes: str | None
    ) -> Result:
        done = subprocess.run(
            command or self.command(*args, **changes),
            cwd=self.workdir,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        return Result(done.returncode, done.stdout)

    @contextmanager
    def running(self, *args: str, **changes: str | None) -> Iterator[subprocess.Popen]:
        """A run that goes on while the test looks at the service."""
        with (self.workdir / "output.txt").open("w") as output:
            process = subprocess.Popen(
                self.command(*args, **changes),
                cwd=self.workdir,
                env=self.environ,
                stdout=output,
                stderr=output,
            )
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)
                    try:
                        process.wait(30)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        raise

    def output(self) -> str:
        return (self.workdir / "output.txt").read_text()

    def tasks(self) -> list:
        client = self.emulator.client()
        return [task for job in client.list_jobs() for task in client.list_tasks(job.id)]

    def left(self) -> list[str]:
        """What a run left in the cloud, except the workflow's own files."""
        client = self.emulator.client()
        return [
            *(f"pool {p.id}" for p in client.list_pools()),
            *(f"job {j.id}" for j in client.list_jobs()),
            *(f"blob {b}" for b in self.blobs() if b.startswith(".snakemake")),
            *(f"policy {name}" for name in self.policies()),
        ]

    def policies(self) -> list[str]:
        """Names of the container's stored access policies, which only its key tells."""
        if self.azurite is None:
            return []
        return [policy.id for policy in self.container.get_container_access_policy()["signed_identifiers"]]

    def assert_clean(self) -> None:
        wait_until(lambda: not self.left(), timeout=20)


@pytest.fixture
def site(tmp_path, emulator, azurite) -> Site:
    """Fresh container, empty emulator, empty directory; credentials by environment variables, as on Azure."""
    drop = [name for name in os.environ if name in NOT_FOR_NODES or re.match("AZURE_|AZ_|SNAKEMAKE_", name)]
    environ = {name: value for name, value in os.environ.items() if name not in drop}
    environ |= emulator.environment()
    environ |= {
        "AZ_BLOB_ACCOUNT_URL": azurite.url,
        "AZ_BLOB_ACCOUNT_KEY": azurite.key,
        "PYTHONUNBUFFERED": "1",
    }
    workdir = tmp_path / "workflow"
    workdir.mkdir()
    return Site(workdir, emulator, azurite, azurite.new_container(), environ)
