"""Entities as the service shows them: wire names, absolute URLs, nothing secret.

`base` is the account's URL as the client wrote it, without a slash at the end.
"""

import json
from typing import Any
from urllib.parse import quote

from ...protocol.wire import format_time
from ..bodies.checks import strip_secrets
from ..entities import (
    COUNTS,
    Execution,
    Failed,
    Job,
    JobSchedule,
    Node,
    NodeTask,
    Pool,
    ResizeError,
    ScalingRun,
    Subtask,
    Task,
)
from ..jobs import job_schedules
from ..layout import task_directory
from ..machine import Machine
from ..nodes import endpoints
from ..states import Stateful


def _stamps(entity: Pool | JobSchedule | Job | Task, url: str) -> dict:
    return {
        "id": entity.id,
        "url": url,
        "eTag": entity.etag,
        "lastModified": format_time(entity.modified),
        "creationTime": format_time(entity.created),
    } | _state(entity.lifecycle)


def _state(lifecycle: Stateful) -> dict:
    shown = {"state": lifecycle.state, "stateTransitionTime": format_time(lifecycle.since)}
    if lifecycle.previous and lifecycle.previous_since:
        shown["previousState"] = lifecycle.previous
        shown["previousStateTransitionTime"] = format_time(lifecycle.previous_since)
    return shown


def pool(entity: Pool, base: str) -> dict:
    shown = strip_secrets({name: value for name, value in entity.spec.items() if name != "cores"})
    stamps = _stamps(entity, f"{base}/pools/{entity.id}")
    stamps.pop("previousState", None), stamps.pop("previousStateTransitionTime", None)
    shown |= stamps
    shown |= {
        "allocationState": entity.allocation.state,
        "allocationStateTransitionTime": format_time(entity.allocation.since),
        "currentDedicatedNodes": sum(1 for node in entity.nodes.values() if node.dedicated),
        "currentLowPriorityNodes": sum(1 for node in entity.nodes.values() if not node.dedicated),
        "targetDedicatedNodes": entity.dedicated,
        "targetLowPriorityNodes": entity.low_priority,
    }
    if entity.scaling and entity.scaling.run:
        shown["autoScaleRun"] = scaling_run(entity.scaling.run)
    if entity.errors:
        shown["resizeErrors"] = [resize_error(error) for error in entity.errors]
    return shown


def resize_error(entity: ResizeError) -> dict:
    shown: dict = {"code": entity.code, "message": entity.message}
    if entity.reason:
        shown["values"] = [{"name": "Reason", "value": entity.reason}]
    if entity.provider:
        error = {"error": {"code": entity.provider, "message": entity.reason}}
        shown["values"] += [
            {"name": "Provider Error Json", "value": json.dumps(error)},
            {"name": "Provider Error Json Truncated", "value": "False"},
        ]
    return shown


def scaling_run(entity: ScalingRun) -> dict:
    shown: dict = {"timestamp": format_time(entity.time), "results": entity.results}
    if entity.error:
        code, message, detail = entity.error
        shown["error"] = {"code": code, "message": message, "values": [{"name": "Message", "value": detail}]}
    return shown


