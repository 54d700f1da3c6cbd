"""Where the emulator listens: on loopback, and elsewhere only for those who say it twice."""

from ipaddress import ip_address

import pytest
import requests
from support.emulator import running_emulator

from azure_batch_emulator.core.profile import Profile
from azure_batch_emulator.engine.clock import RealClock
from azure_batch_emulator.service.binding import BindingError, check_host, local_address
from azure_batch_emulator.service.server import Emulator

from ..helpers import completed, make_job, make_pool, shell, task, text
from .test_command import refusal


@pytest.mark.parametrize(
    ("host", "address"),
    [("localhost", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("127.8.0.1", "127.8.0.1"), ("::1", "::1")],
)
def test_loopback_needs_no_leave(host, address):
    assert check_host(host, allow_remote=False) == address


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "10.0.0.1", "fe80::1", "::ffff:192.0.2.7"])
def test_all_else_does(host):
    with pytest.raises(BindingError, match="account's key.*--allow-remote"):
        check_host(host, allow_remote=False)
    assert ip_address(check_host(host, allow_remote=True)) == ip_address(host)


@pytest.mark.parametrize("host", ["", "example.com", "127.0.0.1:80", "300.0.0.1"])
def test_names_are_none(host):
    with pytest.raises(BindingError, match="IP address"):
        check_host(host, allow_remote=True)


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("192.0.2.7", "192.0.2.7")],
)
def test_how_tasks_reach_it(host, address):
    assert local_address(host) == address


def test_the_command_refuses_in_one_sentence():
    message = refusal("--port", "0", "--host", "0.0.0.0")
    assert "account's key" in message and "--allow-remote" in message


def test_another_loopback_address_and_what_tasks_see():
    with running_emulator(host="127.0.0.2") as emulator:
        assert emulator.url.startswith("http://127.0.0.2:")
        with pytest.raises(requests.ConnectionError):
            requests.get(emulator.url.replace("127.0.0.2", "127.0.0.1"), timeout=5)
        client = emulator.client()
        make_pool(client)
        make_job(client)
        client.create_task("job", task("t", shell("echo $AZ_BATCH_ACCOUNT_URL")))
        completed(client, task_id="t")
        assert text(client.download_task_file("job", "t", "stdout.txt")) == emulator.url + "/\n"


def test_ipv6_loopback():
    emulator = Emulator(Profile(), runner="none", host="::1", clock=RealClock())
    emulator.start()
    try:
        assert emulator.url == f"http://[::1]:{emulator.port}"
        assert requests.get(f"{emulator.url}/pools", timeout=10).status_code == 401
    finally:
        emulator.stop()
