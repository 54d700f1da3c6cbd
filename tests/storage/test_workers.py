"""Threads that work for coroutines."""

import asyncio
import gc
import threading
import time
import weakref

import pytest

from snakemake.azure.blob.workers import Workers


def test_results_and_errors_reach_whoever_waits():
    workers = Workers(4, "test")

    def work(number: int) -> int:
        if number % 7 == 3:
            raise ValueError(number)
        return number * 2

    async def everything() -> list:
        calls = (workers.run(lambda n=n: work(n)) for n in range(200))
        return await asyncio.gather(*calls, return_exceptions=True)

    found = asyncio.run(everything())
    for number, result in enumerate(found):
        if number % 7 == 3:
            assert isinstance(result, ValueError)
            assert result.args == (number,)
        else:
            assert result == number * 2


def test_results_that_arrive_together_wake_the_loop_once():
    workers, ran, woken = Workers(4, "test"), [], []

    async def everything() -> None:
        loop = asyncio.get_running_loop()
        wake = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *args, **more: [woken.append(1), wake(*args, **more)][1]
        calls = [asyncio.ensure_future(workers.run(lambda: ran.append(1))) for _ in range(100)]
        await asyncio.sleep(0)  # they begin
        while len(ran) < 100:
            time.sleep(0.01)  # the loop stands still meanwhile
        await asyncio.gather(*calls)

    asyncio.run(everything())
    assert len(woken) < 10  # the last of them may be on their way still


def test_the_end_of_an_iterator_holds_up_nobody():
    """No future takes a StopIteration, and those that arrive with it must not be lost."""
    workers = Workers(1, "test")

    async def both() -> list:
        works = (lambda: next(iter(())), lambda: 2)
        return await asyncio.wait_for(
            asyncio.gather(*map(workers.run, works), return_exceptions=True), timeout=30
        )

    first, second = asyncio.run(both())
    assert isinstance(first, RuntimeError)
    assert second == 2


def test_work_that_has_not_begun_never_begins_for_whoever_is_gone():
    workers, begun, release, ran = Workers(1, "test"), threading.Event(), threading.Event(), []

    async def cancelled() -> None:
        first = asyncio.ensure_future(workers.run(lambda: [begun.set(), release.wait()]))
        second = asyncio.ensure_future(workers.run(lambda: ran.append(2)))
        await asyncio.sleep(0)
        begun.wait(30)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        release.set()
        await first
        await workers.run(lambda: ran.append(3))

    asyncio.run(cancelled())
    assert ran == [3]


def test_work_may_end_after_its_loop():
    workers, begun, release, ended = Workers(1, "test"), *(threading.Event() for _ in range(3))

    def work() -> None:
        begun.set()
        release.wait()
        ended.set()

    async def leave() -> None:
        task = asyncio.ensure_future(workers.run(work))
        await asyncio.sleep(0)
        begun.wait(30)
        task.cancel()

    asyncio.run(leave())
    release.set()
    assert ended.wait(30)
    assert asyncio.run(workers.run(lambda: "next")) == "next"


def test_loops_are_not_kept():
    workers = Workers(2, "test")
    loops = []

    async def one() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await workers.run(lambda: None)

    for _ in range(3):
        asyncio.run(one())
    deadline = time.monotonic() + 30
    while any(loop() for loop in loops) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    assert not any(loop() for loop in loops)
