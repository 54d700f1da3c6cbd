"""What belongs to the account, each method of the client once: applications, and what pools have used."""

import zipfile

import pytest
from azure.core.exceptions import ResourceNotFoundError
from support.emulator import running_emulator, wait_until

from ..helpers import make_pool
from .conftest import CheckedClient
from .coverage import covers


@pytest.fixture
def client(tmp_path):
    """Of an emulator whose hours go by in less than a second."""
    (tmp_path / "tool").mkdir()
    with zipfile.ZipFile(tmp_path / "tool" / "1.0.zip", "w") as archive:
        archive.writestr("tool.txt", "1.0")
    with running_emulator(applications=tmp_path, runner="none", time_scale=20_000) as emulator:
        yield CheckedClient(emulator.client())


@covers("list_applications", "get_application", "list_pool_usage_metrics")
def test_applications_and_usage(client):
    make_pool(client)
    (listed,) = client.list_applications()
    found = client.get_application("TOOL")
    assert (found.id, found.versions) == (listed.id, listed.versions) == ("tool", ["1.0"])
    with pytest.raises(ResourceNotFoundError) as caught:
        client.get_application("absent")
    assert caught.value.error.code == "ApplicationNotFound"
    used = wait_until(lambda: list(client.list_pool_usage_metrics()))[0]
    assert (used.pool_id, used.vm_size) == ("pool", "Standard_D2s_v3")
    assert used.end_time > used.start_time and 0 < used.total_core_hours <= 1
