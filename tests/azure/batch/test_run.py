"""A run's resources: made late, watched with patience, deleted once, whatever happens in between."""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from snakemake.azure import retry
from snakemake.azure.batch.errors import BatchError
from snakemake.azure.batch.lease import Size
from snakemake.azure.batch.monitor import Verdict
from snakemake.azure.batch.node_health import Ending, Outcome
from snakemake.azure.batch.pools import PoolError, PoolPlan
from snakemake.azure.batch.run import BatchRun
from snakemake.azure.batch.run_settings import Listeners, PoolRules, TaskDefaults
from snakemake.azure.batch.stores import Stores
from snakemake.azure.batch.tasks import Task
from snakemake.azure.node.order import NodeOrder
from snakemake.azure.report.journal import Journal, parse

OS_IMAGE = SimpleNamespace(publisher="p", offer="o", sku="2404", version="latest", node_agent_sku_id="a")
PLAN = PoolPlan("pool", "Standard_D4ds_v5", 4, 10, "image:1", OS_IMAGE)  # type: ignore[arg-type]


@dataclass
class Service:
    """The Batch service as a table of answers and a record of calls: what the real one cannot be made to do here,
    such as hours of waiting, shortages, and failures in the middle of things."""

    calls: list[str] = field(default_factory=list)
    fail: set[str] = field(default_factory=set)
    refuse: dict[str, int] = field(default_factory=dict)
    absent: int = 0
    pool: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(
            id="pool",
            vm_size="Standard_D4ds_v5",
            allocation_state="resizing",
            target_dedicated_nodes=1,
            target_low_priority_nodes=0,
            current_dedicated_nodes=0,
            current_low_priority_nodes=0,
            resize_errors=None,
        )
    )
    nodes: list = field(default_factory=list)
    tasks: dict[str, str] = field(default_factory=dict)
    files: bytes | None = None

    def __getattr__(self, name):
        def call(*args):
            what = f"{name} {args[0] if args and isinstance(args[0], str) else getattr(args[0], 'id', '')}"
            self.calls.append(what)
            if name in self.fail:
                raise BatchError(f"{what} failed")
            if name in self.refuse:
                raise BatchError(f"{what} was refused", "Refused", self.refuse[name])
            if name == "delete_pool" and self.absent:
                self.absent -= 1
                return False
            if name == "add_tasks":
                self.tasks |= {task["id"]: "running" for task in args[1]}
            answers = {
                "get_pool": self.pool,
                "list_nodes": self.nodes,
                "add_tasks": [],
                "task_states": self.tasks,
                "completed_tasks": [],
                "task_file": self.files,
            }
            return answers.get(name, True)

        return call


START = datetime(2026, 1, 1, tzinfo=UTC)


def node(name="n", state="idle", error=None, used=0, since=START):
    errors = [SimpleNamespace(code=error, message="", error_details=None)] if error else None
    return SimpleNamespace(
        id=name,
        state=state,
        state_transition_time=since,
        allocation_time=START,
        is_dedicated=True,
        running_task_slots_count=used,
        errors=errors,
        start_task_info=None,
    )


class Sources:
    name, sha256 = "container/run/sources.tar.gz", "0" * 64

    def __init__(self):
        self.calls = []

    def upload(self):
        self.calls.append("upload")

    def delete(self):
        self.calls.append("delete")
        return True


class Scene:
    def __init__(self):
        self.service, self.sources = Service(), Sources()
        self.time = START
        self.said: list[str] = []
        self.warned: list[str] = []
        self.left: list[list[tuple[str, str]]] = []
        self.verdicts: list[Verdict] = []
        self.journal: list[bytes] = []
        self.clock = 0.0
        self.run = BatchRun(
            id="run",
            batch=self.service,  # type: ignore[arg-type]
            tasks=TaskDefaults("image:1", {"A": "b"}),
            stores=Stores(self.sources),
            rules=PoolRules(patience=timedelta(minutes=30)),
            listeners=Listeners(
                self.said.append,
                self.warned.append,
                wake=self.wake,
                note_left=lambda left: self.left.append(list(left)),
                journal=Journal(self.journal.append, lambda: self.time, self.warned.append),
            ),
            now=lambda: self.time,
            requests=retry.Patience(clock=lambda: self.clock, pause=self.pass_time),
        )
        self.woken = 0

    def wake(self):
        self.woken += 1

    def size(self):
        return self.run.leases.size("pool").dedicated

    def pass_time(self, seconds):
        self.clock += seconds

    def submit(self, n=1, slots=1):
        queue = self.run.open_queue("", PLAN, PLAN.nodes_for(n * slots))
        order = NodeOrder((), "c/b", "0" * 64, "1" * 64)
        self.run.submit(queue, [Task(f"t{len(queue.open_slots)}-{i}", "t", order, slots) for i in range(n)])
        return queue

    def wait(self, seconds):
        for _ in range(seconds):
            self.time += timedelta(seconds=1)
            self.verdicts += self.run.poll()


