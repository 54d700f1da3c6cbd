"""Run by an interpreter with azure-batch 14.2 (`python version_14.py CHECK`): that client's way through the service.

https://pypi.org/project/azure-batch/14.2.0/ , the last release of the older generation of the client; it sends
api-version 2024-02-01.19.0.
"""

import os
import sys
import time
from datetime import timedelta

from azure.batch import BatchServiceClient, models
from azure.batch.batch_auth import SharedKeyCredentials

VM = models.VirtualMachineConfiguration(
    image_reference=models.ImageReference(
        publisher="microsoft-dsvm", offer="ubuntu-hpc", sku="2404", version="latest"
    ),
    node_agent_sku_id="batch.node.ubuntu 24.04",
)


def refused(code, status, call, *arguments, **options):
    """The call raises the client's BatchErrorException with this code; returns its details."""
    try:
        call(*arguments, **options)
    except models.BatchErrorException as error:
        assert error.error.code == code, error.error.code
        assert error.response.status_code == status, error.response.status_code
        assert error.error.message.lang == "en-US" and "RequestId:" in error.error.message.value
        return {value.key: value.value for value in error.error.values or ()}
    raise AssertionError(f"{code} was expected")


def until(find, seconds=30):
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.05)
    return found


def make_pool(client, pool_id="pool", nodes=1, wait=True, **more):
    client.pool.add(
        models.PoolAddParameter(
            id=pool_id,
            vm_size="standard_d2s_v3",
            virtual_machine_configuration=VM,
            target_dedicated_nodes=nodes,
            **more,
        )
    )
    if wait:
        until(lambda: [node.state for node in client.compute_node.list(pool_id)] == ["idle"] * nodes)


def make_job(client, job_id="job", **more):
    client.job.add(
        models.JobAddParameter(id=job_id, pool_info=models.PoolInformation(pool_id="pool"), **more)
    )


def completed(client, task_id, job_id="job"):
    return until(lambda: t if (t := client.task.get(job_id, task_id)).state == "completed" else None)


def pools(client):
    assert client.pool.exists("pool") is False
    make_pool(client, nodes=2, task_slots_per_node=2, metadata=[models.MetadataItem(name="k", value="v")])
    assert client.pool.exists("POOL") is True
    pool = client.pool.get("pool")
    assert (pool.state, pool.allocation_state, pool.current_dedicated_nodes) == ("active", "steady", 2)
    assert pool.resize_timeout == timedelta(minutes=15) and pool.metadata[0].value == "v"
    start = models.StartTask(command_line="true", wait_for_success=True)
    client.pool.patch("pool", models.PoolPatchParameter(start_task=start))
    assert client.pool.get("pool").start_task.command_line == "true"
    properties = models.PoolUpdatePropertiesParameter(
        certificate_references=[], application_package_references=[], metadata=[]
    )
    client.pool.update_properties("pool", properties)
    assert client.pool.get("pool").start_task is None
    node = next(iter(client.compute_node.list("pool")))
    client.pool.remove_nodes("pool", models.NodeRemoveParameter(node_list=[node.id]))
    until(lambda: client.pool.get("pool").allocation_state == models.AllocationState.steady)
    client.pool.resize("pool", models.PoolResizeParameter(target_dedicated_nodes=3))
    until(lambda: [node.state for node in client.compute_node.list("pool")] == ["idle"] * 3)
    (counts,) = client.account.list_pool_node_counts()
    assert (counts.dedicated.idle, counts.dedicated.total) == (3, 3)
    refused("OperationInvalidForCurrentState", 409, client.pool.stop_resize, "pool")
    refused("PoolExists", 409, make_pool, client)
    options = models.PoolListOptions(filter="startswith(id,'p')", select="id,state", max_results=1)
    assert [pool.id for pool in client.pool.list(options)] == ["pool"]
    options = models.AccountListSupportedImagesOptions(filter="osType eq 'linux'")
    assert list(client.account.list_supported_images(options))
    client.pool.delete("pool")
    until(lambda: not list(client.pool.list()))
    refused("PoolNotFound", 404, client.pool.get, "pool")


