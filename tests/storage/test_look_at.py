"""Looks at many objects at once, as the scheduler asks a provider for them."""

import asyncio
import threading

import pytest


def test_what_was_looked_at_costs_no_request(azurite, provider, blob, container):
    for n in range(30):
        container.upload_blob(f"d/{n}", b"x")
    objects = [blob(f"d/{n}") for n in range(31)]
    mark = azurite.mark()
    asyncio.run(provider.look_at(objects))
    assert [each.exists() for each in objects] == [True] * 30 + [False]
    assert [each.size() for each in objects[:30]] == [1] * 30
    assert len(azurite.requests(mark)) == 1


def test_what_was_forgotten_is_asked_for(provider, blob, container):
    there = blob("x")
    assert not there.exists()
    container.upload_blob("x", b"1")
    provider.forget([blob("another")])
    assert there.exists()
    container.upload_blob("x", b"22", overwrite=True)
    provider.forget([there])
    assert there.size() == 2


def test_ctrl_c_ends_it_before_the_next_request(provider, blob, monkeypatch):
    begun, release, asked = threading.Event(), threading.Event(), []

    def slow(container: str, name: str):
        asked.append(name)
        begun.set()
        assert release.wait(30)

    monkeypatch.setattr(provider.store, "_ask", slow)
    monkeypatch.setattr(provider.store, "has_below", lambda *_: False)
    monkeypatch.setattr(provider.store, "_list", lambda container, directory, count, names: list(names))

    async def look() -> None:
        looking = asyncio.create_task(provider.look_at([blob(f"d/{n}") for n in range(100)]))
        await asyncio.to_thread(begun.wait, 30)
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking
        release.set()

    asyncio.run(look())
    provider._workers._pool.shutdown()
    assert len(asked) <= 16
