"""Who reacts to what, and when."""

from azure_batch_emulator.core import events
from azure_batch_emulator.core.batch_service import REACTIONS
from azure_batch_emulator.core.jobs import jobs

from .builders import IMAGE, job_body


def test_each_event_concerns_somebody():
    assert set(REACTIONS) == set(events.Event.__subclasses__()) and all(REACTIONS.values())


def test_all_that_follows_from_a_report_has_happened_with_it(driver):
    """The last task's end ends its job, that ends the auto pool, whose node leaves: one stimulus, no time."""
    pool = {"vmSize": "Standard_D2s_v3", "virtualMachineConfiguration": IMAGE, "targetDedicatedNodes": 1}
    info = {"autoPoolSpecification": {"poolLifetimeOption": "job", "pool": pool}}
    job = driver.do(jobs.create, job_body(poolInfo=info))
    driver.advance(60)
    driver.task(job)
    driver.do(lambda m: jobs.change(m, job, {"onAllTasksComplete": "terminatejob"}, replace=False))
    driver.end(driver.run_of("task"))
    (made,) = driver.machine.pools.values()
    assert (job.state, job.reason, made.state) == ("completed", "AllTasksComplete", "deleting")
    assert [node.state for node in made.nodes.values()] == ["leavingpool"]
    driver.advance(60)
    assert not driver.machine.pools