def retired(client):
    """What this client's api-version has, and later ones have not."""
    disk = models.DataDisk(lun=0, disk_size_gb=10, storage_account_type="premium_lrs")
    machine = models.VirtualMachineConfiguration(
        image_reference=VM.image_reference, node_agent_sku_id=VM.node_agent_sku_id, data_disks=[disk]
    )
    pool = {"id": "pool", "vm_size": "standard_d2s_v3"}
    client.pool.add(
        models.PoolAddParameter(
            **pool,
            virtual_machine_configuration=machine,
            target_node_communication_mode="simplified",
            resource_tags={"cost": "none"},
            certificate_references=[],
            application_licenses=[],
        )
    )
    found = client.pool.get("pool")
    assert (found.target_node_communication_mode, found.current_node_communication_mode) == (
        "simplified",
    ) * 2
    assert found.resource_tags == {"cost": "none"}
    assert found.virtual_machine_configuration.data_disks[0].storage_account_type == "premium_lrs"
    client.pool.patch("pool", models.PoolPatchParameter(target_node_communication_mode="default"))
    options = models.PoolGetOptions(select="id,targetNodeCommunicationMode")
    found = client.pool.get("pool", options)
    assert (found.id, found.target_node_communication_mode, found.state) == ("pool", "default", None)
    certificate = models.CertificateReference(thumbprint="a", thumbprint_algorithm="sha1")
    cloud = models.CloudServiceConfiguration(os_family="6")
    pool["id"] = "other"
    add = client.pool.add
    machine = {"virtual_machine_configuration": VM}
    refused(
        "InvalidPropertyValue", 400, add, models.PoolAddParameter(**pool, cloud_service_configuration=cloud)
    )
    classic = models.PoolAddParameter(**pool, **machine, target_node_communication_mode="classic")
    assert refused("InvalidPropertyValue", 400, add, classic)["PropertyName"] == "targetNodeCommunicationMode"
    licensed = models.PoolAddParameter(**pool, **machine, application_licenses=["maya"])
    assert refused("InvalidPropertyValue", 400, add, licensed)["PropertyName"] == "applicationLicenses"
    with_certificate = models.PoolAddParameter(**pool, **machine, certificate_references=[certificate])
    refused("InvalidRestAPIForAccountSetting", 400, add, with_certificate)
    refused("InvalidRestAPIForAccountSetting", 400, lambda: list(client.certificate.list()))
    refused("InvalidRestAPIForAccountSetting", 400, client.certificate.get, "sha1", "ab12")
    assert client.pool.exists("other") is False


def autoscale(client):
    formula = "$TargetDedicatedNodes = 1;"
    scale = {"enable_auto_scale": True, "auto_scale_formula": formula}
    make_pool(client, nodes=None, wait=False, **scale, auto_scale_evaluation_interval=timedelta(minutes=6))
    run = client.pool.evaluate_auto_scale("pool", "$TargetDedicatedNodes = 1; mine = 3;")
    assert "mine=3" in run.results and run.error is None
    until(lambda: client.pool.get("pool").current_dedicated_nodes == 1)
    assert client.pool.get("pool").auto_scale_run.results.startswith("$TargetDedicatedNodes=1;")
    until(lambda: client.pool.get("pool").allocation_state == "steady")
    client.pool.enable_auto_scale("pool", formula, timedelta(minutes=5))
    assert client.pool.get("pool").auto_scale_evaluation_interval == timedelta(minutes=5)
    client.pool.disable_auto_scale("pool")
    assert client.pool.get("pool").enable_auto_scale is False
    refused("OperationInvalidForCurrentState", 409, client.pool.evaluate_auto_scale, "pool", formula)


