"""Operations on nodes through the real client: pollers, files, start tasks. (Its models for their options are not public.)"""

import pytest
from azure.batch import models
from azure.core.exceptions import HttpResponseError
from support.emulator import wait_until

from ..helpers import completed, make_job, make_pool, shell, task, text
from .coverage import covers


def only(client):
    (node,) = client.list_nodes("pool")
    return node


@covers("begin_reboot_node")
def test_reboot(client):
    count = models.BatchStartTask(command_line=shell("echo x >> $AZ_BATCH_NODE_SHARED_DIR/starts"))
    make_pool(client, start_task=count)
    make_job(client)
    client.create_task("job", task("task", shell("echo hello")))
    completed(client)
    before = only(client)
    options = {"nodeRebootOption": "taskcompletion"}
    client.begin_reboot_node("pool", before.id, options, polling_interval=0.05).result()
    wait_until(lambda: only(client).state == "idle")
    assert only(client).last_boot_time > before.last_boot_time
    assert text(client.download_node_file("pool", before.id, "shared/starts")) == "x\nx\n"
    assert text(client.download_task_file("job", "task", "stdout.txt")) == "hello\n", "files outlive a reboot"


@covers("begin_deallocate_node", "begin_start_node")
def test_deallocate_and_start(client):
    make_pool(client)
    make_job(client)
    client.create_task("job", task("task", shell("echo hello")))
    completed(client)
    node_id = only(client).id
    options = {"nodeDeallocateOption": "requeue"}
    client.begin_deallocate_node("pool", node_id, options, polling_interval=0.05).result()
    assert only(client).state == "deallocated"
    (counts,) = client.list_pool_node_counts()
    assert (counts.dedicated.deallocated, counts.dedicated.total) == (1, 1)
    with pytest.raises(HttpResponseError) as caught:
        client.get_task_file_properties("job", "task", "stdout.txt")
    assert caught.value.status_code == 409
    client.begin_start_node("pool", node_id, polling_interval=0.05).result()
    wait_until(lambda: only(client).state == "idle")
    with pytest.raises(HttpResponseError) as caught:
        list(client.list_task_files("job", "task"))
    assert caught.value.error.code == "TaskFilesUnavailable", "the disk is another one"
    client.create_task("job", task("again", "true"))
    assert completed(client, task_id="again").execution_info.exit_code == 0


@covers("begin_reimage_node")
def test_what_is_refused(client):
    make_pool(client)
    node_id = only(client).id
    for call in (
        lambda: client.begin_reimage_node("pool", node_id, {"nodeReimageOption": "requeue"}),
        lambda: client.begin_start_node("pool", node_id),
    ):
        with pytest.raises(HttpResponseError) as caught:
            call()
        assert (caught.value.status_code, caught.value.error.code) == (409, "OperationNotValidOnNode")
    with pytest.raises(HttpResponseError) as caught:
        client.begin_reboot_node("pool", "nope", {"nodeRebootOption": "requeue"})
    assert caught.value.error.code == "NodeNotFound"
