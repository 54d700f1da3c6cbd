"""Nodes and their files, each method of the client once."""

import pytest
from azure.batch import models
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from support.emulator import wait_until

from ..helpers import VM, completed, make_job, make_pool, shell, task
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


@covers("begin_reboot_node", "begin_reimage_node", "begin_deallocate_node", "begin_start_node")
def test_restarting_a_node(client):
    make_pool(client)
    node = the_node(client)
    client.begin_reboot_node("pool", node.id, {"nodeRebootOption": "requeue"}).result()
    again = wait_until(lambda: n if (n := client.get_node("pool", node.id)).state == "idle" else None)
    assert again.last_boot_time > node.last_boot_time
    client.begin_deallocate_node("pool", node.id, {"nodeDeallocateOption": "terminate"}).result()
    wait_until(lambda: client.get_node("pool", node.id).state == models.BatchNodeState.DEALLOCATED)
    client.begin_start_node("pool", node.id).result()
    wait_until(lambda: client.get_node("pool", node.id).state == models.BatchNodeState.IDLE)
    with pytest.raises(ResourceExistsError) as caught:
        client.begin_reimage_node("pool", node.id, {"nodeReimageOption": "requeue"})
    assert caught.value.error.code == "OperationNotValidOnNode"


@covers("create_node_user", "replace_node_user", "delete_node_user")
def test_users_of_a_node(client):
    make_pool(client)
    node_id = the_node(client).id
    user = models.BatchNodeUserCreateOptions(name="me", password="first", is_admin=True)
    client.create_node_user("pool", node_id, user)
    client.replace_node_user("pool", node_id, "me", models.BatchNodeUserReplaceOptions(password="second"))
    client.delete_node_user("pool", node_id, "me")
    with pytest.raises(ResourceNotFoundError) as caught:
        client.delete_node_user("pool", node_id, "me")
    assert caught.value.error.code == "NodeUserNotFound"


@covers("get_node_remote_login_settings", "list_node_extensions", "get_node_extension")
def test_what_the_pool_gives_a_node(client):
    ssh = models.BatchInboundNatPool(
        name="ssh",
        protocol="tcp",
        backend_port=22,
        frontend_port_range_start=40000,
        frontend_port_range_end=40099,
    )
    network = models.NetworkConfiguration(
        endpoint_configuration=models.BatchPoolEndpointConfiguration(inbound_nat_pools=[ssh])
    )
    extension = models.VMExtension(
        name="secrets",
        publisher="Microsoft.Azure.KeyVault",
        type="KeyVaultForLinux",
        type_handler_version="3.0",
        settings={"polling": "3600"},
    )
    machine = models.VirtualMachineConfiguration(
        image_reference=VM.image_reference, node_agent_sku_id=VM.node_agent_sku_id, extensions=[extension]
    )
    make_pool(client, network_configuration=network, virtual_machine_configuration=machine)
    node = the_node(client)
    login = client.get_node_remote_login_settings("pool", node.id)
    assert 40000 <= login.remote_login_port <= 40099 and login.remote_login_ip_address
    assert node.endpoint_configuration.inbound_endpoints[0].protocol == models.InboundEndpointProtocol.TCP
    (listed,) = client.list_node_extensions("pool", node.id)
    found = client.get_node_extension("pool", node.id, "secrets")
    assert listed.provisioning_state == found.provisioning_state == "Succeeded"
    assert (found.vm_extension.name, found.vm_extension.settings["polling"]) == ("secrets", "3600")


@covers("upload_node_logs")
def test_logs_of_a_node(client, azurite):
    make_pool(client)
    node = the_node(client)
    container = azurite.new_container()
    url = f"{container.url}?{azurite.sas(permission='w', container=container.container_name)}"
    result = client.upload_node_logs(
        "pool",
        node.id,
        models.UploadBatchServiceLogsOptions(container_url=url, start_time=node.allocation_time),
    )
    assert result.number_of_files_uploaded >= 1
    names = wait_until(lambda: list(container.list_blob_names()))
    assert all(name.startswith(result.virtual_directory_name) for name in names)