def jobs(client):
    make_pool(client)
    prepare = models.JobPreparationTask(command_line="true")
    release = models.JobReleaseTask(command_line="true")
    make_job(client, job_preparation_task=prepare, job_release_task=release, priority=3)
    client.task.add("job", models.TaskAddParameter(id="t", command_line="true"))
    completed(client, "t")
    client.job.patch("job", models.JobPatchParameter(priority=5))
    assert client.job.get("job").priority == 5
    client.job.update("job", models.JobUpdateParameter(pool_info=models.PoolInformation(pool_id="pool")))
    assert client.job.get("job").priority == 0
    client.job.disable("job", "requeue")
    until(lambda: client.job.get("job").state == models.JobState.disabled)
    client.job.enable("job")
    assert client.job.get_task_counts("job").task_counts.completed == 1
    client.job.terminate("job", "enough")
    until(lambda: client.job.get("job").state == models.JobState.completed)
    assert client.job.get("job").execution_info.terminate_reason == "enough"
    (status,) = client.job.list_preparation_and_release_task_status("job")
    assert status.job_release_task_execution_info.result == models.TaskExecutionResult.success
    refused("JobCompleted", 409, client.job.terminate, "job")
    stale = models.JobDeleteOptions(if_match="0x1")
    refused("ConditionNotMet", 412, client.job.delete, "job", stale)
    client.job.delete("job")
    until(lambda: not list(client.job.list()))


def tasks(client):
    make_pool(client, task_slots_per_node=4)
    make_job(client, uses_task_dependencies=True)
    many = [models.TaskAddParameter(id=f"t{i:03}", command_line="true") for i in range(150)]
    added = client.task.add_collection("job", many, threads=2)
    assert {one.status for one in added.value} == {models.TaskAddStatus.success} and len(added.value) == 150
    options = models.TaskListOptions(max_results=40, filter="startswith(id,'t')", select="id")
    assert len(list(client.task.list("job", options))) == 150
    depends = models.TaskDependencies(task_ids=["t000"])
    constraints = models.TaskConstraints(max_task_retry_count=1)
    failing = models.TaskAddParameter(
        id="bad", command_line="/bin/sh -c 'exit 4'", depends_on=depends, constraints=constraints
    )
    client.task.add("job", failing)
    info = completed(client, "bad").execution_info
    assert (info.exit_code, info.retry_count, info.result) == (4, 1, models.TaskExecutionResult.failure)
    assert info.failure_info.category == models.ErrorCategory.user_error
    stats = client.task.get("job", "bad", models.TaskGetOptions(expand="stats")).stats
    assert stats.wall_clock_time > timedelta() and stats.read_iops == 0
    stats = client.job.get("job", models.JobGetOptions(expand="stats")).stats
    assert (stats.num_failed_tasks, stats.num_task_retries) == (1, 1)
    stats = client.pool.get("pool", models.PoolGetOptions(expand="stats")).stats
    assert stats.usage_stats.dedicated_core_time > timedelta()
    refused("TaskCompleted", 409, client.task.terminate, "job", "bad")
    client.task.reactivate("job", "bad")
    completed(client, "bad")
    client.task.delete("job", "bad")
    refused("TaskNotFound", 404, client.task.get, "job", "bad")
    client.task.add("job", models.TaskAddParameter(id="long", command_line="sleep 600"))
    client.task.update("job", "long", models.TaskConstraints(max_task_retry_count=2))
    client.task.terminate("job", "long")
    assert completed(client, "long").constraints.max_task_retry_count == 2
    settings = models.AuthenticationTokenSettings(access=["job"])
    asking = models.TaskAddParameter(
        id="asking",
        command_line="printenv AZ_BATCH_AUTHENTICATION_TOKEN",
        authentication_token_settings=settings,
    )
    client.task.add("job", asking)
    found = completed(client, "asking")
    assert found.execution_info.exit_code == 0 and found.authentication_token_settings.access == ["job"]
    missing = models.TaskAddParameter(id="x", command_line="true")
    refused("JobNotFound", 404, client.task.add, "absent", missing)


