"""Multi-instance tasks: all or no nodes, coordination before the command, one verdict, and nothing kept behind."""

import pytest

from azure_batch_emulator.core.entities import Failed
from azure_batch_emulator.core.jobs import jobs, tasks
from azure_batch_emulator.core.nodes import faults, leaving
from azure_batch_emulator.core.pools import pools
from azure_batch_emulator.core.runs import reports
from azure_batch_emulator.core.views import views
from azure_batch_emulator.protocol.errors import BatchError

from ..builders import OUTPUT, Driver

SETTINGS = {"numberOfInstances": 3, "coordinationCommandLine": "meet"}


class MultiInstanceDriver(Driver):
    def linked(self, nodes=3, **more):
        return self.pool(nodes=nodes, enableInterNodeCommunication=True, **more)

    def multi_instance(self, job, task_id="task", instances=3, **more):
        settings = SETTINGS | {"numberOfInstances": instances}
        return self.task(job, task_id, multiInstanceSettings=settings, **more)

    def launched(self):
        """Instance and command of what the engine has been told to start."""
        return sorted((start.part.instance, start.spec["commandLine"]) for start in self.started.values())

    def instance(self, number):
        return next(
            run for run, start in self.started.items() if start.part and start.part.instance == number
        )

    def free(self):
        return sorted(node.free for node in self.machine.pools["pool"].nodes.values())

    def coordinate(self):
        for run in list(self.started):
            self.end(run)


@pytest.fixture
def driver():
    return MultiInstanceDriver()


@pytest.fixture
def job(driver):
    driver.linked()
    return driver.job()


def test_the_command_comes_after_all_coordination(driver, job):
    task = driver.multi_instance(job)
    assert driver.launched() == [(0, "meet"), (1, "meet"), (2, "meet")] and driver.free() == [0, 0, 0]
    assert [start.part.coordination for start in driver.started.values()] == [True] * 3
    driver.end(driver.instance(0))
    driver.end(driver.instance(2))
    assert driver.launched() == [(1, "meet")] and task.state == "running" and driver.free() == [0, 0, 0]
    driver.end(driver.instance(1))
    assert driver.launched() == [(0, "true")]
    assert [s.lifecycle.state for s in task.subtasks] == ["running", "running"]
    driver.end(driver.instance(0))
    assert (task.state, task.execution.exit_code) == ("completed", 0) and driver.free() == [1, 1, 1]
    assert [(s.id, s.lifecycle.state, s.execution.exit_code) for s in task.subtasks] == [
        (1, "completed", 0),
        (2, "completed", 0),
    ]
    assert len(driver.killed) == 3, "what the coordination commands left running is ended"
    assert not driver.machine.runs


def test_all_nodes_or_none(driver):
    driver.linked(nodes=2)
    job = driver.job()
    task, small = driver.multi_instance(job), driver.multi_instance(job, "small", 2)
    assert task.state == "active" and small.state == "preparing"
    driver.do(pools.resize, driver.machine.pools["pool"], {"targetDedicatedNodes": 4})
    driver.advance()
    assert task.state == "active", "two of three nodes are none"
    driver.coordinate()
    driver.end(driver.run_of("small"))
    assert task.state == "preparing" and len({s.node for s in task.subtasks} | {task.node}) == 3


@pytest.mark.parametrize("options", [{"slots": 2, "enableInterNodeCommunication": True}, {"slots": 1}])
def test_a_pool_that_is_not_made_for_it(driver, options):
    driver.pool(nodes=3, **options)
    job = driver.job()
    task = driver.multi_instance(job)
    plain = driver.task(job, "plain")
    assert (task.state, plain.state, job.waiting) == ("active", "preparing", 1)


def test_one_instance(driver, job):
    task = driver.multi_instance(job, instances=1)
    driver.coordinate()
    driver.coordinate()
    assert task.state == "completed" and task.subtasks == ()


def test_a_subtask_that_fails_fails_the_task(driver, job):
    task = driver.multi_instance(job)
    driver.end(driver.instance(0))
    driver.end(driver.instance(1), 7)
    assert task.state == "running" and driver.free() == [0, 0, 0]
    driver.end_kills()
    assert (task.state, task.execution.exit_code, task.execution.result) == ("completed", 7, "failure")
    assert task.execution.failure.code == "FailureExitCode" and driver.free() == [1, 1, 1]
    failures = [s.execution.failure and s.execution.failure.code for s in task.subtasks]
    assert failures == ["FailureExitCode", "TaskEnded"]


def test_a_command_that_can_not_be_started(driver, job):
    task = driver.multi_instance(job)
    driver.end(driver.instance(2), None, Failed("UserError", "CommandProgramNotFound", "no"))
    driver.end_kills()
    assert task.execution.failure.code == "CommandProgramNotFound" and task.execution.exit_code is None


