"""What a task's request says."""

from datetime import timedelta

from snakemake.azure.batch.tasks import Task
from snakemake.azure.node.order import NodeOrder


def test_constraints_are_all_the_tasks_own():
    """A task with constraints does not get those that it lacks from its job."""
    order = NodeOrder(("--cores", "1"), "container/sources.tar.gz", "0" * 64, "1" * 64)
    task = Task("a-1-1", "a", order, runtime=timedelta(minutes=5), retries=3)
    constraints = task.body("image")["constraints"]
    assert (constraints["maxTaskRetryCount"], constraints["maxWallClockTime"]) == (3, "PT5M")
    assert Task("a-2-1", "a", order).body("image")["constraints"]["maxTaskRetryCount"] == 0