def files(client):
    make_pool(client)
    make_job(client)
    client.task.add(
        "job", models.TaskAddParameter(id="t", command_line="/bin/sh -c 'echo hello; echo x > \"a b\"'")
    )
    node_id = completed(client, "t").node_info.node_id
    options = models.FileListFromTaskOptions(max_results=2)
    listed = {
        file.name: file
        for file in client.file.list_from_task(
            "job", "t", recursive=True, file_list_from_task_options=options
        )
    }
    assert listed["wd/a b"].properties.content_length == 2 and listed["wd"].is_directory
    assert b"".join(client.file.get_from_task("job", "t", "stdout.txt")) == b"hello\n"
    part = models.FileGetFromTaskOptions(ocp_range="bytes=1-2")
    assert b"".join(client.file.get_from_task("job", "t", "stdout.txt", part)) == b"el"
    raw = client.file.get_properties_from_task("job", "t", "wd/a b", raw=True)
    assert raw.headers["Content-Length"] == 2 and raw.headers["ocp-batch-file-isdirectory"] is False
    client.file.delete_from_task("job", "t", "wd/a b")
    refused("FileNotFound", 404, lambda: list(client.file.get_from_task("job", "t", "wd/a b")))
    roots = {file.name for file in client.file.list_from_compute_node("pool", node_id)}
    assert {"shared", "startup", "workitems"} <= roots
    path = "workitems/job/job-1/t/stdout.txt"
    assert b"".join(client.file.get_from_compute_node("pool", node_id, path)) == b"hello\n"


def nodes(client):
    make_pool(client)
    (node,) = client.compute_node.list("pool")
    client.compute_node.disable_scheduling("pool", node.id)
    assert client.compute_node.get("pool", node.id).state == models.ComputeNodeState.offline
    client.compute_node.enable_scheduling("pool", node.id)
    client.compute_node.add_user("pool", node.id, models.ComputeNodeUser(name="me", password="secret"))
    client.compute_node.update_user("pool", node.id, "me", models.NodeUpdateUserParameter(password="other"))
    client.compute_node.delete_user("pool", node.id, "me")
    client.compute_node.reboot("pool", node.id, models.ComputeNodeRebootOption.terminate)
    until(lambda: client.compute_node.get("pool", node.id).last_boot_time > node.last_boot_time)
    refused("OperationNotValidOnNode", 409, client.compute_node.reimage, "pool", node.id)
    until(lambda: client.compute_node.get("pool", node.id).state == models.ComputeNodeState.idle)
    refused("NodeUserNotFound", 404, client.compute_node.delete_user, "pool", node.id, "me")
    assert list(client.compute_node_extension.list("pool", node.id)) == []
    refused("NodeNotFound", 404, client.compute_node.get, "pool", "absent")
    assert list(client.application.list()) == []
    refused("ApplicationNotFound", 404, client.application.get, "absent")


def schedules(client):
    hourly = models.Schedule(recurrence_interval=timedelta(hours=1))
    specification = models.JobSpecification(pool_info=models.PoolInformation(pool_id="pool"), priority=2)
    client.job_schedule.add(
        models.JobScheduleAddParameter(id="hourly", schedule=hourly, job_specification=specification)
    )
    assert client.job_schedule.exists("hourly") is True and client.job_schedule.exists("other") is False
    recent = client.job_schedule.get("hourly").execution_info.recent_job
    (job,) = client.job.list_from_job_schedule("hourly")
    assert (job.id, job.priority) == (recent.id, 2)
    daily = models.Schedule(recurrence_interval=timedelta(days=1))
    client.job_schedule.patch("hourly", models.JobSchedulePatchParameter(schedule=daily))
    assert client.job_schedule.get("hourly").schedule.recurrence_interval == timedelta(days=1)
    client.job_schedule.update(
        "hourly", models.JobScheduleUpdateParameter(schedule=hourly, job_specification=specification)
    )
    client.job_schedule.disable("hourly")
    assert client.job_schedule.get("hourly").state == models.JobScheduleState.disabled
    client.job_schedule.enable("hourly")
    client.job_schedule.terminate("hourly")
    until(lambda: client.job_schedule.get("hourly").state == models.JobScheduleState.completed)
    client.job_schedule.delete("hourly")
    until(lambda: not list(client.job_schedule.list()))
    refused("JobScheduleNotFound", 404, client.job_schedule.get, "hourly")


CHECKS = (pools, retired, autoscale, jobs, schedules, tasks, files, nodes)


def main():
    credentials = SharedKeyCredentials(
        os.environ["AZ_BATCH_ACCOUNT_NAME"], os.environ["AZ_BATCH_ACCOUNT_KEY"]
    )
    client = BatchServiceClient(credentials, batch_url=os.environ["AZ_BATCH_ACCOUNT_URL"])
    {check.__name__: check for check in CHECKS}[sys.argv[1]](client)
    print("done")


if __name__ == "__main__":
    main()
