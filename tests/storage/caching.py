"""What tests of the node cache ask of it."""

from contextlib import suppress
from pathlib import Path

from snakemake.azure.blob.files import Source
from snakemake.azure.blob.node_cache import NodeCache


def entries(cache: NodeCache) -> list[Path]:
    found = []
    for folder in cache.root.iterdir():
        with suppress(FileNotFoundError):
            found += [p for p in folder.iterdir() if "~" in p.name]
    return found


def contents(azurite, mark: str) -> list[str]:
    """Paths of the requests that were answered with a blob's content, rather than with its list of blocks."""
    answered = [r for r in azurite.requests(mark) if r.method == "GET" and r.status < 300]
    return [r.path.partition("?")[0] for r in answered if "comp=" not in r.path]


def gets(azurite, mark: str, name: str) -> int:
    """Requests that were answered with content of the blob."""
    return sum(path.endswith(f"/{name}") for path in contents(azurite, mark))


def source_of(data: bytes, etag: str = "1") -> Source:
    return Source(etag, len(data), 1_700_000_000.0, lambda path: path.write_bytes(data) and None)
