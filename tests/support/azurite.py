"""Azurite, the real emulator of Blob Storage, on a free port for the length of the test session."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import (
    BlobServiceClient,
    ContainerClient,
    generate_account_sas,
    generate_container_sas,
)

from snakemake.azure.blob.account import AZURITE_ACCOUNT, AZURITE_KEY, BlobAccount
from snakemake.azure.blob.service import connect

# A line of Azurite's access log: address, time, "METHOD PATH HTTP/1.1", status, size.
ACCESS = re.compile(r'"(?P<method>[A-Z]+) (?P<path>\S+) HTTP/[\d.]+" (?P<status>\d{3})')
LISTENING = re.compile(r"Blob service is successfully listening at (https?://\S+)")


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    status: int

    @property
    def is_list(self) -> bool:
        return "comp=list" in self.path


@dataclass(frozen=True)
class Azurite:
    """A running Azurite. `url` is the account's, without a SAS; everything is kept in memory."""

    endpoint: str
    log: Path

    account: str = AZURITE_ACCOUNT
    key: str = AZURITE_KEY

    @property
    def url(self) -> str:
        return f"{self.endpoint}/{self.account}"

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    @property
    def connection_string(self) -> str:
        account = f"AccountName={self.account};AccountKey={self.key}"
        return f"DefaultEndpointsProtocol=http;{account};BlobEndpoint={self.url};"

    def sas(
        self,
        permission: str = "rwdlc",
        container: str | None = None,
        expiry: timedelta = timedelta(hours=2),
        resource_types: str = "co",
    ) -> str:
        """A SAS of the account, or of one container."""
        options: dict[str, Any] = {
            "permission": permission,
            "expiry": datetime.now(UTC) + expiry,
            "protocol": "https,http",
        }
        if container:
            return generate_container_sas(self.account, container, account_key=self.key, **options)
        return generate_account_sas(self.account, self.key, resource_types=resource_types, **options)

    def sas_url(self, **options) -> str:
        return f"{self.url}?{self.sas(**options)}"

    def service(self) -> BlobServiceClient:
        """A client with the account key, apart from the code under test but for its version of the API."""
        return connect(BlobAccount(url=self.url, name=self.account, key=self.key))

    def new_container(self) -> ContainerClient:
        return self.service().create_container(f"test-{uuid.uuid4().hex[:16]}")

    def mark(self) -> str:
        """A place in the access log, for `requests`."""
        return self._fence()

    def requests(self, since: str) -> list[Request]:
        """The requests that Azurite answered between `since = mark()` and now, in its order."""
        until = self._fence()
        text = self.log.read_text(encoding="utf-8", errors="replace")
        between = text[text.index(since) : text.index(until)].partition("\n")[2]
        return [Request(m["method"], m["path"], int(m["status"])) for m in ACCESS.finditer(between)]

    def _fence(self) -> str:
        """Asks for a blob that nobody else asks for, and waits for its line in the log: all before is there then."""
        name = f"fence-{uuid.uuid4().hex}"
        try:
            urllib.request.urlopen(f"{self.url}/fence/{name}", timeout=30).close()
        except urllib.error.HTTPError as error:
            error.close()
        deadline = time.monotonic() + 10
        while name not in self.log.read_text(encoding="utf-8", errors="replace"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"Azurite does not write its access log to {self.log}.")
            time.sleep(0.01)
        return name


def find_azurite() -> str:
    """$AZURITE, else the one beside this interpreter, else the one on PATH."""
    beside = Path(sys.executable).with_name("azurite")
    found = os.environ.get("AZURITE") or (str(beside) if beside.exists() else shutil.which("azurite"))
    if not found:
        pytest.fail("There is no azurite; `misc/setup/azurite VENV` installs it beside this interpreter.")
    return found


@contextmanager
def running_azurite(folder: Path, *options: str, **environ: str) -> Iterator[Azurite]:
    """An Azurite of its own in `folder`, with more options and variables than the usual, on free ports."""
    log = folder / "log"
    ports = ["--blobPort", "0", "--queuePort", "0", "--tablePort", "0"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [find_azurite(), *ports, "--inMemoryPersistence", "--disableTelemetry", *options],
            cwd=folder,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Azurite(_endpoint(process, log), log)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _endpoint(process: subprocess.Popen, log: Path, seconds: float = 60) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        if match := LISTENING.search(log.read_text()):
            return match[1]
        time.sleep(0.05)
    pytest.fail(f"Azurite did not start within {seconds} s:\n{log.read_text()}")


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with running_azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running