def test_nothing_is_made_before_the_first_jobs_and_nothing_deleted_that_was_not_made():
    scene = Scene()
    assert list(scene.run.close()) == []
    assert scene.service.calls == scene.sources.calls == []


def test_made_in_order_deleted_once_and_first_what_costs():
    scene = Scene()
    scene.submit()
    scene.submit()
    assert scene.service.calls[:3] == ["create_pool pool", "create_job run-1", "add_tasks run-1"]
    assert [name.partition(" ")[0] for name in scene.run.close()] == ["pool", "Batch", "source"]
    assert scene.service.calls[-2:] == ["delete_pool pool", "delete_job run-1"]
    assert scene.sources.calls == ["upload", "delete"]
    assert list(scene.run.close()) == []


@pytest.mark.parametrize("step", ["create_pool", "create_job"])
def test_a_failure_while_making_is_cleaned_up_too(step):
    scene = Scene()
    scene.service.fail = {step}
    with pytest.raises(BatchError):
        scene.submit()
    list(scene.run.close())
    # The answer may have been lost after the service did its work.
    assert "delete_pool pool" in scene.service.calls
    assert ("delete_job run-1" in scene.service.calls) == (step == "create_job")
    assert scene.sources.calls == ["upload", "delete"]


def test_what_cannot_be_deleted_is_tried_for_minutes_then_noted_and_told():
    scene = Scene()
    scene.submit()
    scene.service.fail = {"delete_pool"}
    assert len(list(scene.run.close())) == 2, "the pool does not keep the rest waiting"
    assert 290 < scene.clock < 310 and scene.service.calls.count("delete_pool pool") > 10
    assert scene.service.calls.count("delete_job run-1") == 1
    assert scene.left[0] == scene.left[-1] == [("pool", "pool")], "noted before the first pause"
    first, last = scene.warned
    assert "trying on for up to 5 min" in first and "az batch pool delete --pool-id pool --yes" in last


def test_an_outage_that_ends_while_the_run_is_cleaned_up_leaves_nothing():
    scene = Scene()
    scene.submit()
    scene.service.fail = {"delete_pool", "delete_job"}
    ending = scene.run.close()
    assert "source" in next(ending)
    scene.service.fail = set()
    assert [name.partition(" ")[0] for name in ending] == ["pool", "Batch"]
    assert scene.left[-1] == [] and len(scene.warned) == 1


def test_what_the_service_refuses_for_good_is_noted_at_once():
    scene = Scene()
    scene.submit()
    scene.service.refuse = {"delete_pool": 403}
    list(scene.run.close())
    assert scene.clock == 0 and scene.left[-1] == [("pool", "pool")]


def test_what_may_have_been_asked_for_is_deleted_when_it_appears():
    """Its creation was under way when the run was interrupted."""
    scene = Scene()
    scene.service.fail = {"create_pool"}
    with pytest.raises(BatchError):
        scene.submit()
    scene.service.absent = 2
    assert "pool pool" in list(scene.run.close())
    assert scene.service.calls.count("delete_pool pool") == 3


def test_nothing_is_made_once_the_end_has_begun():
    scene = Scene()
    scene.run._closed = True
    with pytest.raises(Exception, match="shutting down"):
        scene.run._making("pool", "pool", lambda: True)


