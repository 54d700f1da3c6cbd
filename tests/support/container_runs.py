"""Runs by the real command line whose tasks are containers: an emulator with Docker, and what it has at the moment."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from azure_batch_emulator import DEV_ACCOUNT, DEV_KEY

SNAKEMAKE = Path(sys.executable).with_name("snakemake")


@dataclass(frozen=True)
class Emulator:
    url: str
    pid: int
    location: Path


@pytest.fixture
def docker_emulator(docker_engine, tmp_path) -> Iterator[Emulator]:
    """An emulator of its own, whose nodes run containers."""
    command = [str(SNAKEMAKE.with_name("azure-batch-emulator")), "start", "--port", "0", "--runner", "docker"]
    command += ["--profile", "fast", "--location", str(tmp_path / "emulator")]
    log = tmp_path / "emulator.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout is not None
    try:
        ready = next((line for line in process.stdout if "ready" in line), "")
        found = re.search(r"http://\S+", ready)
        assert found, f"The emulator did not start:\n{log.read_text()}"
        yield Emulator(found[0], process.pid, tmp_path / "emulator")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        process.stdout.close()


def containers_of(engine, emulator: Emulator) -> list:
    filters = {"label": "azure-batch-emulator.process"}
    every = engine.containers.list(all=True, filters=filters, ignore_removed=True)
    mark = f"{emulator.pid}@"
    return [c for c in every if c.labels["azure-batch-emulator.process"].startswith(mark)]


def snakemake(folder: Path, emulator: Emulator, azurite, container: str, image: str, *options: str):
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AZ_", "AZURE_", "SNAKEMAKE_"))}
    environment = inherited | {
        "AZ_BATCH_ACCOUNT_NAME": DEV_ACCOUNT,
        "AZ_BATCH_ACCOUNT_KEY": DEV_KEY,
        "AZ_BLOB_ACCOUNT_URL": azurite.sas_url(),
    }
    command = [str(SNAKEMAKE), "--az-batch", "--az-batch-account-url", emulator.url, "--jobs", "4"]
    command += ["--default-storage-provider", "azblob"]
    command += ["--default-storage-prefix", f"az://{container}/run"]
    command += ["--container-image", image, "--seconds-between-status-checks", "1", *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)


def batch_leftovers(emulator: Emulator) -> list[str]:
    from azure.batch import BatchClient
    from azure.core.credentials import AzureNamedKeyCredential

    with BatchClient(emulator.url, AzureNamedKeyCredential(DEV_ACCOUNT, DEV_KEY)) as client:
        return [p.id for p in client.list_pools()] + [j.id for j in client.list_jobs()]