def node(m: Machine, entity: Node, base: str) -> dict:
    owner = m.pools[entity.pool]
    running = [m.runs[run] for run in entity.runs if run in m.runs and m.runs[run].kind == "task"]
    shown: dict[str, Any] = {
        "id": entity.id,
        "url": f"{base}/pools/{owner.id}/nodes/{entity.id}",
        "state": entity.state,
        "schedulingState": "enabled" if entity.schedulable else "disabled",
        "stateTransitionTime": format_time(entity.lifecycle.since),
        "allocationTime": format_time(entity.allocated),
        "ipAddress": entity.address,
        "affinityId": f"TVM:{entity.id}",
        "vmSize": owner.spec["vmSize"],
        "isDedicated": entity.dedicated,
        "totalTasksRun": entity.total_run,
        "totalTasksSucceeded": entity.total_succeeded,
        "runningTasksCount": len(running),
        "runningTaskSlotsCount": sum(run.slots for run in running),
        "recentTasks": [_recent(m, task, entity, base) for task in entity.recent],
        "virtualMachineInfo": {"imageReference": owner.spec["virtualMachineConfiguration"]["imageReference"]},
    }
    if inbound := endpoints.inbound(owner, entity):
        shown["endpointConfiguration"] = {"inboundEndpoints": inbound}
    if entity.booted:
        shown["lastBootTime"] = format_time(entity.booted)
    if "startTask" in owner.spec:
        shown["startTask"] = strip_secrets(owner.spec["startTask"])
    if entity.start:
        shown["startTaskInfo"] = node_task(entity.start)
    if entity.errors:
        shown["errors"] = [
            {
                "code": e.code,
                "message": e.message,
                "errorDetails": [{"name": n, "value": v} for n, v in e.details],
            }
            for e in entity.errors
        ]
    return shown


def _recent(m: Machine, entity: Task, where: Node, base: str) -> dict:
    job = m.jobs.get(entity.job)
    job_id = job.id if job and job.tasks.get(entity.key) is entity else ""
    shown: dict[str, Any] = {
        "taskState": entity.state,
        "taskId": entity.id,
        "executionInfo": execution(entity.execution, entity.state),
    }
    for subtask in entity.subtasks:
        if subtask.node[1] == where.id:
            shown["subtaskId"] = subtask.id
    return shown | ({"jobId": job_id, "taskUrl": f"{base}/jobs/{job_id}/tasks/{entity.id}"} if job_id else {})


def failure(entity: Failed) -> dict:
    shown: dict = {"category": entity.category.lower(), "code": entity.code, "message": entity.message}
    if entity.details:
        shown["details"] = [{"name": name, "value": value} for name, value in entity.details]
    return shown


def execution(entity: Execution, state: str, *, task: bool = True) -> dict:
    shown: dict[str, Any] = {"retryCount": entity.retries}
    if task:
        shown["requeueCount"] = entity.requeues
    if entity.start and state in ("running", "completed"):
        shown["startTime"] = format_time(entity.start)
    if entity.end and state == "completed":
        shown["endTime"] = format_time(entity.end)
    if state == "completed":
        if entity.exit_code is not None:
            shown["exitCode"] = entity.exit_code
        if entity.result:
            shown["result"] = entity.result
        if entity.failure:
            shown["failureInfo"] = failure(entity.failure)
    if entity.container_id:
        shown["containerInfo"] = {
            "containerId": entity.container_id,
            "state": "exited" if state == "completed" else "running",
        }
    if entity.last_retry:
        shown["lastRetryTime"] = format_time(entity.last_retry)
    if entity.last_requeue:
        shown["lastRequeueTime"] = format_time(entity.last_requeue)
    return shown


def node_task(entity: NodeTask) -> dict:
    return {"state": entity.state} | execution(entity.execution, entity.state, task=False)


def job(entity: Job, base: str) -> dict:
    shown = strip_secrets(entity.spec) | _stamps(entity, f"{base}/jobs/{entity.id}")
    info: dict[str, Any] = {"startTime": format_time(entity.started)}
    if entity.pool_id:
        info["poolId"] = entity.pool_id
    if entity.error:
        info["schedulingError"] = failure(entity.error)
    if entity.ended:
        info["endTime"] = format_time(entity.ended)
    if entity.reason:
        info["terminateReason"] = entity.reason
    return shown | {"executionInfo": info}