def test_an_interrupted_end_is_resumed():
    scene = Scene()
    scene.submit()
    ending = scene.run.close()
    next(ending)
    ending.close()
    assert [name.partition(" ")[0] for name in scene.run.close()] == ["Batch", "source"]
    assert scene.service.calls.count("delete_pool pool") == 1


def test_no_submission_after_the_end():
    scene = Scene()
    scene.submit()
    list(scene.run.close())
    with pytest.raises(Exception, match="shutting down"):
        scene.submit()


def test_a_pool_that_never_comes_up_fails_its_jobs_when_patience_ends():
    scene = Scene()
    scene.submit()
    scene.wait(29 * 60)
    assert not scene.verdicts
    scene.wait(2 * 60)
    (verdict,) = scene.verdicts
    assert not verdict.success and not verdict.ran and not verdict.moved and not verdict.service_fault
    assert re.search("30 minutes.*--az-batch-node-timeout", verdict.reason)
    assert "terminate_task run-1" in scene.service.calls and scene.size() == 0


def test_the_user_hears_of_a_slow_pool_every_minute_and_of_each_change():
    scene = Scene()
    scene.submit()
    scene.wait(5 * 60)
    lines = [line for line in scene.said if "tasks open" in line]
    assert 5 <= len(lines) <= 7 and "after 4 min" in lines[-1]
    scene.service.nodes = [node()]
    scene.wait(20)
    assert "1 of 1 nodes ready" in scene.said[-1]
    before = len(scene.said)
    scene.wait(10 * 60)
    assert len(scene.said) == before, "nothing to say while nothing changes"


def test_looking_costs_few_requests():
    scene = Scene()
    scene.submit()
    scene.wait(10 * 60)
    assert scene.service.calls.count("get_pool pool") < 60


def test_the_pool_grows_with_the_work_up_to_its_limit():
    scene = Scene()
    scene.submit(4)
    assert scene.size() == 1
    scene.submit(8)
    assert scene.size() == 3 and scene.woken == 1
    scene.submit(400)
    assert scene.size() == 10
    scene.submit(10)
    assert scene.size() == 10 and scene.woken == 2


def test_a_pool_keeps_its_size_until_its_first_tasks_are_there():
    scene = Scene()
    scene.run.open_queue("", PLAN, 3)
    scene.wait(1)
    assert scene.size() == 3 and scene.woken == 0


def test_a_size_can_be_set_at_any_time():
    scene = Scene()
    scene.submit(4)
    scene.run.set_size("pool", 7, 2)
    assert scene.run.leases.size("pool") == Size(7, 2) and scene.woken == 1


def test_a_regional_shortage_is_asked_again_now_and_then():
    scene = Scene()
    scene.submit(8)
    scene.service.pool.target_dedicated_nodes = 2
    scene.service.pool.current_dedicated_nodes = 1
    scene.service.pool.allocation_state = "steady"
    scene.service.pool.resize_errors = [
        SimpleNamespace(code="AllocationFailed", message="no room", error_values=None)
    ]
    scene.service.nodes = [node()]
    scene.wait(1)
    assert "got 1 of 2 nodes (AllocationFailed: no room); asking again" in scene.warned[0]
    assert scene.size() == 2 and [r.changes for r in scene.run.leases.due(scene.time)] == [False]
    scene.wait(50)
    assert len(scene.warned) == 1
    scene.run.leases.done(scene.run.leases.due(scene.time)[0], scene.time)
    scene.wait(70)
    assert len(scene.warned) == 1, "told once"
    assert [r.changes for r in scene.run.leases.due(scene.time)] == [False]


def left(scene, *pools, jobs=()):
    """A scene whose run takes over these pools, and Batch jobs with their pools and tasks."""
    for pool in pools:
        scene.run.take_over_pool(replace(PLAN, id=pool, os_image=None), 2)
    for job, pool, *tasks in jobs:
        scene.run.take_over_tasks(job, pool, dict.fromkeys(tasks, 4))


