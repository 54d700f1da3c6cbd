"""How often a node fetches the workflow's sources, as Azurite's log has it: once, or once for each task."""

from collections import Counter
from typing import Any

from misc.bench import report
from misc.bench.setting import finish, running, say, services, workdir
from misc.bench.tasks import az_batch_command

TASKS = 20


def run() -> None:
    say(f"copies: of the workflow's sources, for {TASKS} tasks on one node")
    before = report.conditions()
    with services() as around, workdir(around, "node") as cwd:
        mark = around.mark()
        more = ["--az-batch-nodes", "1", "--az-batch-slots-per-node", "2", "--config", f"jobs={TASKS}"]
        with running(az_batch_command(around, cwd, TASKS, *more), cwd, around.environ) as process:
            finish(process, cwd, 300)
        requests = around.blob_requests(mark)
    fetched = sum(
        r.method == "GET" and r.path.partition("?")[0].endswith("/sources.tar.gz") for r in requests
    )
    result: dict[str, Any] = {
        "tasks": TASKS,
        "fetched": fetched,
        "ratio_to_once_per_task": round(fetched / TASKS, 4),
        "blob_requests": len(requests),
        "blob_requests_by_method": dict(Counter(r.method for r in requests).most_common()),
    }
    say(
        f"  fetched {fetched} time(s); against once per task: {result['ratio_to_once_per_task']:.3f} (of {TASKS})"
    )
    say(f"  all requests to Blob Storage, the main process's included: {len(requests)}")
    report.publish("copies", before, result)
