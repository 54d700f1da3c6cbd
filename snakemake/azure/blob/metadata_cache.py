"""What was seen of blobs a moment ago, so that it is not asked for again. No I/O; methods may be called from threads.

Snakemake asks for existence, age and size in separate calls, and often twice. An answer counts from when its question
was asked, and not at all when the blob was changed after that.
"""

import threading
from collections.abc import Iterable

from snakemake.azure.blob.entries import Blob
from snakemake.azure.blob.inventory import lineage, parent_of

# How long a blob is remembered; Last-Modified has whole seconds.
SEEN_SECONDS = 1.0
# How long it is remembered that there is nothing: Snakemake asks about a missing output twice in a row.
ABSENT_SECONDS = 0.25
SEEN_BLOBS = 20_000


class Seen:
    """Times are those of one clock that never goes back, in seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # With the time of the question; without a blob, the time of its last change through us.
        self._blobs: dict[tuple[str, str], tuple[float, Blob | None]] = {}
        self._absent: dict[tuple[str, str], float] = {}
        # The same for the newest mtime of all below a directory.
        self._newest: dict[tuple[str, str], tuple[float, float | None]] = {}

    def recent(self, container: str, name: str, now: float) -> Blob | None:
        when, blob = self._blobs.get((container, name), (0.0, None))
        return blob if blob is not None and now - when < SEEN_SECONDS else None

    def is_absent(self, container: str, name: str, now: float) -> bool:
        return now - self._absent.get((container, name), -ABSENT_SECONDS) < ABSENT_SECONDS

    def newest_below(self, container: str, directory: str, now: float) -> float | None:
        when, mtime = self._newest.get((container, directory), (0.0, None))
        return mtime if now - when < SEEN_SECONDS else None

    def remember_newest(self, container: str, asked: float, directory: str, mtime: float) -> None:
        with self._lock:
            if len(self._newest) > SEEN_BLOBS:
                self._newest.clear()
            when, known = self._newest.get((container, directory), (asked, None))
            if known is not None or when <= asked:
                self._newest[container, directory] = (asked, mtime)

    def remember(self, container: str, asked: float, blobs: Iterable[Blob]) -> None:
        with self._lock:
            if len(self._blobs) > SEEN_BLOBS:
                self._blobs.clear()
            for blob in blobs:
                if not self._changed_since(container, blob.name, asked):
                    self._blobs[container, blob.name] = (asked, blob)

    def remember_absence(self, container: str, asked: float, name: str) -> None:
        with self._lock:
            if len(self._absent) > SEEN_BLOBS:
                self._absent.clear()
            if not self._changed_since(container, name, asked):
                self._absent[container, name] = asked

    def changed(self, container: str, name: str, now: float) -> None:
        """To be called after each change, successful or not: whoever asked before may be told what was before."""
        with self._lock:
            self._blobs[container, name] = (now, None)
            self._absent.pop((container, name), None)
            for above in lineage(parent_of(name)):
                self._newest[container, above] = (now, None)

    def _changed_since(self, container: str, name: str, asked: float) -> bool:
        when, blob = self._blobs.get((container, name), (asked, None))
        return blob is None and when > asked