def test_what_was_taken_over_is_watched_sized_used_and_deleted():
    scene = Scene()
    left(scene, "old", jobs=[("job-0", "old", "a", "b", "c")])
    assert scene.run.leases.size("old") == Size(3)
    queue = scene.submit(4)
    assert queue.pool_id == "old" and "create_pool pool" not in scene.service.calls
    assert scene.run.leases.size("old") == Size(4)
    assert set(scene.run.job_ids()) == {"job-0", "run-2"}
    assert scene.run.jobs() == (("run-2", "old"),), "the record has the others already"
    assert {n.partition(" ")[2] for n in scene.run.close()} >= {"job job-0", "old", "job run-2"}
    assert "delete_pool old" in scene.service.calls


def test_a_pool_that_nobody_needs_goes_when_its_tasks_are_over():
    scene = Scene()
    scene.run.take_over_pool(replace(PLAN, id="old", vm_size="Standard_E4s_v3", os_image=None), 2)
    queue = scene.run.take_over_tasks("job-0", "old", {"a": 1})
    scene.submit(1)
    queue.open_slots.clear()
    queue.monitor.poll = lambda: [Verdict("a", True)]
    scene.wait(1)
    assert "delete_pool old" in scene.service.calls and "delete_pool pool" not in scene.service.calls
    list(scene.run.close())
    assert scene.service.calls.count("delete_pool old") == 1


def test_what_is_about_to_be_made_is_noted_first():
    scene = Scene()
    noted: list[tuple] = []
    scene.run.noted = lambda run: noted.append((run.made("pool"), run.jobs(), list(scene.service.calls)))
    scene.submit()
    assert noted[1:] == [
        (("pool",), (), []),
        (("pool",), (("run-1", "pool"),), ["create_pool pool"]),
    ]


def test_a_run_that_may_not_note_makes_nothing():
    scene = Scene()

    def refuse(run):
        raise BatchError("no")

    scene.run.noted = refuse
    with pytest.raises(BatchError):
        scene.submit()
    assert scene.service.calls == scene.sources.calls == []


def failures(name, n=2):
    return [Ending(name, "map", Outcome.NOT_STARTED, "DiskFull.") for _ in range(n)]


def take_out(scene, queue, name):
    for bad, reason in queue.health.observe(failures(name)).items():
        scene.run.take_out(queue, bad, reason)


def test_a_bad_node_gets_no_more_tasks_and_the_pool_one_more_node():
    scene = Scene()
    queue = scene.submit(4)
    scene.service.nodes = [node("a")]
    take_out(scene, queue, "a")
    assert "disable_node pool" in scene.service.calls
    assert scene.size() == 2
    (line,) = scene.warned
    assert "the node a of the pool pool is bad: 2 tasks in a row" in line and "no more tasks" in line


def test_a_node_that_cannot_be_taken_out_does_not_end_the_run():
    scene = Scene()
    queue = scene.submit()
    scene.service.fail = {"disable_node"}
    take_out(scene, queue, "a")
    assert "could not be taken out: disable_node pool failed" in scene.warned[0]


def test_a_node_of_somebody_elses_pool_is_left_to_them():
    scene = Scene()
    queue = scene.run.join_queue("", "theirs")
    take_out(scene, queue, "a")
    assert "disable_node theirs" not in scene.service.calls
    assert "az batch node scheduling disable --pool-id theirs --node-id a" in scene.warned[0]


def test_a_pool_whose_nodes_are_all_bad_ends_with_the_reasons():
    scene = Scene()
    queue = scene.submit(400)
    scene.service.pool.allocation_state = "steady"
    names = [f"n{i}" for i in range(PLAN.max_nodes)]
    scene.service.nodes = [node(name) for name in names]
    queue.health.bad |= dict.fromkeys(names, "it smokes")
    scene.run.leases.may_remove = lambda pool_id: False  # as where the lease bounds what the run may cost
    scene.wait(20)  # the last of them still has a task
    scene.service.nodes = [node(name, "offline") for name in names]
    with pytest.raises(PoolError, match="All nodes of the pool pool are bad .n0: it smokes; n1: it smokes"):
        scene.wait(20)


def test_a_broken_node_among_others_is_named_once():
    scene = Scene()
    scene.submit(8)
    scene.service.nodes = [node("a"), node("b", "unusable", "DiskFull")]
    scene.wait(60)
    (line,) = scene.warned
    assert line.endswith(
        "the node b of the pool pool is unusable: DiskFull. It is removed, and another one asked for."
    )
    assert scene.size() == 3


