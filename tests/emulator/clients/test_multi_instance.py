"""Tasks on several nodes at once, as the real client sees them."""

from pathlib import Path

import pytest
from azure.batch import models
from azure.core.exceptions import HttpResponseError
from support.emulator import wait_until

from ..helpers import completed, make_job, make_pool, shell, task, text
from .coverage import covers


@pytest.fixture
def nodes(client):
    make_pool(client, nodes=2, enable_inter_node_communication=True)
    make_job(client)
    return {node.ip_address: node.id for node in client.list_nodes("pool")}


def settings(coordination, instances=2, **more):
    return models.MultiInstanceSettings(
        number_of_instances=instances, coordination_command_line=shell(coordination), **more
    )


def on_node(client, info, name):
    return text(client.download_node_file("pool", info.node_id, f"{info.task_root_directory}/{name}"))


@covers("list_subtasks", "create_task", "get_task", "download_node_file")
def test_a_service_in_the_background(client, nodes):
    """Coordination leaves a process on each node, the command finds the primary's; all are gone afterwards."""
    coordination = "(echo $BASHPID > ../service; exec sleep 300) & env > ../environment; "
    # What a node's coordination has not begun would be missing at the end.
    coordination += "while [ ! -s ../service ]; do sleep 0.01; done; echo met"
    command = "kill -0 $(cat ../service) && echo served"
    client.create_task("job", task("mpi", shell(command), multi_instance_settings=settings(coordination)))
    done = completed(client, task_id="mpi")
    assert (done.state, done.execution_info.exit_code) == ("completed", 0)
    assert done.multi_instance_settings.number_of_instances == 2
    assert on_node(client, done.node_info, "stdout.txt").split() == ["met", "served"]
    (subtask,) = client.list_subtasks("job", "mpi")
    assert (subtask.id, subtask.state, subtask.exit_code, subtask.result) == (1, "completed", 0, "success")
    assert subtask.start_time <= subtask.end_time and subtask.previous_state == "running"
    assert on_node(client, subtask.node_info, "stdout.txt").split() == ["met"]
    infos = [done.node_info, subtask.node_info]
    addresses = {node_id: address for address, node_id in nodes.items()}
    hosts = [addresses[info.node_id] for info in infos]
    for number, info in enumerate(infos):
        lines = on_node(client, info, "environment").splitlines()
        env = dict(line.split("=", 1) for line in lines if "=" in line)
        assert env["AZ_BATCH_NODE_LIST"] == ";".join(hosts) and env["AZ_BATCH_HOST_LIST"] == ",".join(hosts)
        assert env["AZ_BATCH_MASTER_NODE"] == f"{hosts[0]}:6000"
        assert env["AZ_BATCH_IS_CURRENT_NODE_MASTER"] == ("false" if number else "true")
        assert env["CCP_NODES"] == f"2 {hosts[0]} 2 {hosts[1]} 2"
        assert env["AZ_BATCH_TASK_SHARED_DIR"] == env["AZ_BATCH_TASK_DIR"]
        assert env["AZ_BATCH_TASK_SHARED_DIR"].endswith(info.task_root_directory)
        process = Path("/proc") / on_node(client, info, "service").strip()
        wait_until(lambda process=process: not process.exists())


def test_a_coordination_that_fails(client, nodes):
    coordination = "test $AZ_BATCH_IS_CURRENT_NODE_MASTER = true"
    client.create_task("job", task("mpi", multi_instance_settings=settings(coordination)))
    done = completed(client, task_id="mpi")
    assert done.execution_info.exit_code == 1 and done.execution_info.failure_info.code == "FailureExitCode"
    (subtask,) = client.list_subtasks("job", "mpi")
    assert (subtask.exit_code, subtask.result) == (1, "failure")
    assert subtask.failure_info.code == "FailureExitCode"


def test_tasks_without_instances_have_no_subtasks(client, nodes):
    client.create_task("job", task("plain"))
    assert list(client.list_subtasks("job", "plain")) == []
    with pytest.raises(HttpResponseError) as caught:
        list(client.list_subtasks("job", "absent"))
    assert caught.value.error.code == "TaskNotFound"


def test_selected_properties(client, nodes):
    client.create_task("job", task("mpi", multi_instance_settings=settings("true")))
    completed(client, task_id="mpi")
    (subtask,) = client.list_subtasks("job", "mpi", select=["id", "state"])
    assert set(subtask) == {"id", "state"}
