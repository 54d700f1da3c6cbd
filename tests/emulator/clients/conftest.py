"""A client that keeps account of its public methods and holds what they return against the models."""

from collections.abc import Iterator

import pytest
from azure.batch import BatchClient
from azure.batch._utils.model_base import Model
from azure.core.paging import ItemPaged

from .awaited import Awaited
from .strict import complaints


class CheckedClient:
    """The real client, unmodified: `called` holds the names of the public methods that were called. Pollers ask ten
    times a second instead of every five."""

    def __init__(self, client: BatchClient | Awaited) -> None:
        self._client, self.called = client, set()

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def call(*args, **options):
            if name.startswith("begin_"):
                options.setdefault("polling_interval", 0.1)
            self.called.add(name)  # also one that is always refused, such as reimaging
            result = method(*args, **options)
            return _checked(result, whole="select" not in options)

        return call


def _checked(result, whole):
    if isinstance(result, Model):
        assert not list(complaints(result, whole=whole))
    elif isinstance(result, ItemPaged):
        return _checked_items(result, whole)
    elif isinstance(result, list):
        return list(_checked_items(result, whole))
    return result


def _checked_items(items, whole) -> Iterator:
    for item in items:
        assert not isinstance(item, Model) or not list(complaints(item, whole=whole))
        yield item


def pytest_generate_tests(metafunc) -> None:
    """What covers methods of the client covers those of the asynchronous one too."""
    if "client" in metafunc.fixturenames and hasattr(metafunc.function, "covers"):
        metafunc.parametrize("client", ["plain", "aio"], indirect=True)


@pytest.fixture
def client(request, emulator) -> Iterator[CheckedClient]:
    if getattr(request, "param", "plain") == "plain":
        yield CheckedClient(emulator.client())
        return
    client = Awaited(emulator.url, emulator.account, emulator.key)
    yield CheckedClient(client)
    client.end()
