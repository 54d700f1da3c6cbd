"""Logins, redaction and marks of containers; no engine is needed."""

import psutil
import pytest

from azure_batch_emulator.nodes.runners import NodeSpec, make_runner
from azure_batch_emulator.nodes.runners.container_engine import (
    PROCESS_LABEL,
    is_alive,
    login_for,
    own_labels,
    redact,
    registry_host,
)

REGISTRIES = (
    {"registryServer": "https://Me.azurecr.io", "username": "me", "password": "pw-1"},
    {"registryServer": "", "username": "hub", "password": "pw-2"},
    {"registryServer": "id.azurecr.io", "identityReference": {"resourceId": "/x"}},
)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("me.azurecr.io/a/b:1", {"username": "me", "password": "pw-1"}),
        ("ubuntu", {"username": "hub", "password": "pw-2"}),
        ("team/tool", {"username": "hub", "password": "pw-2"}),
        ("other.azurecr.io/a", {}),
        ("id.azurecr.io/a", {}),
    ],
)
def test_login_is_the_one_of_the_images_registry(image, expected):
    assert login_for(image, REGISTRIES) == expected


def test_hosts_of_registries():
    assert registry_host("https://index.docker.io/v1/") == registry_host("docker.io") == registry_host("")
    assert registry_host("me.azurecr.io:443/") == "me.azurecr.io:443"


def test_passwords_are_redacted():
    assert redact("denied for pw-1, not pw-2", REGISTRIES) == "denied for ***, not ***"


def test_marks_tell_the_living_from_the_dead():
    process = psutil.Process()
    assert is_alive(own_labels()[PROCESS_LABEL])
    assert not is_alive(f"{process.pid}@{process.create_time() - 1000:.0f}")
    assert not is_alive(f"{2**22 + 1}@1")
    assert not is_alive("")


def test_no_engine_makes_the_node_unusable(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    failure = make_runner("docker").boot_node(NodeSpec("n", tmp_path, 1, 1024, 1, ("busybox",), ()))
    assert failure
    assert failure.code == "ContainerEngineUnavailable"
    assert f"{tmp_path}/nothing.sock" in failure.message
    assert "--runner process" in failure.message
