"""What a store has, for tests."""

import threading
import time

from snakemake.azure.blob.entries import Blob
from snakemake.azure.blob.store import BlobStore


def seen(store: BlobStore, box: str, name: str) -> Blob:
    blob = store.head(box, name)
    assert blob is not None
    return blob


def names(store: BlobStore, box: str, prefix: str = "") -> list[str]:
    return [b.name for page in store.pages(box, prefix) for b in page.blobs]


def wait_for_next_second(mtime: float) -> None:
    """Last-Modified has whole seconds."""
    deadline = time.monotonic() + 5
    while int(time.time()) <= int(mtime):
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)
