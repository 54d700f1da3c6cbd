"""Settings of containers that the service refuses, and the variables that a container sees."""

import pytest

from azure_batch_emulator.core.bodies.pool_properties import check_properties
from azure_batch_emulator.core.bodies.pool_specs import pool_spec, start_task
from azure_batch_emulator.core.bodies.task_specs import check_fits, task_spec
from azure_batch_emulator.nodes.environment import visible
from azure_batch_emulator.protocol.errors import BatchError

from ..builders import Driver, pool_body, task_body

LOGIN = {"registryServer": "r.example", "username": "me", "password": "secret"}
WITH_IDENTITY = {"registryServer": "r.example", "identityReference": {"resourceId": "/x"}}


def spec_of(**settings):
    job = Driver().job()
    return task_spec(task_body(containerSettings={"imageName": "i"} | settings), job.spec)


def test_settings_that_are_taken():
    mounts = [{"source": "task", "isReadOnly": True}, {"source": "Shared"}]
    settings = spec_of(registry=LOGIN, containerHostBatchBindMounts=mounts)["containerSettings"]
    assert settings["registry"] == LOGIN
    assert [mount["source"] for mount in settings["containerHostBatchBindMounts"]] == ["Task", "Shared"]
    assert spec_of(containerHostBatchBindMounts=[])["containerSettings"]["containerHostBatchBindMounts"] == []


@pytest.mark.parametrize(
    ("settings", "code", "name"),
    [
        ({"registry": {"registryServer": "r"}}, "InvalidPropertyValue", "containerSettings/registry/username"),
        ({"registry": {"username": "me"}}, "InvalidPropertyValue", "containerSettings/registry/password"),
        ({"registry": LOGIN | WITH_IDENTITY}, "InvalidPropertyValue", "containerSettings/registry"),
        ({"containerHostBatchBindMounts": [{}]}, "InvalidPropertyValue", "containerHostBatchBindMounts"),
        ({"containerHostBatchBindMounts": [{"source": "Task"}] * 2}, "InvalidPropertyValue", "containerHostBatchBindMounts"),
        ({"containerHostBatchBindMounts": [{"source": "Home"}]}, "InvalidPropertyValue", "source"),
    ],
)  # fmt: skip
def test_settings_that_are_refused(settings, code, name):
    with pytest.raises(BatchError, match=code) as caught:
        spec_of(**settings)
    assert caught.value.values[0][1].endswith(name)
    assert "secret" not in str(caught.value)


def test_start_tasks_and_pools_are_checked_too():
    with pytest.raises(BatchError, match="startTask/containerSettings/registry/password"):
        start_task(
            {"commandLine": "x", "containerSettings": {"imageName": "i", "registry": {"username": "u"}}}
        )
    machine = pool_body()["virtualMachineConfiguration"]
    configuration = {"type": "dockerCompatible", "containerRegistries": [LOGIN, {"username": "u"}]}
    with pytest.raises(BatchError, match=r"containerRegistries\[1\]/password"):
        check_properties({"virtualMachineConfiguration": machine | {"containerConfiguration": configuration}})


def test_a_registry_opens_by_an_identity_that_the_pool_has():
    driver = Driver()
    machine = pool_body()["virtualMachineConfiguration"]
    configuration = {"type": "dockerCompatible", "containerRegistries": [LOGIN, WITH_IDENTITY]}
    body = pool_body(virtualMachineConfiguration=machine | {"containerConfiguration": configuration})
    with pytest.raises(BatchError, match=r"containerRegistries\[1\]/identityReference/resourceId"):
        pool_spec(dict(body), driver.machine.catalogue, "2026")
    identity = {"type": "UserAssigned", "userAssignedIdentities": [{"resourceId": "/X"}]}
    pool = pool_spec(body | {"identity": identity}, driver.machine.catalogue, "2026")
    task = spec_of(registry=WITH_IDENTITY)
    check_fits(task, pool)
    del pool["identity"]
    with pytest.raises(BatchError, match="containerSettings/registry/identityReference/resourceId"):
        check_fits(task, pool)


VARIABLES = dict.fromkeys(
    [
        "MINE", "AZ_BATCH_TASK_ID", "AZ_BATCH_NODE_ROOT_DIR", "AZ_BATCH_NODE_SHARED_DIR", "AZ_BATCH_NODE_STARTUP_DIR",
        "AZ_BATCH_NODE_STARTUP_WORKING_DIR", "AZ_BATCH_TASK_DIR", "AZ_BATCH_TASK_WORKING_DIR",
        "AZ_BATCH_JOB_PREP_WORKING_DIR", "AZ_BATCH_APP_PACKAGE_a_1", "AZ_BATCH_NODE_MOUNTS_DIR",
    ],
    "x",
)  # fmt: skip


@pytest.mark.parametrize(
    ("mounts", "directories"),
    [
        ([], set()),
        (["Task", "Applications"], {"AZ_BATCH_TASK_DIR", "AZ_BATCH_TASK_WORKING_DIR", "AZ_BATCH_APP_PACKAGE_a_1"}),
        (["Startup"], {"AZ_BATCH_NODE_STARTUP_DIR", "AZ_BATCH_NODE_STARTUP_WORKING_DIR"}),
        (["Shared", "VfsMounts", "JobPrep"], {"AZ_BATCH_NODE_SHARED_DIR", "AZ_BATCH_NODE_MOUNTS_DIR",
                                              "AZ_BATCH_JOB_PREP_WORKING_DIR"}),
    ],
)  # fmt: skip
def test_variables_of_chosen_directories(mounts, directories):
    settings = {"containerHostBatchBindMounts": [{"source": source} for source in mounts]}
    assert set(visible(VARIABLES, settings)) == {"MINE", "AZ_BATCH_TASK_ID"} | directories


@pytest.mark.parametrize("settings", [None, {"imageName": "i"}])
def test_otherwise_all_variables_are_there(settings):
    assert visible(VARIABLES, settings) == VARIABLES
