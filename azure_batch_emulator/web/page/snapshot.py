"""What the page shows of the account, as plain values: pools with their nodes, jobs, and the tasks that matter most.

It is made while the machine is held, so it costs no more than what is shown, however many tasks there are: all that
run, the last that have ended, the first that wait. Times are milliseconds since 1970 by the service's clock.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain, islice
from typing import Any

from ...core.entities import Execution, Job, Node, Pool, Task
from ...core.machine import Machine

POOLS, NODES, JOBS = 200, 2_000, 300
RUNNING, ENDED, WAITING = 3_000, 5_000, 300
"""How many tasks in each of these states are shown, of all jobs together."""

NODE = (
    "id",
    "state",
    "dedicated",
    "slots",
    "used",
    "allocated",
    "booted",
    "since",
    "closed",
    "leaving",
    "errors",
)
TASK = ("job", "id", "name", "state", "pool", "node", "start", "end", "code", "slots", "failure", "retries")


def snapshot(m: Machine) -> dict[str, Any]:
    jobs = sorted(m.jobs.values(), key=lambda job: -job.seq)[:JOBS]
    room = NODES
    pools = []
    for pool in list(m.pools.values())[:POOLS]:
        nodes = list(islice(pool.nodes.values(), max(0, room)))
        room -= len(nodes)
        pools.append(_pool(pool, nodes))
    return {
        "now": ms(m.now),
        "pools": pools,
        "jobs": [_job(job) for job in jobs],
        "nodeColumns": NODE,
        "taskColumns": TASK,
        "tasks": [_task(i, task) for i, task in _tasks(jobs)],
        "hidden": {
            "pools": max(0, len(m.pools) - POOLS),
            "jobs": max(0, len(m.jobs) - JOBS),
            "nodes": max(0, sum(len(pool.nodes) for pool in m.pools.values()) - NODES),
        },
    }


def ms(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)


def _pool(pool: Pool, nodes: Iterable[Node]) -> dict[str, Any]:
    there = [sum(node.dedicated == kind for node in pool.nodes.values()) for kind in (True, False)]
    return {
        "id": pool.id,
        "state": pool.state,
        "allocation": pool.allocation.state,
        "size": pool.spec.get("vmSize"),
        "slots": pool.spec.get("taskSlotsPerNode"),
        "wanted": [pool.dedicated, pool.low_priority],
        "there": there,
        "scales": pool.scaling is not None,
        "errors": [error.code for error in pool.errors][:5],
        "nodes": [_node(node) for node in nodes],
    }


def _node(node: Node) -> list[Any]:
    return [
        node.id, node.state, node.dedicated, node.slots, sum(node.runs.values()), ms(node.allocated), ms(node.booted),
        ms(node.lifecycle.since), not node.schedulable, node.leaving, [error.code for error in node.errors][:5],
    ]  # fmt: skip


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "pool": job.pool_id,
        "counts": {name: job.counts[name] for name in ("active", "running", "succeeded", "failed")},
        "created": ms(job.created),
        "ended": ms(job.ended),
        "reason": job.reason,
    }


def _tasks(jobs: list[Job]) -> Iterator[tuple[int, Task]]:
    """With the numbers of their jobs. Of those that have ended the last ones, of those that wait the first."""

    def those(state: str, newest: bool) -> Iterator[tuple[int, Task]]:
        for i, job in enumerate(jobs):
            keys = job.index.by_state[state]
            for key in reversed(keys) if newest else keys:
                yield i, job.tasks[key]

    return chain(
        islice(chain(those("running", True), those("preparing", True)), RUNNING),
        islice(those("completed", True), ENDED),
        islice(those("active", False), WAITING),
    )


def _task(i: int, task: Task) -> list[Any]:
    execution, node = task.execution, task.node or ("", "")
    return [
        i, task.id, _name(task), task.state, node[0], node[1], ms(execution.start), ms(execution.end),
        execution.exit_code, task.slots, _failure(execution), execution.retries,
    ]  # fmt: skip


def _name(task: Task) -> str:
    name = task.spec.get("displayName") or ""
    return name[:200] if isinstance(name, str) else ""


def _failure(execution: Execution) -> str:
    return execution.failure.code if execution.failure else ""


def task_details(job: Job, task: Task) -> dict[str, Any]:
    """All that is shown of one task."""
    execution, failure = task.execution, task.execution.failure
    container = task.spec.get("containerSettings") or {}
    return {
        "job": job.id,
        "id": task.id,
        "name": _name(task),
        "state": task.state,
        "since": ms(task.lifecycle.since),
        "created": ms(task.created),
        "start": ms(execution.start),
        "end": ms(execution.end),
        "code": execution.exit_code,
        "result": execution.result,
        "retries": execution.retries,
        "requeues": execution.requeues,
        "failure": f"{failure.code}: {failure.message}" if failure else "",
        "pool": task.node[0] if task.node else job.pool_id,
        "node": task.node[1] if task.node else "",
        "slots": task.slots,
        "command": str(task.spec.get("commandLine") or "")[:20_000],
        "image": container.get("imageName") or "",
        # Names alone: values may be secret.
        "variables": sorted(item["name"] for item in environment_of(job, task))[:500],
    }


def environment_of(job: Job, task: Task) -> list[dict[str, Any]]:
    """The settings that a task gets, as they were given."""
    return [
        *(job.spec.get("commonEnvironmentSettings") or ()),
        *(task.spec.get("environmentSettings") or ()),
    ]
