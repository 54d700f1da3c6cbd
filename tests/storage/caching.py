"""What tests of the node cache ask of it."""

from contextlib import suppress
from pathlib import Path

from snakemake.azure.blob.cache import NodeCache
from snakemake.azure.blob.files import Source


def entries(cache: NodeCache) -> list[Path]:
    found = []
    for folder in cache.root.iterdir():
        with suppress(FileNotFoundError):
            found += [p for p in folder.iterdir() if "~" in p.name]
    return found


def gets(azurite, mark: str, name: str) -> int:
    """Requests that were answered with content of the blob."""
    parts = [(r, *r.path.partition("?")[::2]) for r in azurite.requests(mark)]
    return sum(
        r.method == "GET" and path.endswith(f"/{name}") and "comp=" not in query and r.status < 300
        for r, path, query in parts
    )


def source_of(data: bytes, etag: str = "1") -> Source:
    return Source(etag, len(data), 1_700_000_000.0, lambda path: path.write_bytes(data) and None)