def test_retries_begin_with_the_coordination(driver, job):
    task = driver.multi_instance(job, constraints={"maxTaskRetryCount": 2})
    where = task.places
    driver.coordinate()
    driver.end(driver.instance(0), 1)
    assert driver.launched() == [(0, "meet"), (1, "meet"), (2, "meet")]
    assert task.execution.retries == 1 and task.places == where and driver.free() == [0, 0, 0]
    assert not any(start.fetch for start in driver.started.values())
    driver.end(driver.instance(1), 1)
    driver.end_kills()
    assert task.execution.retries == 2
    driver.coordinate()
    assert [start.fetch for start in driver.started.values()] == [False]
    driver.end(driver.instance(0))
    assert task.state == "completed" and task.execution.result == "success"


@pytest.mark.parametrize("stage", ["coordination", "holding", "application"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_lost_node_is_noticed_later(driver, job, stage, which):
    task = driver.multi_instance(job, constraints={"maxTaskRetryCount": 3})
    if stage == "holding":
        driver.end(driver.instance(which))
    elif stage == "application":
        driver.coordinate()
    lost = driver.machine.find_node(*task.places[which])
    driver.do(faults.lose, lost)
    driver.end_kills()
    assert task.state in ("preparing", "running") and task.attempt is not None
    assert {driver.machine.runs[name].phase for name in task.attempt.runs} >= {"lost"}
    driver.do(faults.loss_noticed, "pool", lost.id, lost.boot)
    driver.end_kills()
    assert (task.state, task.execution.requeues, task.execution.retries) == ("active", 0, 0)
    assert task.subtasks == () and not driver.machine.runs
    driver.advance(10)
    assert task.state == "preparing" and len(driver.started) == 3


def test_what_the_primary_says_counts_before_a_loss_is_noticed(driver, job):
    task = driver.multi_instance(job)
    driver.coordinate()
    lost = driver.machine.find_node(*task.places[2])
    driver.do(faults.lose, lost)
    driver.end(driver.instance(0), 3)
    driver.end_kills()
    assert (task.state, task.execution.exit_code) == ("completed", 3) and not driver.machine.runs


def test_a_retry_needs_all_nodes(driver, job):
    task = driver.multi_instance(job, constraints={"maxTaskRetryCount": 1})
    driver.coordinate()
    driver.do(faults.lose, driver.machine.find_node(*task.places[2]))
    driver.end(driver.instance(0), 3)
    driver.end_kills()
    assert (task.state, task.execution.retries, task.execution.requeues) == ("active", 0, 0)


def test_a_preempted_node_takes_all_back_at_once(driver):
    driver.linked(nodes=1, targetLowPriorityNodes=1)
    task = driver.multi_instance(driver.job(), instances=2)
    driver.coordinate()
    spot = next(n for n in driver.machine.pools["pool"].nodes.values() if not n.dedicated)
    driver.do(faults.preempt, spot)
    driver.end_kills()
    assert (task.state, task.execution.requeues) == ("active", 0) and not driver.machine.runs


def test_a_node_that_leaves_takes_all_back(driver, job):
    task = driver.multi_instance(job)
    driver.coordinate()
    leaving = task.subtasks[0].node[1]
    body = {"nodeList": [leaving], "nodeDeallocationOption": "requeue"}
    driver.do(lambda m: pools.remove_nodes(m, m.pool("pool"), body))
    driver.end_kills()
    driver.advance()
    assert (task.state, task.execution.requeues, task.subtasks) == ("active", 1, ())
    assert driver.free() == [1, 1] and not driver.machine.runs
    driver.do(pools.resize, driver.machine.pools["pool"], {"targetDedicatedNodes": 3})
    driver.advance()
    assert task.state == "preparing" and len(driver.started) == 3


@pytest.mark.parametrize("stage", ["coordination", "holding", "application"])
@pytest.mark.parametrize("what", ["terminate", "delete", "job", "requeue"])
def test_it_ends_as_one(driver, job, stage, what):
    task = driver.multi_instance(job)
    if stage == "holding":
        driver.end(driver.instance(0))
    elif stage == "application":
        driver.coordinate()
    if what == "job":
        driver.do(jobs.terminate, job, {})
    elif what == "requeue":
        driver.do(jobs.disable, job, "requeue")
    else:
        driver.do(getattr(tasks, what), job, task)
    driver.end_kills()
    assert driver.free() == [1, 1, 1] and not driver.machine.runs and not driver.started
    if what == "requeue":
        assert (task.state, job.state) == ("active", "disabled")
    elif what == "delete":
        assert "task" not in job.tasks and not job.dying
        assert {order.node for order in driver.deleted} == {node for _, node in task.places}
    else:
        assert task.execution.failure.code == "TaskEnded" and task.state == "completed"
        assert {s.lifecycle.state for s in task.subtasks} == {"completed"}


def test_the_time_limit_is_for_both_commands_together(driver, job):
    task = driver.multi_instance(job, constraints={"maxWallClockTime": "PT10M"})
    driver.advance(400)
    driver.coordinate()
    driver.advance(199)
    assert task.state == "running" and not set(driver.started) & driver.killed
    driver.advance(1)
    driver.end_kills()
    assert task.execution.failure.code == "TaskEnded" and driver.free() == [1, 1, 1]
    assert task.execution.failure.details


def test_preparation_on_every_node(driver):
    driver.linked()
    job = driver.job(jobPreparationTask={"commandLine": "prepare"})
    task = driver.multi_instance(job)
    assert len(driver.started) == 3 and task.state == "preparing"
    first, second, third = list(driver.started)
    driver.end(first)
    driver.end(second, 1)
    driver.end_kills()
    assert task.state == "active" and task.execution.requeues == 1
    driver.end(third)
    assert driver.free() == [1, 1, 1] and task.state == "active", "one node is barred now"
    driver.do(pools.resize, driver.machine.pools["pool"], {"targetDedicatedNodes": 4})
    driver.advance()
    assert task.state == "preparing"


def test_uploads_are_the_primarys(driver, job):
    task = driver.multi_instance(job, outputFiles=[OUTPUT])
    driver.coordinate()
    driver.end(driver.instance(0))
    (upload,) = driver.uploads.values()
    assert upload.node == task.node[1] and driver.free() == [0, 1, 1]


def test_files_stay_until_the_retention_is_over(driver, job):
    task = driver.multi_instance(job, constraints={"retentionTime": "PT1H"})
    driver.coordinate()
    driver.end(driver.instance(0))
    kept = driver.machine.find_node(*task.subtasks[0].node)
    driver.do(leaving.leave, kept, "retaineddata")
    assert kept.state != "leavingpool"
    driver.advance(3600)
    assert {order.node for order in driver.deleted} == {node for _, node in task.places}
    assert driver.machine.find_node(kept.pool, kept.id) is None


def test_others_run_beside_it(driver):
    driver.linked(nodes=4)
    job = driver.job(maxParallelTasks=2)
    driver.multi_instance(job)
    one, two = driver.task(job, "one"), driver.task(job, "two")
    assert (one.state, two.state) == ("preparing", "active"), "it counts as one task"
    assert job.counts["running"] == 2


def test_what_is_shown(driver, job):
    task = driver.multi_instance(job)
    subtask = task.subtasks[0]
    shown = views.subtask(driver.machine, job, task, subtask, "")
    assert shown["id"] == 1 and shown["state"] == "preparing" and "startTime" not in shown
    node = driver.machine.find_node(*subtask.node)
    (recent,) = views.node(driver.machine, node, "")["recentTasks"]
    assert (recent["taskId"], recent["subtaskId"]) == ("task", 1)
    hosts = {start.part.hosts for start in driver.started.values()}
    (everyone,) = hosts
    assert everyone[1] == (node.address, 2) and len(everyone) == 3


def test_no_more_than_a_hundred_linked_nodes(driver):
    pool = driver.linked(nodes=70, targetLowPriorityNodes=50)
    assert len(pool.nodes) == 100 and pool.errors[0].code == "CommunicationEnabledPoolReachedMaxVMCount"


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        ({"numberOfInstances": 0}, {}),
        ({"coordinationCommandLine": ""}, {}),
        ({"commonResourceFiles": [{"httpUrl": "http://x/y"}]}, {}),
        ({}, {"requiredSlots": 2}),
    ],
)
def test_refusals(driver, job, settings, more):
    with pytest.raises(BatchError) as caught:
        driver.task(job, multiInstanceSettings=SETTINGS | settings, **more)
    assert caught.value.code == "InvalidPropertyValue" and not job.tasks


def test_a_task_whose_primary_is_lost_while_it_uploads_can_be_ended(driver, job):
    task = driver.multi_instance(job, outputFiles=[OUTPUT])
    driver.coordinate()
    driver.end(driver.instance(0))
    ((run, _),) = driver.uploads.items()
    driver.do(faults.lose, driver.machine.find_node(*task.node))
    driver.do(reports.uploaded, run, None)
    assert task.state == "running", "the service has not noticed yet"
    driver.do(tasks.terminate, job, task)
    assert task.state == "completed" and not driver.machine.runs
