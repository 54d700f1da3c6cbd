"""What a task really uses: processor, memory, disk, bytes in and out, and how long each part of it took.

Measured here, beside the job, since Batch tells none of it. The task's first process and its child share a few numbers
in memory (`Meter`), so that what was measured outlives a child that is killed. In a container of its own, memory and
CPU are those that the kernel has counted for all of it (cgroup v2,
https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files); elsewhere the peak is that of looks at the
process tree, and no less than that of its largest process. Disk is what the task's directory holds: when the job has
ended, before the local copies go, and at some moments before.

The child stores the line when all is well, over the connection that it has; else the first process does, with the logs.
"""

import json
import mmap
import os
import resource
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

CGROUP, OWN_GROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
FIRST_LOOK, LONGEST_PAUSE = 0.5, 15.0  # seconds
MOST_FILES = 20_000
"""So many files of a directory are looked at."""

_PAGE = resource.getpagesize()
_RECEIVED, _SENT, _BEGAN, _READY, _STAGED_IN, _RAN, _STAGED_OUT, _MEMORY, _DISK = range(9)


class Meter:
    """The numbers of one task. Times are of the monotonic clock, in seconds, and 0 for what has not happened."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.numbers = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("d")
        self.numbers[_BEGAN] = clock()

    @property
    def traffic(self) -> "memoryview[float]":
        """Bytes received and sent, for who counts them."""
        return self.numbers[_RECEIVED : _SENT + 1]

    def staging_in(self) -> Callable[[], None]:
        """To be called before inputs are fetched; what it returns, after that."""
        began = self._clock()
        if not self.numbers[_READY]:
            self.numbers[_READY] = began
        return lambda: self._add(_STAGED_IN, self._clock() - began)

    def staging_out(self) -> Callable[[], None]:
        began = self._clock()
        if not self.numbers[_RAN]:
            self.numbers[_RAN] = began
        return lambda: self._add(_STAGED_OUT, self._clock() - began)

    def _add(self, number: int, seconds: float) -> None:
        self.numbers[number] += seconds

    def look(self, pid: int, folder: Path) -> None:
        """Keeps the most of what the processes from `pid` on and the folder take now."""
        self.numbers[_MEMORY] = max(self.numbers[_MEMORY], resident(pid))
        self.look_at_disk(folder)

    def look_at_disk(self, folder: Path) -> None:
        self.numbers[_DISK] = max(self.numbers[_DISK], disk(folder))

    def watch(self, pid: int, folder: Path) -> None:
        """Looks now and then, in a thread that ends with the process."""

        def looks() -> None:
            pause = FIRST_LOOK
            while True:
                time.sleep(pause)
                self.look(pid, folder)
                pause = min(LONGEST_PAUSE, pause * 1.5)

        threading.Thread(target=looks, daemon=True).start()

    def line(self, environ: Mapping[str, str], code: int) -> bytes:
        """The task's line: bytes, and seconds, as they are now. `code` is the exit code of its job."""
        now, n = self._clock(), self.numbers
        ready = n[_READY] or now
        ran = n[_RAN] or now
        peak, seconds = container_memory(), container_seconds()
        usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        largest = max(each.ru_maxrss for each in usage) * 1024
        values = {
            "task": environ.get("AZ_BATCH_TASK_ID", ""),
            "node": environ.get("AZ_BATCH_NODE_ID", ""),
            "code": code,
            "ended": round(time.time(), 3),
            "cpu_seconds": round(
                sum(each.ru_utime + each.ru_stime for each in usage) if seconds is None else seconds, 3
            ),
            "memory_bytes": int(max(n[_MEMORY], largest) if peak is None else peak),
            "memory_of": "processes" if peak is None else "container",
            "disk_bytes": int(max(n[_DISK], n[_RECEIVED] + n[_SENT])),
            "received_bytes": int(n[_RECEIVED]),
            "sent_bytes": int(n[_SENT]),
            "start_seconds": round(ready - n[_BEGAN], 3),
            "stage_in_seconds": round(n[_STAGED_IN], 3),
            "job_seconds": round(max(0.0, ran - ready - n[_STAGED_IN]) if n[_READY] else 0.0, 3),
            "stage_out_seconds": round(n[_STAGED_OUT], 3),
        }
        return json.dumps(values, separators=(",", ":")).encode() + b"\n"


