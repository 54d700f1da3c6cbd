"""The Batch emulator as a fixture: the real command in a process of its own, for the real client."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from azure_batch_emulator import DEV_ACCOUNT, DEV_KEY

T = TypeVar("T")
START_SECONDS = 60
STOP_SECONDS = 20


def wait_until(predicate: Callable[[], T], timeout: float = 120.0, interval: float = 0.05) -> T:
    """The predicate's first true value; an AssertionError when there is none within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(
                f"still {value!r} after {timeout} s: {getattr(predicate, '__qualname__', predicate)}"
            )
        time.sleep(interval)
    return value


@dataclass
class RunningEmulator:
    """`url`, `account` and `key` for any client; `blob_url` (with SAS) when Azurite was started too."""

    url: str
    process: subprocess.Popen
    account: str = DEV_ACCOUNT
    key: str = DEV_KEY
    blob_url: str | None = None
    output: list[str] = field(default_factory=list)

    def client(self, **options):
        """A real `azure.batch.BatchClient`."""
        from azure.batch import BatchClient
        from azure.core.credentials import AzureNamedKeyCredential

        return BatchClient(self.url, AzureNamedKeyCredential(self.account, self.key), **options)

    def environment(self) -> dict[str, str]:
        """What `azure-batch-emulator env` says of the Batch side, for a client's process."""
        return {
            "AZ_BATCH_ACCOUNT_URL": self.url,
            "AZ_BATCH_ACCOUNT_NAME": self.account,
            "AZ_BATCH_ACCOUNT_KEY": self.key,
        }

    def clean(self) -> None:
        """Deletes all schedules, jobs and pools, and waits until they are gone."""
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
        from azure.core.rest import HttpRequest

        client = self.client()
        lists = {
            "jobschedules": client.list_job_schedules,
            "jobs": client.list_jobs,
            "pools": client.list_pools,
        }
        for name, items in lists.items():
            for item in items():
                # Without the client's poller: its thread would still ask when the next test has begun.
                url = f"{self.url}/{name}/{item.id}?api-version=2025-06-01"
                # It may be gone, or on its way out already.
                with suppress(ResourceNotFoundError, ResourceExistsError):
                    client.send_request(HttpRequest("DELETE", url)).raise_for_status()
        wait_until(lambda: not any(list(items()) for items in lists.values()))

    def stop(self) -> int:
        """Ends it as a user would, with SIGTERM, and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=STOP_SECONDS)


@contextmanager
def running_emulator(
    *, program: Sequence[str] = ("-m", "azure_batch_emulator"), **options: object
) -> Iterator[RunningEmulator]:
    """Runs `azure-batch-emulator start` on a free port. Options are those of the command, with underscores:
    `running_emulator(runner="docker", blob_port=0, time_scale=60)`; True stands for a switch.
    `program` is what the interpreter is given in place of the emulator."""
    arguments = {"port": 0, "profile": "fast", "runner": "process"} | options
    command = [sys.executable, *program, "start"]
    for name, value in arguments.items():
        if value is not None:
            command += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    output: list[str] = []
    ready = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            output.append(line)
            if "ready" in line:
                ready.set()
        ready.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    emulator = None
    try:
        ready.wait(START_SECONDS)
        urls = re.findall(r"https?://[^\s,]+", next((line for line in output if "ready" in line), ""))
        assert urls, f"the emulator did not start: {''.join(output)}"
        emulator = RunningEmulator(urls[0], process, output=output)
        if len(urls) > 1:
            from azure_batch_emulator.host.azurite import accounts, url_with_sas

            port, scheme = int(re.findall(r":(\d+)/", urls[1])[0]), urls[1].partition(":")[0]
            emulator.blob_url = url_with_sas(accounts(port, scheme)[0])
        yield emulator
    finally:
        if emulator is not None:
            emulator.stop()
        elif process.poll() is None:
            process.kill()
            process.wait()
        reader.join(timeout=5)
    assert not any("a defect of the emulator" in line for line in output), "".join(output)[-5000:]


@pytest.fixture(scope="session")
def emulator_process() -> Iterator[RunningEmulator]:
    """One emulator for the whole session (fast profile, process runner)."""
    with running_emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(emulator_process: RunningEmulator) -> RunningEmulator:
    """The session's emulator, emptied before the test."""
    emulator_process.clean()
    return emulator_process
