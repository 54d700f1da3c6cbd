"""The one door to the Batch service, against the emulator: what it forgives, what it refuses, and in which words."""

from datetime import UTC, datetime, timedelta

import pytest
from support.emulator import wait_until

from snakemake.azure.batch.account import BatchAccount
from snakemake.azure.batch.capacity import assess
from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.errors import BatchError
from snakemake.azure.batch.lease import INTERVALS, Size, formula
from snakemake.azure.batch.pools import PoolView
from snakemake.azure.batch.tasks import Task
from snakemake.azure.node.order import NodeOrder

IMAGE = "registry.example.org/image:1"


@pytest.fixture
def job(batch, plan):
    from azure.batch import models

    batch.create_pool(plan.options(*scaled(0)))
    batch.create_job(
        models.BatchJobCreateOptions(id="job-1", pool_info=models.BatchPoolInfo(pool_id=plan.id))
    )
    return "job-1"


def tasks(*ids, environment=None, **changes):
    order = NodeOrder(("--help",), "c/b", "0" * 64, "1" * 64)
    return [Task(id, id, order, environment=environment or {}, **changes).body(IMAGE) for id in ids]


def test_a_pool_is_made_as_planned(batch, plan):
    batch.create_pool(plan.options(*scaled(1)))
    wait_until(lambda: batch.list_nodes(plan.id) and batch.list_nodes(plan.id)[0].state == "idle")
    view = PoolView.of(batch.get_pool(plan.id), batch.list_nodes(plan.id))
    assert (view.target, view.current, view.usable, view.resize_errors) == (1, 1, 1, ())
    assert view.summary() == "1 of 1 nodes ready"


def test_what_was_made_and_is_not_found_yet_is_waited_for(emulator, batch, plan, request):
    """As the service does it for some seconds after a creation."""
    from azure.batch import models
    from azure.core.rest import HttpRequest

    def late(seconds):
        wanted = HttpRequest("POST", f"{emulator.url}/-/faults", json={"notFoundSeconds": seconds})
        batch.client.send_request(wanted).raise_for_status()

    request.addfinalizer(lambda: late(None))
    late(1.5)
    batch.create_pool(plan.options(*scaled(0)))
    pool = models.BatchPoolInfo(pool_id=plan.id)
    batch.create_job(models.BatchJobCreateOptions(id="job-1", pool_info=pool))
    assert batch.add_tasks("job-1", tasks("t")) == [] and batch.get_pool(plan.id).id == plan.id


def test_hundreds_of_tasks_keep_their_order_and_a_repetition_is_forgiven(batch, job):
    names = [f"t{i:03}" for i in range(250)]
    assert batch.add_tasks(job, tasks(*names)) == []
    assert batch.add_tasks(job, tasks(*names[:3])) == []
    assert sorted(batch.task_states(job)) == names


def test_a_request_that_is_too_large_goes_in_parts(batch, job):
    large = tasks(*(f"t{i}" for i in range(50)), environment={"X": "x" * 60_000})
    assert batch.add_tasks(job, large) == []
    assert len(batch.task_states(job)) == 50


def test_a_task_that_is_refused_says_why_and_the_others_are_added(batch, job):
    rejected = batch.add_tasks(job, tasks("good", "not good"))
    assert [r.task_id for r in rejected] == ["not good"]
    assert rejected[0].code and "RequestId" not in rejected[0].message
    assert list(batch.task_states(job)) == ["good"]


def scaled(nodes):
    """Arguments for a pool that is to have so many nodes."""
    return formula(Size(nodes), datetime.now(UTC) + timedelta(minutes=30)), INTERVALS[0]


def test_a_pool_takes_another_formula_also_while_it_is_resized_and_not_twice_in_30_seconds(batch, plan):
    batch.create_pool(plan.options(*scaled(1)))
    assert batch.scale_pool(plan.id, scaled(2)[0], INTERVALS[1]) == "done"
    wait_until(lambda: batch.get_pool(plan.id).current_dedicated_nodes == 2)
    assert batch.scale_pool(plan.id, scaled(3)[0], INTERVALS[0]) == "too early"
    assert batch.scale_pool("none", scaled(3)[0], INTERVALS[0]) == "gone"


def test_nodes_are_removed_by_name_once_no_formula_sizes_their_pool(batch, plan):
    batch.create_pool(plan.options(*scaled(2)))
    wait_until(lambda: batch.get_pool(plan.id).current_dedicated_nodes == 2)
    wait_until(lambda: batch.glance_at_pool(plan.id).allocation_state == "steady")
    bad, good = [node.id for node in batch.list_nodes(plan.id)]
    assert not batch.remove_nodes(plan.id, [bad]), "the formula is in force"
    assert batch.stop_scaling(plan.id) and batch.stop_scaling(plan.id), "twice does no harm"
    assert batch.remove_nodes(plan.id, [bad])
    wait_until(lambda: [node.id for node in batch.list_nodes(plan.id)] == [good])
    assert batch.remove_nodes(plan.id, [bad]), "it was, by a request whose answer was lost"
    assert batch.glance_at_pool(plan.id).target_dedicated_nodes == 1
    assert batch.glance_at_pool("none") is None and not batch.stop_scaling("none")


