"""Brings files between this disk and the default storage prefix: `--az-batch-upload` and `--az-batch-download`.

A file of the workflow has one path: below the working directory here, and below --default-storage-prefix there. What
goes up are the inputs that no job makes, as the DAG has them; what comes down are the results of the targets. Only
what is missing or older on the other side moves, so that a transfer that was cut off goes on where it was when the
command is given again.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.blob.files import walk
from snakemake.azure.blob.here import Here
from snakemake.azure.blob.parallel import in_parallel
from snakemake.azure.blob.storage import StorageProvider
from snakemake.azure.blob.store import BlobStore
from snakemake.executors.azure_batch_inputs import sources
from snakemake.logging import logger

UPLOAD, DOWNLOAD = "--az-batch-upload", "--az-batch-download"
SAY_EVERY = 2.0  # seconds between two lines on how far it is


class DataError(WorkflowError):
    """There is nothing that could be brought; nothing was changed."""


@dataclass(frozen=True)
class Move:
    """One file on its way: its blob, its path here, its bytes, and why it is to be moved."""

    container: str
    name: str
    path: Path
    size: int
    why: str


def upload(workflow: Any, dryrun: bool) -> None:
    """Stores the workflow's source files that lie here, and not or in an older state in storage. When the workflow was
    parsed, such files counted as their blobs (`snakemake.azure.cli`).

    Raises
    ------
    WorkflowError: no default storage in Blob Storage, or Snakemake's own, as for an input that is nowhere.
    """
    provider, prefix = _storage(workflow)
    here = Here(prefix)
    try:
        _build(workflow)
        queries = {file.storage_object.query for _, file in sources(workflow.dag, workflow.dag.jobs)}
        paths = {query: here.path(query) for query in queries}
    finally:
        StorageProvider.counts_here = False
    moves = list(_newer_here(provider.store, {q: p for q, p in paths.items() if p is not None}))
    _move(
        moves, "upload", f"to {prefix}", dryrun, lambda m: provider.store.upload(m.container, m.name, m.path)
    )


def download(workflow: Any, dryrun: bool) -> None:
    """Fetches what the target jobs make, or need if they make nothing, to its paths below the working directory.

    Raises
    ------
    WorkflowError: nothing of it is in storage; or as for `upload`.
    """
    provider, prefix = _storage(workflow)
    _build(workflow)
    files = [f for job in workflow.dag.targetjobs for f in (job.output or job.input) if _is_ours(f, prefix)]
    moves, absent = _newer_there(provider.store, [f.storage_object for f in files], prefix)
    if absent and len(absent) == len({f.storage_object.query for f in files}):
        raise DataError(
            f"There is nothing to download: {_some(absent)} not in storage yet; run the workflow first."
        )
    if absent:
        logger.warning(f"Not in storage, and so not downloaded: {', '.join(absent[:3])}{_more(absent, 3)}.")
    _move(moves, "download", f"from {prefix}", dryrun, lambda m: _fetch(provider.store, m))


def missing_here(files: Iterable[Any], workflow: Any) -> str:
    """A sentence for missing inputs that lie on this disk; "" if there are none."""
    prefix = _prefix(workflow)
    paths = [Here(prefix).path(f.storage_object.query) for f in files if _is_ours(f, prefix)]
    here = [str(path) for path in paths if path is not None]
    if not here:
        return ""
    lie = "lies" if len(here) == 1 else "lie"
    return (
        f"{', '.join(here[:3])}{_more(here, 3)} {lie} on this disk and not in storage: the same command with {UPLOAD} "
        "stores it there."
    )


def _prefix(workflow: Any) -> str:
    settings = workflow.storage_settings
    return (settings.default_storage_prefix or "").rstrip("/") if settings is not None else ""


def _storage(workflow: Any) -> tuple[StorageProvider, str]:
    provider = workflow.storage_registry.default_storage_provider
    if not isinstance(provider, StorageProvider) or not _prefix(workflow):
        raise DataError(
            f"{UPLOAD} and {DOWNLOAD} need the place of the workflow's files: give --default-storage-provider azblob "
            "and --default-storage-prefix az://CONTAINER/PREFIX, as for the run."
        )
    return provider, _prefix(workflow)


def _build(workflow: Any) -> None:
    workflow._prepare_dag(forceall=False, ignore_incomplete=True, lock_warn_only=True)
    workflow._build_dag()


def _is_ours(file: Any, prefix: str) -> bool:
    return bool(prefix) and file.is_storage and file.storage_object.query.startswith(f"{prefix}/")


def _newer_here(store: BlobStore, paths: dict[str, Path]) -> Iterator[Move]:
    found: list[tuple[str, str, Path]] = []
    for query, path in sorted(paths.items()):
        container, _, name = query.removeprefix("az://").partition("/")
        if path.is_dir():
            found += [(container, f"{name}/{below}", path / below) for below in walk(path)[0]]
        else:
            found.append((container, name, path))
    for container in {each[0] for each in found}:
        store.look_at(container, [name for c, name, _ in found if c == container])
    for container, name, path in found:
        state, blob = path.stat(), store.head(container, name)
        if blob is None or blob.is_folder:
            yield Move(container, name, path, state.st_size, "not in storage")
        elif int(state.st_mtime) > blob.mtime:
            yield Move(container, name, path, state.st_size, "newer here")


def _newer_there(store: BlobStore, objects: Sequence[Any], prefix: str) -> tuple[list[Move], list[str]]:
    """What is to be fetched, and the paths of what is not there."""
    moves: dict[str, Move] = {}
    absent: list[str] = []
    root = prefix.removeprefix("az://").partition("/")[2]
    for each in sorted(objects, key=lambda o: o.query):
        blob = store.head(each.container, each.name)
        is_file = blob is not None and not blob.is_folder
        blobs = [blob] if is_file else [b for b in store.below(each.container, each.name) if not b.is_folder]
        if not blobs and blob is None:
            absent.append(each.query.removeprefix(f"{prefix}/"))
        for one in blobs:
            path = Path(one.name.removeprefix(f"{root}/") if root else one.name)
            if not path.exists():
                moves[one.name] = Move(each.container, one.name, path, one.size, "not here")
            elif int(path.stat().st_mtime) < int(one.mtime):
                moves[one.name] = Move(each.container, one.name, path, one.size, "newer there")
    return list(moves.values()), absent


def _fetch(store: BlobStore, move: Move) -> None:
    move.path.parent.mkdir(parents=True, exist_ok=True)
    store.fetch(move.container, move.name, move.path, shared=False)


def _move(moves: list[Move], verb: str, where: str, dryrun: bool, one: Callable[[Move], None]) -> None:
    total = sum(move.size for move in moves)
    what = f"{len(moves):,} file{'' if len(moves) == 1 else 's'}, {_bytes(total)}"
    if not moves:
        logger.info(f"Nothing to {verb}: both sides have the same.")
        return
    if dryrun:
        for move in moves:
            logger.info(f"{move.path} ({_bytes(move.size)}): {move.why}")
        logger.info(f"Would {verb} {what}, {where}.")
        return
    logger.info(f"To {verb}: {what}, {where}.")
    progress = _Progress(len(moves), total)

    def work(move: Move) -> None:
        one(move)
        progress.done(move)

    in_parallel(work, moves)
    logger.info(f"{verb.capitalize()}ed {what}, {where}.")


class _Progress:
    def __init__(self, files: int, size: int) -> None:
        self._files, self._size = files, size
        self._moved = self._bytes = 0
        self._said = time.monotonic()
        self._lock = threading.Lock()

    def done(self, move: Move) -> None:
        with self._lock:
            self._moved += 1
            self._bytes += move.size
            now = time.monotonic()
            if now - self._said < SAY_EVERY:
                return
            self._said = now
            share = f", {self._bytes / self._size:.0%}" if self._size else ""
            logger.info(
                f"{self._moved:,} of {self._files:,} files{share} ({_bytes(self._bytes)} of {_bytes(self._size)})"
            )


def _bytes(size: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


def _more(names: Sequence[str], shown: int) -> str:
    return f" and {len(names) - shown:,} more" if len(names) > shown else ""


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:3])}{_more(names, 3)} {'is' if len(names) == 1 else 'are'}"
