"""What is known of blobs, so that it is not asked for again. No I/O; methods may be called from threads.

Knowledge has no age: an entry counts until this process changes the blob, or is told that somebody else may have. An
answer counts only if its question was asked after the last change that is known of, however long it was on its way. The
order of questions and changes is that of numbers which are given out one after the other; no clock is involved.

That something is absent counts for less: as soon as any job has ended elsewhere, it may be there.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TypeVar

from snakemake.azure.blob.entries import Blob
from snakemake.azure.blob.inventory import lineage

Key = tuple[str, str]  # a container and a name in it
V = TypeVar("V")

MOST = 200_000  # entries of each kind; the oldest go first


class Change:
    """A change on its way; `made` says what the service answered that the blob is now."""

    def __init__(self) -> None:
        self.blob: Blob | None = None

    def made(self, blob: Blob) -> None:
        self.blob = blob


class MetadataCache:
    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._numbers = count(1)
        # With the number of the question that they answer.
        self._blobs: dict[Key, tuple[int, Blob]] = {}
        self._absent: dict[Key, int] = {}
        self._newest: dict[Key, tuple[int, float]] = {}
        # With the number of the last change: of the name and all below it, and of anything below the name.
        self._changed: dict[Key, int] = {}
        self._changed_below: dict[Key, int] = {}
        self._floor = 0  # what was asked before does not count, since not all changes after it are kept
        self._absent_floor = 0

    def ask(self) -> int:
        """A number for a question that is about to be asked; `remember...` wants it back with the answer."""
        return next(self._numbers)

    # -- what is known ---------------------------------------------------------------------------------------

    def blob(self, container: str, name: str) -> Blob | None:
        asked, blob = self._blobs.get((container, name), (0, None))
        return blob if blob is not None and self._counts(container, name, asked) else None

    def is_absent(self, container: str, name: str) -> bool:
        """Whether it is known that there is no such blob and nothing below that name."""
        asked = self._absent.get((container, name), 0)
        return (
            asked > self._absent_floor
            and asked > self._changed_below.get((container, name), 0)
            and self._counts(container, name, asked)
        )

    def newest_below(self, container: str, directory: str) -> float | None:
        """The newest mtime of all below the directory, in seconds since 1970; 0.0 if there is nothing."""
        asked, mtime = self._newest.get((container, directory), (0, None))
        if asked <= self._changed_below.get((container, directory), 0):
            return None
        return mtime if self._counts(container, directory, asked) else None

    def _counts(self, container: str, name: str, asked: int) -> bool:
        if asked <= self._floor:
            return False
        return all(asked > self._changed.get((container, above), 0) for above in lineage(name))

    # -- what was answered -----------------------------------------------------------------------------------

    def remember(self, container: str, asked: int, blobs: Iterable[Blob]) -> None:
        with self._lock:
            for blob in blobs:
                key = container, blob.name
                if self._blobs.get(key, (0, None))[0] < asked:
                    self._blobs[key] = asked, blob
            self._bound(self._blobs)

    def remember_absent(self, container: str, asked: int, names: Iterable[str]) -> None:
        with self._lock:
            self._absent.update(((container, name), asked) for name in names)
            self._bound(self._absent)

    def remember_newest(self, container: str, asked: int, directory: str, mtime: float) -> None:
        with self._lock:
            self._newest[container, directory] = asked, mtime
            self._bound(self._newest)

    # -- what has changed ------------------------------------------------------------------------------------

    @contextmanager
    def changing(self, container: str, name: str) -> Iterator[Change]:
        """Around a change by this process, successful or not: whoever asks meanwhile may be told what was before.

        What the service answered to the change is known from then on, unless there was another change meanwhile.
        """
        change, begun = Change(), self.ask()
        try:
            yield change
        finally:
            with self._lock:
                alone = self._changed.get((container, name), 0) < begun
                self._note(container, name)
                if alone and change.blob is not None:
                    self._blobs[container, name] = self.ask(), change.blob
                    self._bound(self._blobs)

    def forget(self, container: str, names: Iterable[str]) -> None:
        """Somebody else may have changed these, and all below them; and may have made what was absent."""
        with self._lock:
            for name in names:
                self._note(container, name)
            self._absent.clear()
            self._absent_floor = self.ask()

    def _note(self, container: str, name: str) -> None:
        number = self.ask()
        self._blobs.pop((container, name), None)
        self._absent.pop((container, name), None)
        self._put_last(self._changed, (container, name), number)
        for above in lineage(name):
            self._put_last(self._changed_below, (container, above), number)
        for kept in (self._changed, self._changed_below):
            self._floor = max(self._floor, self._bound(kept) or 0)

    @staticmethod
    def _put_last(kept: dict[Key, int], key: Key, number: int) -> None:
        kept.pop(key, None)
        kept[key] = number

    def _bound(self, kept: dict[Key, V]) -> V | None:
        """Lets the oldest tenth go when there are too many; the newest of those."""
        if len(kept) <= self._most:
            return None
        last = None
        for key in list(kept)[: self._most // 10 + 1]:
            last = kept.pop(key)
        return last
