"""Pools and what belongs to them, each method of the client once."""

from datetime import timedelta

from azure.batch import models
from support.emulator import wait_until

from ..helpers import VM, make_job, make_pool, task
from .coverage import covers


def steady(client, pool_id="pool"):
    return wait_until(lambda: p if (p := client.get_pool(pool_id)).allocation_state == "steady" else None)


@covers("create_pool", "get_pool", "list_pools", "pool_exists", "begin_delete_pool")
def test_the_life_of_a_pool(client):
    client.create_pool(
        models.BatchPoolCreateOptions(
            id="whole",
            display_name="All that a pool can have",
            vm_size="Standard_D2s_v3",
            virtual_machine_configuration=VM,
            resize_timeout=timedelta(minutes=10),
            target_dedicated_nodes=1,
            target_low_priority_nodes=1,
            task_slots_per_node=3,
            task_scheduling_policy=models.BatchTaskSchedulingPolicy(node_fill_type="pack"),
            start_task=models.BatchStartTask(
                command_line="true",
                environment_settings=[models.EnvironmentSetting(name="A", value="1")],
                max_task_retry_count=1,
            ),
            user_accounts=[models.UserAccount(name="me", password="secret", elevation_level="admin")],
            metadata=[models.BatchMetadataItem(name="k", value="v")],
            network_configuration=models.NetworkConfiguration(dynamic_vnet_assignment_scope="none"),
        )
    )
    assert client.pool_exists("WHOLE")
    pool = steady(client, "whole")
    assert (pool.id, pool.resize_timeout, pool.task_slots_per_node) == ("whole", timedelta(minutes=10), 3)
    assert (pool.current_dedicated_nodes, pool.current_low_priority_nodes) == (1, 1)
    assert pool.task_scheduling_policy.node_fill_type == models.BatchNodeFillType.PACK
    assert pool.start_task.environment_settings[0].as_dict() == {"name": "A", "value": "1"}
    assert (pool.user_accounts[0].name, pool.user_accounts[0].password) == ("me", None)
    (listed,) = client.list_pools(filter="startswith(id,'wh')", select=["id", "state"])
    assert (listed.id, listed.state) == ("whole", models.BatchPoolState.ACTIVE)
    client.begin_delete_pool("whole").result()
    assert not list(client.list_pools())


@covers("update_pool", "replace_pool_properties")
def test_changing_a_pool(client):
    make_pool(client, nodes=0, metadata=[models.BatchMetadataItem(name="k", value="v")])
    start = models.BatchStartTask(command_line="true")
    client.update_pool("pool", models.BatchPoolUpdateOptions(start_task=start, task_slots_per_node=4))
    pool = client.get_pool("pool")
    assert (pool.start_task.command_line, pool.task_slots_per_node, pool.metadata[0].value) == (
        "true",
        4,
        "v",
    )
    nothing = models.BatchPoolReplaceOptions(application_package_references=[], metadata=[])
    client.replace_pool_properties("pool", nothing)
    pool = client.get_pool("pool")
    assert (pool.start_task, pool.metadata) == (None, [])


@covers("begin_resize_pool", "begin_remove_nodes", "list_pool_node_counts")
def test_the_size_of_a_pool(client):
    make_pool(client, nodes=0)
    client.begin_resize_pool("pool", models.BatchPoolResizeOptions(target_dedicated_nodes=2)).result()
    wait_until(lambda: [node.state for node in client.list_nodes("pool")] == ["idle"] * 2)
    (counts,) = client.list_pool_node_counts(filter="poolId eq 'pool'")
    assert (counts.dedicated.idle, counts.dedicated.total, counts.low_priority.total) == (2, 2, 0)
    gone = next(iter(client.list_nodes("pool"))).id
    client.begin_remove_nodes("pool", models.BatchNodeRemoveOptions(node_ids=[gone])).result()
    pool = steady(client)
    assert (pool.target_dedicated_nodes, pool.current_dedicated_nodes) == (1, 1)
    assert gone not in {node.id for node in client.list_nodes("pool")}


@covers("begin_stop_pool_resize")
def test_stopping_a_resize(client):
    """The node that is to go runs a task, so the resize lasts until it is stopped."""
    make_pool(client)
    make_job(client)
    client.create_task("job", task("long", "sleep 600"))
    wait_until(lambda: client.get_task("job", "long").state == "running")
    options = models.BatchPoolResizeOptions(
        target_dedicated_nodes=0, node_deallocation_option="taskcompletion"
    )
    resize = client.begin_resize_pool("pool", options)
    assert client.get_pool("pool").allocation_state == models.AllocationState.RESIZING
    stop = client.begin_stop_pool_resize("pool")
    assert client.get_pool("pool").allocation_state != models.AllocationState.RESIZING
    client.terminate_task("job", "long")
    stop.result()
    resize.result()
    assert client.get_pool("pool").allocation_state == models.AllocationState.STEADY


@covers("enable_pool_auto_scale", "evaluate_pool_auto_scale", "disable_pool_auto_scale")
def test_autoscaling(client):
    formula = "$TargetDedicatedNodes = 1; extra = 7;"
    born = {"enable_auto_scale": True, "auto_scale_formula": formula}
    make_pool(client, "born", wait=False, target_dedicated_nodes=None, **born)
    make_pool(client, nodes=0)
    client.enable_pool_auto_scale(
        "pool",
        models.BatchPoolEnableAutoScaleOptions(
            auto_scale_formula=formula, auto_scale_evaluation_interval=timedelta(minutes=6)
        ),
    )
    pool = client.get_pool("pool")
    assert (pool.enable_auto_scale, pool.auto_scale_formula) == (True, formula)
    assert pool.auto_scale_evaluation_interval == timedelta(minutes=6)
    run = client.evaluate_pool_auto_scale(
        "pool", models.BatchPoolEvaluateAutoScaleOptions(auto_scale_formula=formula)
    )
    assert "$TargetDedicatedNodes=1" in run.results and "extra=7" in run.results and run.error is None
    failed = client.evaluate_pool_auto_scale(
        "pool",
        models.BatchPoolEvaluateAutoScaleOptions(
            auto_scale_formula="$TargetDedicatedNodes = avg($PendingTasks.GetSample(TimeInterval_Day))"
        ),
    )
    assert failed.error.code == "InsufficientSampleData" and failed.error.error_values[0].name == "Message"
    wait_until(lambda: client.get_pool("born").auto_scale_run)  # enabling evaluates an interval later
    client.disable_pool_auto_scale("pool")
    pool = client.get_pool("pool")
    assert (pool.enable_auto_scale, pool.auto_scale_formula) == (False, None)


@covers("list_supported_images")
def test_supported_images(client):
    images = list(client.list_supported_images(filter="osType eq 'linux'"))
    assert any("DockerCompatible" in (image.capabilities or ()) for image in images)
    assert {image.os_type for image in images} == {models.OSType.LINUX}