def job_schedule(m: Machine, entity: JobSchedule, base: str) -> dict:
    shown = strip_secrets(entity.spec) | _stamps(entity, f"{base}/jobschedules/{entity.id}")
    info: dict[str, Any] = {}
    if following := job_schedules.next_run(entity, m.now):
        info["nextRunTime"] = format_time(following)
    if entity.recent:
        info["recentJob"] = {"id": entity.recent, "url": f"{base}/jobs/{entity.recent}"}
    if entity.ended:
        info["endTime"] = format_time(entity.ended)
    return shown | {"executionInfo": info}


def task(m: Machine, job: Job, entity: Task, base: str, selected: frozenset[str] | None = None) -> dict:
    """All of it, or at least the properties that are selected."""

    def wanted(name: str) -> bool:
        return selected is None or name in selected

    spec = {name: value for name, value in entity.spec.items() if wanted(name)}
    shown = strip_secrets(spec) | _stamps(entity, f"{base}/jobs/{job.id}/tasks/{entity.id}")
    if wanted("executionInfo"):
        shown["executionInfo"] = execution(entity.execution, entity.state)
    if entity.node and wanted("nodeInfo"):
        shown["nodeInfo"] = _node_info(m, job, entity, entity.node, base)
    return shown


def _node_info(m: Machine, job: Job, entity: Task, place: tuple[str, str], base: str) -> dict:
    pool_key, node_id = place
    pool_id = m.pools[pool_key].id if pool_key in m.pools else pool_key
    url = f"{base}/pools/{pool_id}/nodes/{node_id}"
    directory = task_directory(job.id, entity.id)
    return {
        "affinityId": f"TVM:{node_id}",
        "nodeUrl": url,
        "poolId": pool_id,
        "nodeId": node_id,
        "taskRootDirectory": directory,
        "taskRootDirectoryUrl": f"{url}/files/{quote(directory, safe='')}",
    }


def subtask(m: Machine, job: Job, owner: Task, entity: Subtask, base: str) -> dict:
    info = execution(entity.execution, entity.lifecycle.state, task=False)
    info.pop("retryCount")
    where = _node_info(m, job, owner, entity.node, base)
    return {"id": entity.id, "nodeInfo": where} | _state(entity.lifecycle) | info


def task_counts(entity: Job) -> dict:
    return {
        "taskCounts": {name: entity.counts[name] for name in COUNTS},
        "taskSlotCounts": {name: entity.slot_counts[name] for name in COUNTS},
    }


_NODE_COUNTS = {
    "startTaskFailed": "starttaskfailed",
    "leavingPool": "leavingpool",
    "waitingForStartTask": "waitingforstarttask",
    "upgradingOS": "upgradingos",
} | {
    name: name
    for name in (
        "creating", "idle", "offline", "preempted", "rebooting", "reimaging", "running", "starting", "unknown",
        "unusable", "deallocated", "deallocating",
    )
}  # fmt: skip


def node_counts(entity: Pool) -> dict:
    def counts(dedicated: bool) -> dict:
        states = [node.state for node in entity.nodes.values() if node.dedicated == dedicated]
        return {name: states.count(state) for name, state in _NODE_COUNTS.items()} | {"total": len(states)}

    return {"poolId": entity.id, "dedicated": counts(True), "lowPriority": counts(False)}


def preparation_and_release(m: Machine, entity: Job, owner: Pool, where: Node, base: str) -> dict:
    url = f"{base}/pools/{owner.id}/nodes/{where.id}"
    shown: dict[str, Any] = {"poolId": owner.id, "nodeId": where.id, "nodeUrl": url}
    for name, one in (
        ("jobPreparationTaskExecutionInfo", where.preps.get(entity.key)),
        ("jobReleaseTaskExecutionInfo", where.releases.get(entity.key)),
    ):
        if one:
            info = node_task(one)
            if name.startswith("jobRelease"):
                info.pop("retryCount")
            info["taskRootDirectory"] = task_directory(entity.id, one.id)
            info["taskRootDirectoryUrl"] = f"{url}/files/{quote(info['taskRootDirectory'], safe='')}"
            shown[name] = info
    return shown
