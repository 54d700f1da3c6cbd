"""How many bytes of blobs this process has moved: what was downloaded, and not taken from the node's cache, and what
was uploaded. Each file counts when it is through."""

import threading
from collections.abc import MutableSequence

_RECEIVED, _SENT = range(2)

counts: "MutableSequence[float] | memoryview[float]" = [0.0, 0.0]
"""Bytes received and sent; another place for them may be put here."""

_lock = threading.Lock()


def received(size: int) -> None:
    with _lock:
        counts[_RECEIVED] += size


def sent(size: int) -> None:
    with _lock:
        counts[_SENT] += size
