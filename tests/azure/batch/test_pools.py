"""What a pool's signs mean, and what a task's end means: pure tables."""

from datetime import UTC, datetime, timedelta

import pytest

from snakemake.azure.batch.listed_tasks import ListedTask
from snakemake.azure.batch.monitor import OVERLAP, QUIET_POLLS_BEFORE_CENSUS, SHORT_OVERLAP, Monitor, judge
from snakemake.azure.batch.pools import PoolPlan


@pytest.mark.parametrize("slots, nodes", [(1, 1), (4, 1), (5, 2), (40, 10), (41, 10), (400, 10)])
def test_nodes_follow_slots_up_to_the_limit(slots, nodes):
    plan = PoolPlan("p", "Standard_D4ds_v5", 4, 10, "image", None)  # type: ignore[arg-type]
    assert plan.nodes_for(slots) == nodes


def info(result=None, code=0, failure=None):
    return {"result": result, "exitCode": code, "failureInfo": failure}


def failure(code, message="m", details=(), category="UserError"):
    named = [{"name": n, "value": v} for n, v in details]
    return {"code": code, "message": message, "category": category, "details": named}


def task(name="t", execution=None, at=None):
    """As the service's list has it."""
    said = {"id": name, "executionInfo": execution, "nodeInfo": {"nodeId": "node-1", "poolId": "pool"}}
    return ListedTask.of(said | ({"stateTransitionTime": at.isoformat()} if at else {}))


@pytest.mark.parametrize(
    "execution, success, says",
    [
        (info("success"), True, ""),
        (info("Success"), True, ""),
        (info("failure", 3, failure("FailureExitCode")), False, "exited with code 3"),
        (
            info("Failure", None, failure("TaskEnded", "wall clock", [("Limit", "PT5M")])),
            False,
            "wall clock.*PT5M",
        ),
        (info(None), False, "without saying"),
        (None, False, "without saying"),
        (info("unheard"), False, "exited"),
    ],
)
def test_judge(execution, success, says):
    import re

    verdict = judge(task(execution=execution))
    assert verdict.success is success
    assert re.search(says, verdict.reason)


@pytest.mark.parametrize(
    "execution, service",
    [
        (info("success"), False),
        (info("failure", 1, failure("FailureExitCode")), False),
        (info("failure", 137, failure("FailureExitCode")), False),
        (info("failure", 126, failure("FailureExitCode")), True),
        (info("failure", 127, failure("FailureExitCode")), True),
        (info("failure", None, failure("TaskEnded")), False),
        (info("failure", None, failure("TaskSchedulingConstraintFailed")), False),
        (info("failure", None, failure("DiskFull")), True),
        (info("failure", None, failure("ContainerInvalidImage")), True),
        (info("failure", None, failure("BlobDownloadMiscError", category="ServerError")), True),
        (info("failure", None, failure("ResourceDirectoryCreateFailed", category="servererror")), True),
        (info("failure", None, failure("BlobNotFound")), True),
        (info("failure", None, failure("Unheard", category="ServerError")), True),
        (None, True),
    ],
)
def test_who_is_to_blame(execution, service):
    verdict = judge(task(execution=execution))
    assert verdict.service_fault is service
    assert (verdict.node_id, verdict.pool_id) == ("node-1", "pool")


class Service:
    """The two lists that a monitor asks for, as a table."""

    def __init__(self):
        self.completed, self.states, self.since = [], {}, []

    def completed_tasks(self, job_id, since):
        self.since.append(since)
        return [t for t in self.completed if since is None or t.changed >= since]

    def task_states(self, job_id):
        return self.states


def test_one_verdict_each_and_only_what_changed():
    service = Service()
    monitor = Monitor(service, "job")  # type: ignore[arg-type]
    start = datetime(2026, 1, 1, tzinfo=UTC)
    monitor.watch(["a", "b"])
    service.completed = [task("a", info("success"), start), task("foreign", info("success"), start)]
    assert [v.task_id for v in monitor.poll()] == ["a"]
    assert monitor.poll() == []
    # A completion that shows up late, with an earlier time than one already seen, is not missed.
    service.completed.append(task("b", info("failure", 1), start - timedelta(seconds=30)))
    assert [(v.task_id, v.success) for v in monitor.poll()] == [("b", False)]
    assert monitor.open_tasks == 0
    assert service.since == [None, start - OVERLAP, start - OVERLAP]
    monitor.poll()
    assert len(service.since) == 3, "nothing open, nothing asked"


def test_while_tasks_keep_ending_those_of_long_ago_are_listed_once_a_minute():
    service = Service()
    monitor = Monitor(service, "job")  # type: ignore[arg-type]
    start = datetime(2026, 1, 1, tzinfo=UTC)
    monitor.watch(["late", *map(str, range(200))])
    for second in range(200):
        service.completed.append(task(str(second), info("success"), start + timedelta(seconds=second)))
        assert str(second) in [v.task_id for v in monitor.poll()]
    looks = [start + timedelta(seconds=n) - since for n, since in enumerate(service.since) if since]
    assert sum(look > OVERLAP for look in looks) == 4
    assert all(look <= SHORT_OVERLAP + timedelta(seconds=1) for look in looks if look <= OVERLAP)
    assert monitor.open_tasks == 1
    service.completed.append(task("late", info("success"), start + timedelta(seconds=100)))
    assert [v.task_id for _ in range(3) for v in monitor.poll()] == ["late"]


def test_a_task_that_somebody_deleted_gets_a_verdict_too():
    service = Service()
    monitor = Monitor(service, "job")  # type: ignore[arg-type]
    monitor.watch(["a", "b"])
    service.states = {"b": "running"}
    verdicts = [v for _ in range(QUIET_POLLS_BEFORE_CENSUS) for v in monitor.poll()]
    assert [(v.task_id, v.success) for v in verdicts] == [("a", False)]
    assert monitor.open_tasks == 1
