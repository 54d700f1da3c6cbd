"""Nodes and their files, each method of the client once."""

import pytest
from azure.batch import models
from azure.core.exceptions import ResourceNotFoundError
from support.emulator import wait_until

from ..helpers import completed, make_job, make_pool, shell, task
from .coverage import covers


def the_node(client):
    (node,) = client.list_nodes("pool")
    return node


@covers("list_nodes", "get_node")
def test_a_node_that_has_worked(client):
    make_pool(client, start_task=models.BatchStartTask(command_line="true", wait_for_success=True))
    make_job(client)
    client.create_task("job", task("bad", "false"))
    completed(client, task_id="bad")
    found = the_node(client)
    node = client.get_node("pool", found.id)
    assert (node.state, node.vm_size, node.is_dedicated) == ("idle", "Standard_D2s_v3", True)
    assert node.start_task_info.result == models.BatchTaskExecutionResult.SUCCESS
    assert (node.total_tasks_run, node.total_tasks_succeeded) == (1, 0)
    recent = node.recent_tasks[0]
    assert (recent.job_id, recent.task_id, recent.execution_info.exit_code) == ("job", "bad", 1)
    (short,) = client.list_nodes("pool", filter="state eq 'idle'", select=["id"])
    assert short.id == node.id and short.state is None


@covers("disable_node_scheduling", "enable_node_scheduling")
def test_taking_a_node_out_of_service(client):
    make_pool(client)
    node_id = the_node(client).id
    options = models.BatchNodeDisableSchedulingOptions(node_disable_scheduling_option="terminate")
    client.disable_node_scheduling("pool", node_id, options)
    node = client.get_node("pool", node_id)
    assert (node.state, node.scheduling_state) == ("offline", models.SchedulingState.DISABLED)
    client.enable_node_scheduling("pool", node_id)
    assert client.get_node("pool", node_id).scheduling_state == models.SchedulingState.ENABLED


@covers("list_node_files", "get_node_file_properties", "download_node_file", "delete_node_file")
def test_files_of_a_node(client):
    make_pool(client)
    make_job(client)
    client.create_task("job", task("t", shell("echo hello > $AZ_BATCH_NODE_SHARED_DIR/out.txt")))
    completed(client, task_id="t")
    node_id, path = the_node(client).id, "shared/out.txt"
    listed = {file.name: file for file in client.list_node_files("pool", node_id, recursive=True)}
    assert listed["shared"].is_directory and listed[path].properties.content_length == 6
    assert {"workitems", "startup", "fsmounts", "volatile", "applications"} <= set(listed)
    found = client.get_node_file_properties("pool", node_id, path)
    assert (found.content_length, found.is_directory) == (6, False)
    assert b"".join(client.download_node_file("pool", node_id, path)) == b"hello\n"
    assert b"".join(client.download_node_file("pool", node_id, path, ocp_range="bytes=1-3")) == b"ell"
    client.delete_node_file("pool", node_id, path)
    with pytest.raises(ResourceNotFoundError) as caught:
        client.get_node_file_properties("pool", node_id, path)
    assert caught.value.status_code == 404
    wait_until(lambda: path not in {f.name for f in client.list_node_files("pool", node_id, recursive=True)})