def test_the_services_time_is_heard(batch):
    batch.supported_images()
    assert abs(batch.clock.now() - datetime.now(UTC)) < timedelta(seconds=30)


def test_a_job_ends_later_when_it_is_extended(batch, job):
    batch.extend_job(job, timedelta(days=3))
    found = batch.get_job(job).constraints.max_wall_clock_time
    assert abs(found - timedelta(days=3)) < timedelta(minutes=5)  # `Date` has whole seconds
    batch.extend_job("none", timedelta(days=3))
    assert batch.get_job("none") is None and batch.all_tasks("none") == []


@pytest.mark.parametrize("kind", ["droppedBefore", "droppedAfter", "failedAfter"])
def test_requests_that_fail_are_repeated_and_what_they_made_is_found(batch, plan, suffer, kind):
    from azure.batch import models

    suffer(kind)
    batch.create_pool(plan.options(*scaled(0)))
    suffer(kind)
    batch.create_job(
        models.BatchJobCreateOptions(id="job-1", pool_info=models.BatchPoolInfo(pool_id=plan.id))
    )
    suffer(kind)
    assert batch.add_tasks("job-1", tasks("a", "b")) == []
    assert sorted(batch.task_states("job-1")) == ["a", "b"]
    suffer(kind)
    assert batch.delete_job("job-1") in (True, False)
    suffer(kind)
    assert batch.delete_pool(plan.id) in (True, False)
    wait_until(lambda: not batch.delete_pool(plan.id))


def test_deleting_what_is_gone_is_no_error(batch, job, plan):
    assert batch.delete_job("never") is False and batch.delete_pool("never") is False
    assert batch.delete_job(job) is True
    assert batch.delete_pool(plan.id) is True
    wait_until(lambda: batch.delete_pool(plan.id) is False)


def test_files_that_are_not_there(batch, job, caplog):
    batch.add_tasks(job, tasks("t"))
    assert batch.task_file(job, "t", "stderr.txt") is None
    assert batch.task_file(job, "never", "stderr.txt") is None
    assert not caplog.text, "nobody sees the SDK's tracebacks"


def test_only_completed_tasks_since(batch, job):
    batch.add_tasks(job, tasks("a", "b"))
    assert batch.completed_tasks(job, None) == []
    batch.client.terminate_task(job, "a")
    (done,) = batch.completed_tasks(job, None)
    assert done.id == "a"
    assert [t.id for t in batch.completed_tasks(job, done.changed)] == ["a"]
    assert batch.completed_tasks(job, datetime(2100, 1, 1, tzinfo=UTC)) == []


def test_a_size_that_the_region_lacks_names_the_option(batch, plan):
    from dataclasses import replace

    with pytest.raises(BatchError, match="Set --az-batch-vm-size") as e:
        batch.create_pool(replace(plan, vm_size="Standard_D4s_v99").options(*scaled(1)))
    assert "\n" not in str(e.value) and e.value.status == 400


def test_a_wrong_key_is_said_without_the_key(emulator):
    key = "d3Jvbmcta2V5LXdyb25nLWtleS13cm9uZy1rZXk="
    with pytest.raises(BatchError, match="AZ_BATCH_ACCOUNT_KEY") as e:
        Batch(BatchAccount(emulator.url, emulator.account, key)).supported_images()
    assert key not in str(e.value) and e.value.__cause__ is None and e.value.__suppress_context__


def test_nobody_there():
    with pytest.raises(BatchError, match="azure-batch-emulator start"):
        Batch(BatchAccount("http://127.0.0.1:9", "a", "a2V5")).supported_images()


def test_the_clients_and_the_emulators_figures_of_vm_sizes_agree():
    """Two tables, because the emulator stands alone; a difference would pack tasks in one way and run them in another."""
    import json
    from importlib.resources import files

    from snakemake.azure.batch.vm_sizes import table

    theirs = json.loads((files("azure_batch_emulator") / "data" / "vm_sizes.json").read_text())
    ours = {size.name: (size.vcpus, size.memory_gib, size.generation2) for size in table().values()}
    shared = set(ours) & set(theirs)
    assert len(shared) > 300
    assert {n: ours[n] for n in shared} == {
        n: (theirs[n]["cores"], theirs[n]["memoryGiB"], 2 in theirs[n].get("generations", (1, 2)))
        for n in shared
    }


def test_assess_on_a_pool_that_the_service_describes(batch, plan):
    from datetime import timedelta

    batch.create_pool(plan.options(*scaled(0)))
    view = PoolView.of(batch.get_pool(plan.id), batch.list_nodes(plan.id))
    assert assess(view, timedelta(0), timedelta(minutes=1)) is None