def in_container() -> bool:
    """Whether the control group that is seen is the container's own, and not one with the processes of others."""
    with suppress(OSError):
        return OWN_GROUP.read_text().strip() == "0::/" and (CGROUP / "memory.current").exists()
    return False


def container_memory() -> int | None:
    """The container's peak in bytes; None where the kernel does not tell (before 5.19, or no container)."""
    with suppress(OSError, ValueError):
        return int((CGROUP / "memory.peak").read_text()) if in_container() else None
    return None


def container_seconds() -> float | None:
    """What the container has used of CPU."""
    with suppress(OSError, ValueError, StopIteration):
        if in_container():
            lines = (CGROUP / "cpu.stat").read_text().splitlines()
            return int(next(line for line in lines if line.startswith("usage_usec")).split()[1]) / 1e6
    return None


def resident(pid: int) -> int:
    """The resident memory in bytes of a process and its descendants; what they share counts for each."""
    total, waiting, seen = 0, [pid], set()
    while waiting:
        each = waiting.pop()
        seen.add(each)
        with suppress(OSError, ValueError, IndexError):
            total += int(Path(f"/proc/{each}/statm").read_text().split()[1]) * _PAGE
            for thread in os.listdir(f"/proc/{each}/task"):  # noqa: PTH208
                with suppress(OSError):
                    children = Path(f"/proc/{each}/task/{thread}/children").read_text().split()
                    waiting += [int(child) for child in children if int(child) not in seen]
    return total


def disk(folder: Path) -> int:
    """Bytes on disk of what is in the folder; of `MOST_FILES` at the most."""
    total = count = 0
    waiting = [os.fspath(folder)]
    while waiting and count < MOST_FILES:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                count += 1
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


class Measuring:
    """The measuring of one task from inside its child process: between Snakemake's steps, and at the end. `sources` is
    the `CONTAINER/BLOB` of the run's sources."""

    def __init__(self, meter: Meter, sources: str, folder: Path) -> None:
        self._meter = meter
        self._sources = sources
        self._folder = folder
        self._store: Any = None

    def follow(self) -> None:
        """From now on Snakemake's steps are timed, and what is moved is counted."""
        from snakemake.azure.blob import traffic
        from snakemake.dag import DAG

        traffic.counts = self._meter.traffic
        fetch, keep = DAG.retrieve_storage_inputs, DAG.store_storage_outputs

        async def fetching(dag: Any, *args: Any, **options: Any) -> Any:
            done = self._meter.staging_in()
            try:
                return await fetch(dag, *args, **options)
            finally:
                done()

        async def keeping(dag: Any, *args: Any, **options: Any) -> Any:
            self._store = dag.workflow.storage_registry.default_storage_provider.store
            self._meter.look_at_disk(self._folder)
            done = self._meter.staging_out()
            try:
                return await keep(dag, *args, **options)
            finally:
                done()

        DAG.retrieve_storage_inputs, DAG.store_storage_outputs = fetching, keeping

    def store(self) -> None:
        """Stores the line of a task that ends well. What goes wrong is nobody's matter: the output is there."""
        if self._store is None:
            return
        with suppress(Exception):
            self._store.check_run()
            store_line(self._store.service, self._sources, os.environ, self._meter.line(os.environ, 0))


def store_line(service: Any, sources: str, environ: Mapping[str, str], line: bytes) -> None:
    from snakemake.azure.blob.stored_logs import folder
    from snakemake.azure.blob.stored_usage import append

    append(service, folder(sources), environ.get("AZ_BATCH_NODE_ID", "node"), line)