def due(scene) -> list[str]:
    return [node for removal in scene.run.removals.due(scene.time) for node in removal.nodes]


def with_broken_nodes(*nodes):
    """A run whose pool is steady, with these nodes, and that has the size which is wanted."""
    scene = Scene()
    queue = scene.submit(8)
    scene.service.pool.allocation_state = "steady"
    scene.service.nodes = [node("a", "running", used=4), *nodes]
    scene.wait(60)
    for renewal in scene.run.leases.due(scene.time):
        scene.run.leases.done(renewal, scene.time)
    scene.wait(40)
    return scene, queue


def test_broken_nodes_are_to_be_removed_once_nothing_runs_there():
    scene, queue = with_broken_nodes(node("b", "unusable", "DiskFull"), node("c", "offline", used=1))
    queue.health.bad["c"] = "it smokes"
    scene.wait(20)
    assert due(scene) == ["b"]
    scene.service.nodes[2] = node("c", "offline")
    scene.wait(20)
    assert due(scene) == ["b", "c"]


def test_a_node_that_is_kept_for_a_failed_task_is_not_removed():
    scene, queue = with_broken_nodes(node("b", "offline"))
    queue.health.bad["b"] = "it smokes"
    scene.run.watch._kept = lambda pool_id: ["b"]
    scene.wait(20)
    assert due(scene) == []


def test_a_removed_node_counts_no_more():
    scene, queue = with_broken_nodes(node("b", "unusable", "DiskFull"))
    assert scene.size() == 3, "two that work, and the broken one"
    (removal,) = scene.run.removals.due(scene.time)
    assert scene.run.removals.begin(removal, scene.time)
    scene.run.removals.took(removal)
    del scene.service.nodes[1]
    scene.wait(20)
    assert scene.size() == 2
    scene.wait(60)
    assert scene.size() == 2


def test_that_no_more_nodes_are_removed_is_said_once():
    many = [node(f"n{i}", "unusable", "DiskFull") for i in range(PLAN.max_nodes)]
    scene, queue = with_broken_nodes(*many)
    (removal,) = scene.run.removals.due(scene.time)
    assert scene.run.removals.begin(removal, scene.time) and len(removal.nodes) == PLAN.max_nodes
    scene.run.removals.took(removal)
    scene.service.nodes = [node("a"), node("x", "unusable", "DiskFull"), node("y", "unusable", "DiskFull")]
    scene.warned.clear()
    scene.wait(40)
    assert [line.partition("DiskFull.")[2] for line in scene.warned] == [
        " It stays, and so do others, as 10 nodes of this pool have been removed, and no more are.",
        "",
    ]


@pytest.mark.parametrize(
    "node_has, stored, found",
    [(b"n", b"s", b"n"), (None, b"s", b"s"), (b"", None, None), ("gone", b"s", b"s")],
)
def test_logs_come_from_the_node_or_from_where_the_task_stored_them(node_has, stored, found):
    scene = Scene()
    queue = scene.submit()
    scene.run.logs = SimpleNamespace(name="c/run/logs", fetch=lambda task, name: stored)  # type: ignore[assignment]
    if node_has == "gone":
        scene.service.fail = {"task_file"}
    else:
        scene.service.files = node_has
    assert scene.run.log_file(queue, "t", "stderr.txt") == found
    assert bool(scene.warned) == (node_has == "gone")


def test_the_journal_has_what_happens_and_each_node_that_a_task_was_on():
    scene = Scene()
    queue = scene.submit()
    scene.service.nodes = [node("a", "starting")]
    scene.wait(1)
    assert not scene.run.journal.knows("pool", "b")
    scene.service.nodes = [node("b")]
    queue.monitor.poll = lambda: [Verdict("t0-0", True, 0, node_id="b", started=START, ended=scene.time)]
    scene.wait(1)
    list(scene.run.close())
    events = list(parse(scene.journal))
    told = [(e.event, e.values.get("node")) for e in events]
    assert told == [
        ("size", None), ("submitted", None), ("node", "a"), ("node", "b"), ("node_gone", "a"), ("ended", "b"),
        ("pool_gone", None),
    ]  # fmt: skip
    assert scene.warned == []
