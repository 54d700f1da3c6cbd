"""Containers by the whole way: the client's settings of pool and task, the service, the engine."""

import os

import pytest
from azure.batch import models
from support.emulator import running_emulator

from ...helpers import VM, completed, make_job, make_pool, shell, task, text

pytestmark = pytest.mark.docker
MOUNTED = (
    "AZ_BATCH_NODE_ROOT_DIR",
    "AZ_BATCH_NODE_SHARED_DIR",
    "AZ_BATCH_TASK_DIR",
    "AZ_BATCH_NODE_STARTUP_DIR",
)


@pytest.fixture
def client(docker_engine, snakemake_image):
    with running_emulator(runner="docker") as emulator:
        client = emulator.client()
        configuration = models.BatchContainerConfiguration(
            type="dockerCompatible", container_image_names=[snakemake_image]
        )
        machine = models.VirtualMachineConfiguration(
            VM.as_dict() | {"containerConfiguration": configuration.as_dict()}
        )
        numbers = models.LinuxUserConfiguration(uid=4321, gid=4322)
        users = [models.UserAccount(name="named", password="p", linux_user_configuration=numbers)]
        make_pool(client, virtual_machine_configuration=machine, user_accounts=users, slots=4)
        make_job(client)
        yield client


def run(client, image, task_id, script, identity=None, **settings):
    container = models.BatchTaskContainerSettings(image_name=image, **settings)
    client.create_task(
        "job", task(task_id, shell(script), container_settings=container, user_identity=identity)
    )
    ended = completed(client, task_id=task_id).execution_info
    return ended, text(client.download_task_file("job", task_id, "stdout.txt")).splitlines()


def test_what_a_container_sees_and_who_it_is(client, snakemake_image):
    names = " ".join(f"${{{name}:-none}}" for name in MOUNTED)
    script = f"echo {names}; pwd; id -u"

    ended, (seen, directory, user) = run(client, snakemake_image, "everything", script)
    assert ended.exit_code == 0 and len(ended.container_info.container_id) == 64
    root = seen.split()[0]
    task_dir = f"{root}/workitems/job/job-1/everything"
    assert seen.split() == [root, f"{root}/shared", task_dir, f"{root}/startup"]
    assert directory == f"{task_dir}/wd"
    assert user != "0", "nor is one root where the emulator is"

    mounts = [models.ContainerHostBatchBindMountEntry(source="Task", is_read_only=False)]
    settings = {"container_host_batch_bind_mounts": mounts, "working_directory": "containerImageDefault"}
    admin = models.UserIdentity(auto_user=models.AutoUserSpecification(elevation_level="admin"))
    ended, (seen, directory, user) = run(client, snakemake_image, "some", script, admin, **settings)
    assert seen.split() == ["none", "none", f"{root}/workitems/job/job-1/some", "none"]
    assert (directory, user) == ("/", "0")

    named = models.UserIdentity(username="named")
    ended, (_, _, user) = run(client, snakemake_image, "named", script, named)
    assert user == ("4321" if os.getuid() == 0 else str(os.getuid()))
