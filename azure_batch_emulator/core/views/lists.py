"""What each list can be filtered by, and how to get it from an entity.

https://learn.microsoft.com/rest/api/batchservice/odata-filters-in-batch
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from ...protocol.odata import EQUAL, IDENTIFIER, ORDERED, TEXT, Field, demands
from ...protocol.wire import parse_time
from ..entities import Job, JobSchedule, Node, NodeTask, Pool, Task
from ..indexes.task_index import STATES


def _started(task: Task):
    return task.execution.start if task.state in ("running", "completed") else None


def _finished(task: Task, name: str):
    return getattr(task.execution, name) if task.state == "completed" else None


TASKS = {
    "id": Field("string", lambda t: t.id, IDENTIFIER),
    "state": Field("string", lambda t: t.state, EQUAL),
    "stateTransitionTime": Field("time", lambda t: t.lifecycle.since, ORDERED),
    "creationTime": Field("time", lambda t: t.created, ORDERED),
    "lastModifiedTime": Field("time", lambda t: t.modified, ORDERED),
    "lastModified": Field("time", lambda t: t.modified, ORDERED),
    "executionInfo/startTime": Field("time", _started, ORDERED),
    "executionInfo/endTime": Field("time", lambda t: _finished(t, "end"), ORDERED),
    "executionInfo/exitCode": Field("number", lambda t: _finished(t, "exit_code"), ORDERED),
    "executionInfo/result": Field("string", lambda t: _finished(t, "result"), EQUAL),
}


def tasks_after(job: Job, filter_text: str | None, after: str | None) -> Iterator[tuple[str, Task]]:
    """Keys and tasks of a job in order, above a key: all that pass the filter, and few others where those are few.
    The filter has been checked before the first is asked for."""
    states: tuple[str, ...] = STATES
    start: datetime | None = None
    for path, operator, value in demands(filter_text):
        if path == "state" and operator == "eq":
            states = tuple(state for state in states if state == value)
        elif path == "stateTransitionTime" and operator in ("gt", "ge") and isinstance(value, datetime):
            start = max(start, value) if start else value
    keys: Iterable[str] | None = None
    if states != STATES or start is not None:
        keys = job.index.changed(states, start)
    if keys is None:
        keys = job.index.after(after)
    elif after is not None:
        keys = (key for key in keys if key > after)
    for key in keys:
        yield key, job.tasks[key]


def _job_pool(job: Job) -> str | None:
    return job.pool_id or None


JOBS = {
    "id": Field("string", lambda j: j.id, IDENTIFIER),
    "state": Field("string", lambda j: j.state, EQUAL),
    "stateTransitionTime": Field("time", lambda j: j.lifecycle.since, ORDERED),
    "creationTime": Field("time", lambda j: j.created, ORDERED),
    "lastModified": Field("time", lambda j: j.modified, ORDERED),
    "executionInfo/startTime": Field("time", lambda j: j.started, ORDERED),
    "executionInfo/endTime": Field("time", lambda j: j.ended, ORDERED),
    "executionInfo/poolId": Field("string", _job_pool, TEXT),
}


JOBS_OF_SCHEDULE = {name: field for name, field in JOBS.items() if name != "id"}


def _schedule(name: str):
    def get(schedule: JobSchedule):
        time = schedule.spec["schedule"].get(name)
        return parse_time(time) if time else None

    return get


JOB_SCHEDULES = {
    "id": Field("string", lambda s: s.id, IDENTIFIER),
    "state": Field("string", lambda s: s.state, EQUAL),
    "stateTransitionTime": Field("time", lambda s: s.lifecycle.since, ORDERED),
    "creationTime": Field("time", lambda s: s.created, ORDERED),
    "lastModified": Field("time", lambda s: s.modified, ORDERED),
    "executionInfo/endTime": Field("time", lambda s: s.ended, ORDERED),
    "schedule/doNotRunUntil": Field("time", _schedule("doNotRunUntil"), ORDERED),
    "schedule/doNotRunAfter": Field("time", _schedule("doNotRunAfter"), ORDERED),
}


def _pool_spec(name: str):
    def get(pool: Pool):
        return pool.spec.get(name)

    return get


POOLS = {
    "id": Field("string", lambda p: p.id, IDENTIFIER),
    "state": Field("string", lambda p: p.state, EQUAL),
    "stateTransitionTime": Field("time", lambda p: p.lifecycle.since, ORDERED),
    "allocationState": Field("string", lambda p: p.allocation.state, EQUAL),
    "allocationStateTransitionTime": Field("time", lambda p: p.allocation.since, ORDERED),
    "creationTime": Field("time", lambda p: p.created, ORDERED),
    "lastModified": Field("time", lambda p: p.modified, ORDERED),
    "enableAutoScale": Field("boolean", _pool_spec("enableAutoScale"), EQUAL),
    "enableInterNodeCommunication": Field("boolean", _pool_spec("enableInterNodeCommunication"), EQUAL),
    "vmSize": Field("string", _pool_spec("vmSize"), TEXT),
}


def _start(read):
    def get(node: Node):
        return read(node.start) if node.start else None

    return get


NODES = {
    "state": Field("string", lambda n: n.state, EQUAL),
    "stateTransitionTime": Field("time", lambda n: n.lifecycle.since, ORDERED),
    "lastBootTime": Field("time", lambda n: n.booted, ORDERED),
    "allocationTime": Field("time", lambda n: n.allocated, ORDERED),
    "startTaskInfo/state": Field("string", _start(lambda a: a.state), EQUAL),
    "startTaskInfo/result": Field("string", _start(lambda a: a.execution.result), EQUAL),
    "startTaskInfo/exitCode": Field("number", _start(lambda a: a.execution.exit_code), ORDERED),
    "startTaskInfo/startTime": Field("time", _start(lambda a: a.execution.start), ORDERED),
    "startTaskInfo/endTime": Field("time", _start(lambda a: a.execution.end), ORDERED),
}

NODE_COUNTS = {"poolId": Field("string", lambda p: p.id, frozenset({"eq"}))}

USAGE = {"poolId": Field("string", lambda one: one.pool, TEXT)}

FILES = {"name": Field("string", lambda entry: entry.name, frozenset({"startswith"}))}

IMAGES = {
    "osType": Field("string", lambda i: i["osType"], EQUAL),
    "verificationType": Field("string", lambda i: i["verificationType"], EQUAL),
    "nodeAgentSKUId": Field("string", lambda i: i["nodeAgentSKUId"], TEXT),
}


def _of(which: int, read):
    """From rows (job key, pool, node): the preparation (0) or release (1) task of the job on the node."""

    def get(row):
        job, _, node = row
        one: NodeTask | None = (node.preps, node.releases)[which].get(job)
        return read(one) if one else None

    return get


PREPARATIONS = {
    "poolId": Field("string", lambda row: row[1].id, TEXT),
    "nodeId": Field("string", lambda row: row[2].id, TEXT),
}
for _which, _name in enumerate(("jobPreparationTaskExecutionInfo", "jobReleaseTaskExecutionInfo")):
    PREPARATIONS |= {
        f"{_name}/state": Field("string", _of(_which, lambda a: a.state), EQUAL),
        f"{_name}/result": Field("string", _of(_which, lambda a: a.execution.result), EQUAL),
        f"{_name}/exitCode": Field("number", _of(_which, lambda a: a.execution.exit_code), ORDERED),
        f"{_name}/startTime": Field("time", _of(_which, lambda a: a.execution.start), ORDERED),
        f"{_name}/endTime": Field("time", _of(_which, lambda a: a.execution.end), ORDERED),
    }
