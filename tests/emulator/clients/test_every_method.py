"""No public method of the client is left out."""

import importlib
from pathlib import Path

import pytest
from azure.batch import BatchClient, aio
from azure.core.rest import HttpRequest

from .coverage import covers, public_methods


def covered() -> set[str]:
    found: set[str] = set()
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(f".{path.stem}", __package__)
        for test in vars(module).values():
            found |= getattr(test, "covers", frozenset())
    return found


@pytest.mark.parametrize("client_class", [BatchClient, aio.BatchClient], ids=["plain", "aio"])
def test_every_public_method_is_covered(client_class):
    assert public_methods(client_class) <= covered()


@covers("send_request", "close")
def test_a_request_of_ones_own(client, emulator):
    url = f"{emulator.url}/pools?api-version=2025-06-01"
    response = client.send_request(HttpRequest("GET", url))
    assert (response.status_code, response.json()["value"]) == (200, [])
    client.close()
    with pytest.raises(ValueError, match="closed"):
        client.send_request(HttpRequest("GET", url))
