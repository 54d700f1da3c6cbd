"""What tasks of one node that read the same blob fetch, with the node cache and without, and how long they take."""

import math
import os
from typing import Any

from misc.bench import report
from misc.bench.setting import CONTAINER, HERE, Services, finish, running, say, services, workdir
from misc.bench.tasks import az_batch_command, pipe, wait_for

TASKS = 20
SLOTS = 2
OFF = "--storage-azblob-no-node-cache"


def run(size: int) -> None:
    say(f"cache: {TASKS} tasks on one node, {SLOTS} at a time, that read the same {size // 1_000_000} MB")
    before = report.conditions()
    with services() as around:
        on = measure(around, size, "shared", "--storage-azblob-node-cache-free-mb", "0")
        off = measure(around, size, "alone", OFF)
    result = summarize(size, on, off)
    show(result)
    report.publish("cache", before, result)


def measure(around: Services, size: int, name: str, *options: str) -> dict[str, Any]:
    """One run: downloads of the whole file, by Azurite's log, and seconds of each task, as Batch reports them."""
    with workdir(around, name) as cwd, around.batch() as batch:
        (cwd / "Snakefile").write_bytes((HERE / "workflow" / "reading.smk").read_bytes())
        from snakemake.azure.blob.service import connect

        with connect(around.blob) as service:
            client = service.get_blob_client(CONTAINER, f"{name}/in/shared.bin")
            client.upload_blob(os.urandom(size))
        fifo = cwd / "pipe"
        # One more slot, for the job that keeps the run waiting until its tasks have been looked at.
        slots = ["--az-batch-nodes", "1", "--az-batch-slots-per-node", str(SLOTS + 1)]
        config = ["--config", f"jobs={TASKS}", f"hold={fifo}"]
        command = az_batch_command(around, cwd, TASKS + 1, *slots, *options, *config)

        def ended() -> list[Any] | None:
            tasks = [
                t for job in batch.list_jobs() for t in batch.list_tasks(job.id) if t.id.startswith("read")
            ]
            done = [t for t in tasks if t.execution_info.end_time]
            return done if len(done) == TASKS else None

        mark = around.mark()
        with running(command, cwd, around.environ) as process:
            with pipe(fifo):
                done = wait_for(ended, process, cwd)
                info = [t.execution_info for t in done]
            finish(process, cwd, 600)
        requests = around.blob_requests(mark)
    parts = 0
    for request in requests:
        path, _, query = request.path.partition("?")
        content = request.method == "GET" and "comp=" not in query  # else it is the list of blocks
        parts += content and request.status < 300 and path.endswith(f"/{name}/in/shared.bin")
    return {
        "requests_with_content": parts,
        "seconds": sorted((i.end_time - i.start_time).total_seconds() for i in info),
    }


def summarize(size: int, on: dict[str, Any], off: dict[str, Any]) -> dict[str, Any]:
    from snakemake.azure.blob.files import CHUNK, SMALL

    requests = 1 + max(0, math.ceil((size - SMALL) / CHUNK))

    def fetched(side: dict[str, Any]) -> int:
        return round(side["requests_with_content"] / requests * size)

    seconds = {"cache": report.spread(on["seconds"]), "no_cache": report.spread(off["seconds"])}
    return {
        "tasks": TASKS,
        "bytes": size,
        "fetched": {"cache": fetched(on), "no_cache": fetched(off)},
        "ratio_to_once_per_task": round(fetched(on) / (TASKS * size), 4),
        "ratio_to_no_cache": round(fetched(on) / fetched(off), 4),
        "task_s": seconds,
        "task_ratio": round(seconds["cache"]["median"] / seconds["no_cache"]["median"], 3),
        "root": os.geteuid() == 0,
    }


def show(result: dict[str, Any]) -> None:
    fetched, seconds = result["fetched"], result["task_s"]
    say(
        f"  bytes fetched: {fetched['cache']:,} with the cache, {fetched['no_cache']:,} without; against once per "
        f"task: {result['ratio_to_once_per_task']:.3f}"
    )
    say(
        f"  seconds of a task: {report.text(seconds['cache'])} with the cache, {report.text(seconds['no_cache'])} "
        f"without; ratio of the medians {result['task_ratio']:.2f}"
    )
    kind = (
        "root, so that tasks get reflinks or copies" if result["root"] else "not root: reflinks or hard links"
    )
    say(f"  Azurite is on this machine, so a download costs little more than a copy; the tasks run as {kind}")
