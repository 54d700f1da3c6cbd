"""How many requests to Azure Batch a run makes, as the emulator's log of requests has them.

The measure to hold them against is a client that asks for each open task by itself at each poll. The published plugin
(snakemake-executor-plugin-azure-batch 0.3.0) makes three requests for that: the pool, the list of its nodes, the task.
"""

import json
import re
from collections import Counter
from typing import Any

from misc.bench import report
from misc.bench.setting import BIN, HERE, finish, running, say, services, workdir
from misc.bench.tasks import az_batch_command

TASKS = 200
NODES = 2
PER_TASK_AND_POLL = 3
DEFAULT_INTERVAL = 10.0
"""Snakemake's --seconds-between-status-checks when it is not given, as in this run."""

# Ids are replaced by their kind; the order matters.
SHAPES = [
    (r"/jobs/[^/]+/tasks/[^/]+/files/.+", "/jobs/ID/tasks/ID/files/PATH"),
    (r"/jobs/[^/]+/tasks/[^/]+", "/jobs/ID/tasks/ID"),
    (r"/jobs/[^/]+/(tasks|addtaskcollection)", r"/jobs/ID/\1"),
    (r"/jobs/[^/]+", "/jobs/ID"),
    (r"/pools/[^/]+/(nodes|resize)", r"/pools/ID/\1"),
    (r"/pools/[^/]+", "/pools/ID"),
]


def run() -> None:
    say(
        f"requests: to Azure Batch, in a run of {TASKS} tasks on {NODES} nodes at the default interval of polls"
    )
    before = report.conditions()
    with services() as around, workdir(around, "many") as cwd:
        polls = cwd / "polls.jsonl"
        arguments = az_batch_command(
            around, cwd, TASKS, "--az-batch-nodes", str(NODES), "--config", f"jobs={TASKS}"
        )
        command = [
            str(BIN / "python"),
            str(HERE / "inside" / "counting_client.py"),
            str(polls),
            *arguments[1:],
        ]
        with running(command, cwd, around.environ) as process:
            finish(process, cwd, 400)
        made = around.batch_requests()
        seen = [json.loads(line) for line in polls.read_text().splitlines()]
    if not any(path.endswith("/addtaskcollection") for _, path, _ in made):
        raise SystemExit("The emulator's log shows no task added: its lines are no longer what this reads.")
    result = summarize(made, seen)
    show(result)
    report.publish("requests", before, result)


def shape(path: str) -> str:
    for pattern, name in SHAPES:
        if re.fullmatch(pattern, path):
            return re.sub(pattern, name, path)
    return path


def summarize(made: list[tuple[str, str, int]], seen: list[tuple[float, int]]) -> dict[str, Any]:
    asked = [(t, n) for t, n in seen if n]
    task_polls = sum(n for _, n in asked)
    slow = sparse(asked)
    return {
        "tasks": TASKS,
        "seconds": round(seen[-1][0] - seen[0][0], 1),
        "requests": len(made),
        "per_100_tasks": round(len(made) * 100 / TASKS, 1),
        "operations": dict(Counter(f"{method} {shape(path)}" for method, path, _ in made).most_common()),
        "failed": sum(status >= 400 for _, _, status in made),
        "polls": len(asked),
        "open_tasks_summed_over_polls": task_polls,
        "one_by_one": TASKS + task_polls,
        "ratio_to_one_by_one": round(len(made) / (TASKS + task_polls), 5),
        "published_plugin": TASKS + PER_TASK_AND_POLL * task_polls,
        "ratio_to_published_plugin": round(len(made) / (TASKS + PER_TASK_AND_POLL * task_polls), 5),
        "published_plugin_every_10_s": TASKS + PER_TASK_AND_POLL * slow,
        "ratio_to_published_plugin_every_10_s": round(len(made) / (TASKS + PER_TASK_AND_POLL * slow), 5),
    }


def sparse(polls: list[tuple[float, int]], interval: float = DEFAULT_INTERVAL) -> int:
    """Open tasks summed over polls `interval` seconds apart, read from the polls that took place."""
    total, due = 0, polls[0][0]
    for time, count in polls:
        if time >= due:
            total += count
            due += interval
    return total


def show(result: dict[str, Any]) -> None:
    say(
        f"  {result['requests']} requests for {result['tasks']} tasks ({result['per_100_tasks']} per 100 tasks) in "
        f"{result['seconds']:.0f} s with {result['polls']} polls, counted in the emulator's log"
    )
    for operation, count in result["operations"].items():
        say(f"    {count:5d}  {operation}")
    say("  against a client that adds tasks one by one and, at the same polls, asks")
    say(f"    once for each open task: {result['ratio_to_one_by_one']:.4f} (of {result['one_by_one']})")
    say(
        f"    as the published plugin does, {PER_TASK_AND_POLL} times: {result['ratio_to_published_plugin']:.4f} "
        f"(of {result['published_plugin']})"
    )
    say(
        f"    the same every {DEFAULT_INTERVAL:.0f} s only: {result['ratio_to_published_plugin_every_10_s']:.4f} "
        f"(of {result['published_plugin_every_10_s']})"
    )
