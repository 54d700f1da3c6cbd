"""The door to Batch, on the emulator."""

from datetime import UTC, datetime

import pytest

from snakemake.azure.batch.account import BatchAccount
from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.os_images import choose_os_image
from snakemake.azure.batch.pools import PoolPlan

IMAGE = "registry.example.org/image:1"


@pytest.fixture
def batch(emulator):
    return Batch(BatchAccount(emulator.url, emulator.account, emulator.key))


@pytest.fixture
def plan(batch):
    os_image = choose_os_image(batch.supported_images(), datetime.now(UTC))
    return PoolPlan("pool-1", "Standard_D2ds_v5", 2, 3, IMAGE, os_image, (("snakemake-run", "r"),))


@pytest.fixture
def suffer(batch, emulator):
    """Lets the next requests fail, one after the other."""
    from azure.core.rest import HttpRequest

    def plan(*kinds):
        order = HttpRequest("POST", f"{emulator.url}/-/faults", json={"requests": list(kinds)})
        assert batch.client.send_request(order).json()["requests"] == list(kinds)

    yield plan
    plan()
