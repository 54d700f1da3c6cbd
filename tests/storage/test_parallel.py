"""Chunks of large files in threads: in order, within the room, and without an end only of their own."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.emulator import wait_until

from snakemake.azure.blob import parallel
from snakemake.azure.blob.files import Cancellation, TransferCancelled, cancellable, pause
from snakemake.azure.blob.parallel import TRANSFERS, Room, in_chunks, in_parallel

DEADLINE = 20  # seconds, for what ends by itself


@pytest.fixture
def room(monkeypatch):
    room = Room(4)
    monkeypatch.setattr(parallel, "room", room)
    return room


def free(room: Room) -> int:
    """How many chunks there is room for, with nobody in it."""
    taken = 0
    while room.enter_if_spare():
        taken += 1
    for _ in range(taken):
        room.leave()
    return taken


@pytest.mark.parametrize("concurrency", [1, 2, 3, 9])
def test_results_come_once_and_in_order_whoever_is_done_first(room, concurrency):
    """Of each group of chunks that are worked at together, the first is done last."""
    at_once = min(concurrency, 4)
    ends = [threading.Event() for _ in range(12)]
    results = []

    def work(number: int) -> int:
        last_of_group = number % at_once == at_once - 1
        if not last_of_group:
            assert ends[number + 1].wait(DEADLINE)
        ends[number].set()
        return number

    in_chunks(work, range(12), concurrency, results.append)
    assert results == list(range(12))
    assert free(room) == 4


def test_a_job_is_done_by_one_thread_from_its_beginning_to_its_end(room):
    def work(number: int) -> tuple[int, int]:
        return number, threading.get_ident()

    seen = []
    in_chunks(work, range(50), 3, lambda made: seen.append((made, threading.get_ident())))
    assert all(maker == user for (_, maker), user in seen)
    assert [number for (number, _), _ in seen] == list(range(50))


def test_steps_go_on_side_by_side(room):
    """While one result is at its second step, the next one is at its first."""
    begun, hashed = [threading.Event() for _ in range(6)], []

    def write(number: int) -> None:
        begun[number].set()

    def add(number: int) -> None:
        if number < 5:
            assert begun[number + 1].wait(DEADLINE)
        hashed.append(number)

    in_chunks(lambda number: number, range(6), 2, write, add)
    assert hashed == list(range(6))


def test_jobs_are_taken_no_earlier_than_needed(room):
    done, ahead = [], []

    def jobs():
        for number in range(30):
            ahead.append(number + 1 - len(done))
            yield number

    in_chunks(lambda number: number, jobs(), 3, done.append)
    assert len(done) == 30
    assert max(ahead) <= 3


@pytest.mark.parametrize("where", ["jobs", "work", "then"])
def test_the_first_failure_is_raised_and_nothing_stays_behind(room, where):
    class Refused(Exception):
        pass

    results = []

    def jobs():
        for number in range(100):
            if where == "jobs" and number == 7:
                raise Refused
            yield number

    def work(number: int) -> int:
        if where == "work" and number == 7:
            raise Refused
        return number

    def then(number: int) -> None:
        if where == "then" and number == 7:
            raise Refused
        results.append(number)

    with pytest.raises(Refused):
        in_chunks(work, jobs(), 3, then)
    assert results == list(range(len(results)))
    assert len(results) <= 7
    assert free(room) == 4


def test_nothing_to_do(room):
    in_chunks(pytest.fail, [], 3)
    assert free(room) == 4


def test_a_large_file_makes_room_for_another(room):
    """Alone it has all the room. As soon as another one waits, its next chunk that ends makes room for that."""
    all_in, other_done, go_on = threading.Barrier(4), threading.Event(), threading.Event()
    after = []

    def large(number: int) -> int:
        if number < 4:
            all_in.wait(DEADLINE)
            if number == 0:
                go_on.set()
            wait_until(lambda: room.wanted or other_done.is_set(), DEADLINE, 0.001)
        elif not other_done.is_set():
            after.append(number)
            assert other_done.wait(DEADLINE)
        return number

    with ThreadPoolExecutor(2) as files:
        first = files.submit(in_chunks, large, range(40), 4)
        assert go_on.wait(DEADLINE)
        files.submit(in_chunks, lambda _: other_done.set(), [0], 1).result(DEADLINE)
        first.result(DEADLINE)
    assert len(after) <= 3  # by the threads that kept their room
    assert free(room) == 4


def test_transfers_together_stay_within_the_room(room):
    holding, most, lock = [0], [0], threading.Lock()

    def change(by: int) -> None:
        with lock:
            holding[0] += by
            most[0] = max(most[0], holding[0])

    def work(_: int) -> int:
        change(1)
        return 1

    with ThreadPoolExecutor(8) as files:
        transfers = [files.submit(in_chunks, work, range(40), 3, lambda _: change(-1)) for _ in range(8)]
        for transfer in transfers:
            transfer.result(DEADLINE)
    assert 1 <= most[0] <= 4
    assert free(room) == 4


class TestTheEndIsAskedFor:
    @pytest.fixture
    def full(self, room):
        while room.enter_if_spare():
            pass
        return room

    def test_while_a_transfer_waits_for_room(self, full):
        """It ends although nothing becomes free, and takes no room with it."""
        ends = [Cancellation(), Cancellation()]

        def transfer(end: Cancellation) -> list[int]:
            results: list[int] = []
            with cancellable(end):
                in_chunks(lambda number: number, range(3), 2, results.append)
            return results

        with ThreadPoolExecutor(2) as files:
            first, second = [files.submit(transfer, end) for end in ends]
            wait_until(lambda: full._waiting == 2, DEADLINE, 0.001)
            ends[0].set()
            assert isinstance(first.exception(DEADLINE), TransferCancelled)
            full.leave()
            assert second.result(DEADLINE) == [0, 1, 2]
        assert free(full) == 1
        assert not ends[0]._calls

    def test_before_it_waits(self, full):
        end = Cancellation()
        with pytest.raises(TransferCancelled), cancellable(end):
            end.set()
            in_chunks(lambda number: number, range(3), 2)
        assert not full.wanted

    def test_of_a_block_around_that_of_the_transfer(self, full):
        outer = Cancellation()

        def transfer() -> None:
            with cancellable(outer), cancellable(Cancellation()):
                in_chunks(lambda number: number, range(3), 2)

        with ThreadPoolExecutor(1) as files:
            running = files.submit(transfer)
            wait_until(lambda: full.wanted, DEADLINE, 0.001)
            outer.set()
            assert isinstance(running.exception(DEADLINE), TransferCancelled)

    def test_by_the_failure_of_another_file_of_the_directory(self):
        going_on, ended = threading.Event(), []

        def work(number: int) -> None:
            if number:
                assert going_on.wait(DEADLINE)
                raise LookupError(number)
            going_on.set()
            try:
                pause(DEADLINE)
            except TransferCancelled:
                ended.append(number)
                raise

        with pytest.raises(LookupError):
            in_parallel(work, range(2))
        assert ended == [0]

    def test_of_a_directory(self):
        """Not as though it had been done."""
        end, begun, done = Cancellation(), threading.Barrier(TRANSFERS + 1), []

        def work(number: int) -> None:
            begun.wait(DEADLINE)
            wait_until(end.is_set, DEADLINE, 0.001)
            done.append(number)

        def stop() -> None:
            begun.wait(DEADLINE)
            end.set()

        with ThreadPoolExecutor(1) as other:
            other.submit(stop)
            with pytest.raises(TransferCancelled), cancellable(end):
                in_parallel(work, range(TRANSFERS + 1))
        assert len(done) == TRANSFERS
