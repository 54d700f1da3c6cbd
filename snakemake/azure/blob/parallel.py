"""Files at once, and chunks of a large file at once, in threads that all transfers of this process share.

A chunk is worked for by one thread from its beginning to its end. If one thread took its memory and another gave it
back, the allocator would return it to the system each time and ask for it again: half a second of CPU for a gigabyte.
For the same reason the threads are not each file's own: the allocator keeps what a thread has freed for that thread.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import cache
from typing import Generic, TypeVar

from snakemake.azure.blob.files import Cancellation, cancellable, progress_hook, when_cancelled

S = TypeVar("S")
T = TypeVar("T")

# Files in transfer at once, most of them small: it takes that many to hide the time that a request is on its way.
TRANSFERS = 16
# Chunks at once for one large file.
CONCURRENCY = 6
# Chunks that all transfers together hold in memory.
CHUNKS = 8


@cache
def _threads(count: int, name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix=name)


def in_parallel(work: Callable[[T], object], jobs: Sequence[T]) -> None:
    """Runs `work` for each job, TRANSFERS at once; the first failure ends it and is raised. The other transfers stop at
    their next chunk.

    `work` must not call this itself.
    """
    if len(jobs) < 2:
        for job in jobs:
            work(job)
        return
    coming, lock, failed = iter(jobs), threading.Lock(), Cancellation()
    errors: list[BaseException] = []

    def some() -> None:
        while not failed.is_set():
            with lock:
                job = next(coming, done)
            if job is done:
                return
            try:
                work(job)  # type: ignore[arg-type]
            except BaseException as error:
                errors.append(error)
                failed.set()
                raise

    done = object()
    pool = _threads(TRANSFERS, "azblob-files")
    with cancellable(failed):
        # Not a future for each job: they would take more memory than the transfers.
        futures = [pool.submit(copy_context().run, some) for _ in range(min(TRANSFERS, len(jobs)))]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            failed.set()
            wait([future for future in futures if not future.cancel()])
    if errors:
        raise errors[0]
    progress_hook()  # raises if they were stopped before the last job


class Room:
    """Memory for so many chunks. Each transfer has room for one, which it may wait for, and for more of them while
    nobody waits.
    """

    def __init__(self, chunks: int) -> None:
        self._all = self._most = chunks
        self._free = chunks  # less than none while there are more in it than there may be now
        self._waiting = 0
        self._left = threading.Condition()

    def enter(self) -> None:
        """Raises TransferCancelled as soon as the transfer's end is asked for."""
        cancelled = progress_hook()
        with when_cancelled(self._look), self._left:
            self._waiting += 1
            try:
                self._left.wait_for(lambda: cancelled() or self._free > 0)
                self._free -= 1
            except BaseException:
                self._left.notify()  # somebody else, if it was this one
                raise
            finally:
                self._waiting -= 1

    def _look(self) -> None:
        with self._left:
            self._left.notify_all()

    def enter_if_spare(self) -> bool:
        with self._left:
            if self._free <= self._waiting:
                return False
            self._free -= 1
            return True

    def leave(self) -> None:
        with self._left:
            self._free += 1
            self._left.notify()

    def shrink(self) -> None:
        """Half of it is left, but for one chunk; those that are in there may stay."""
        self._resize(max(1, self._all // 2))

    def widen(self) -> None:
        self._resize(min(self._most, self._all * 2))

    def _resize(self, chunks: int) -> None:
        with self._left:
            self._free += chunks - self._all
            self._all = chunks
            self._left.notify_all()

    @property
    def wanted(self) -> bool:
        with self._left:
            return self._waiting > self._free


room = Room(CHUNKS)


def in_chunks(
    work: Callable[[S], T], jobs: Iterable[S], concurrency: int, *then: Callable[[T], object]
) -> None:
    """Runs `work` for each job, which is a chunk: up to `concurrency` at once, as far as there is `room`. Each function
    of `then` gets the results, one at a time and in the order of the jobs. The first failure ends it and is raised.

    A job is taken from the iterator by whichever thread does it, one at a time and no earlier than needed.
    """
    _Chunks(work, jobs, concurrency, then).run()


class _Chunks(Generic[S, T]):
    def __init__(
        self,
        work: Callable[[S], T],
        jobs: Iterable[S],
        concurrency: int,
        then: Sequence[Callable[[T], object]],
    ) -> None:
        self._work, self._then, self._concurrency = work, then, concurrency
        self._coming = iter(jobs)
        self._taking = threading.Lock()
        self._taken = 0
        self._changed = threading.Condition()  # what follows
        self._threads = 0
        self._turns = [0] * len(then)  # for each of `then` the number of the job whose result is next
        self._error: BaseException | None = None

    def run(self) -> None:
        room.enter()
        self._start(spare=False)
        with self._changed:
            try:
                self._changed.wait_for(lambda: not self._threads)
            except BaseException as error:  # noqa: BLE001  # such as KeyboardInterrupt; raised below
                self._fail(error)
                self._changed.wait_for(lambda: not self._threads)
            try:
                if self._error is not None:
                    raise self._error
            finally:
                self._error = None  # whose frames know this object, and chunks

    def _start(self, spare: bool) -> None:
        """A thread, in the room that was entered; a spare one ends when somebody else needs its room."""
        self._threads += 1
        try:
            _threads(CHUNKS, "azblob-chunks").submit(copy_context().run, self._thread, spare)
        except BaseException:
            self._threads -= 1
            room.leave()
            raise

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self._changed.notify_all()

    def _thread(self, spare: bool) -> None:
        try:
            while self._next() and not (spare and room.wanted):
                pass
        except BaseException as error:  # noqa: BLE001  # raised by `run`
            with self._changed:
                self._fail(error)
        room.leave()
        with self._changed:
            self._threads -= 1
            self._changed.notify_all()

    def _next(self) -> bool:
        """Does the next job; False if there is none, or one has failed."""
        with self._taking:
            if self._error is not None:
                return False
            try:
                job = next(self._coming)
            except StopIteration:
                return False
            number = self._taken
            self._taken += 1
            with self._changed:
                if self._threads < self._concurrency and room.enter_if_spare():
                    self._start(spare=True)
        result = self._work(job)
        for stage, then in enumerate(self._then):
            with self._changed:
                self._changed.wait_for(lambda: self._turns[stage] == number or self._error is not None)  # noqa: B023
                if self._error is not None:
                    return False
            then(result)
            with self._changed:
                self._turns[stage] += 1
                self._changed.notify_all()
        return True
