"""Run by an interpreter with any azure-batch before 15: the life of a pool, a job and tasks, by that client.

`python older.py TASKS`; the emulator is in the environment. Each task is asked for by itself, as many programs do it.
"""

import os
import sys
import time

import azure.batch
from azure.batch import models
from azure.batch.batch_auth import SharedKeyCredentials

COUNT = int(sys.argv[1])
NAME = f"older-{azure.batch.__version__.replace('.', '-')}"
MANY = {"max_tasks_per_node" if hasattr(models.PoolAddParameter(id="x", vm_size="x"), "max_tasks_per_node")
        else "task_slots_per_node": 4}  # fmt: skip


def until(find, seconds=120):
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.1)
    return found


def main():
    credentials = SharedKeyCredentials(
        os.environ["AZ_BATCH_ACCOUNT_NAME"], os.environ["AZ_BATCH_ACCOUNT_KEY"]
    )
    client = azure.batch.BatchServiceClient(credentials, batch_url=os.environ["AZ_BATCH_ACCOUNT_URL"])
    machine = models.VirtualMachineConfiguration(
        image_reference=models.ImageReference(
            publisher="canonical", offer="ubuntu-24_04-lts", sku="server", version="latest"
        ),
        node_agent_sku_id="batch.node.ubuntu 24.04",
    )
    pool = models.PoolAddParameter(
        id=NAME,
        vm_size="STANDARD_D2s_v3",
        virtual_machine_configuration=machine,
        target_dedicated_nodes=2,
        **MANY,
    )
    client.pool.add(pool)
    assert client.pool.exists(NAME)
    until(lambda: [n.state for n in client.compute_node.list(NAME)] == ["idle", "idle"])
    client.job.add(models.JobAddParameter(id=NAME, pool_info=models.PoolInformation(pool_id=NAME)))
    tasks = [models.TaskAddParameter(id=f"t{i}", command_line=f"/bin/sh -c 'echo {i}'") for i in range(COUNT)]
    results = client.task.add_collection(NAME, tasks).value
    assert [r.error for r in results] == [None] * COUNT
    until(lambda: all(t.state == "completed" for t in client.task.list(NAME)))
    for task in client.task.list(NAME, models.TaskListOptions(max_results=10)):
        shown = client.task.get(NAME, task.id)
        assert shown.execution_info.exit_code == 0
        assert b"".join(client.file.get_from_task(NAME, task.id, "stdout.txt")) == f"{task.id[1:]}\n".encode()
        assert (
            client.file.get_properties_from_task(NAME, task.id, "stdout.txt", raw=True).response.status_code
            == 200
        )
        client.task.delete(NAME, task.id)
    client.pool.resize(NAME, models.PoolResizeParameter(target_dedicated_nodes=0))
    until(lambda: not list(client.compute_node.list(NAME)))
    client.job.terminate(NAME)
    client.job.delete(NAME)
    client.pool.delete(NAME)


main()
