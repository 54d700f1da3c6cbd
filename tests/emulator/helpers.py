"""Short ways to make pools, jobs and tasks with the real client."""

from azure.batch import models
from support.emulator import wait_until

VM = models.VirtualMachineConfiguration(
    image_reference=models.BatchVmImageReference(
        publisher="microsoft-dsvm", offer="ubuntu-hpc", sku="2404", version="latest"
    ),
    node_agent_sku_id="batch.node.ubuntu 24.04",
)


def make_pool(client, pool_id="pool", nodes=1, slots=1, wait=True, **options):
    client.create_pool(
        models.BatchPoolCreateOptions(
            **{
                "id": pool_id,
                "vm_size": "Standard_D2s_v3",
                "virtual_machine_configuration": VM,
                "target_dedicated_nodes": nodes,
                "task_slots_per_node": slots,
            }
            | options
        )
    )
    if wait:
        wait_until(lambda: [n.state for n in client.list_nodes(pool_id)] == ["idle"] * nodes)


def make_job(client, job_id="job", pool_id="pool", **options):
    client.create_job(
        models.BatchJobCreateOptions(id=job_id, pool_info=models.BatchPoolInfo(pool_id=pool_id), **options)
    )


def task(task_id, command="true", **options):
    return models.BatchTaskCreateOptions(id=task_id, command_line=command, **options)


def shell(script):
    return "/bin/bash -c '" + script.replace("'", "'\\''") + "'"


def completed(client, job_id="job", task_id="task", timeout=30):
    def over():
        found = client.get_task(job_id, task_id)
        return found if found.state == "completed" else None

    return wait_until(over, timeout)


def text(chunks):
    return b"".join(chunks).decode()
