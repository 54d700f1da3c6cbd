"""What happens on the nodes: directories, environment, files in and out, retries, kills, limits."""

import functools
import http.server
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from azure.batch import models
from support.emulator import wait_until

from ..helpers import completed, make_job, make_pool, shell, task, text


@pytest.fixture
def client(emulator):
    client = emulator.client()
    make_pool(client, slots=4)
    make_job(client)
    return client


@pytest.fixture
def web(tmp_path):
    """A plain web server over `tmp_path`."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def run(client, script, task_id="task", **options):
    client.create_task("job", task(task_id, shell(script), **options))
    return completed(client, task_id=task_id)


def stdout(client, task_id="task"):
    return text(client.download_task_file("job", task_id, "stdout.txt"))


def test_environment_and_directories(emulator, client):
    client.begin_delete_job("job", polling_interval=0.1).result()
    make_job(
        client,
        common_environment_settings=[
            models.EnvironmentSetting(name="BOTH", value="job"),
            models.EnvironmentSetting(name="COMMON", value="c d"),
        ],
    )
    done = run(
        client,
        "env -0 | tr '\\0' '\\n'; pwd",
        environment_settings=[models.EnvironmentSetting(name="BOTH", value="task")],
    )
    lines = stdout(client).splitlines()
    env = dict(line.split("=", 1) for line in lines if "=" in line)
    root, directory = env["AZ_BATCH_NODE_ROOT_DIR"], env["AZ_BATCH_TASK_DIR"]
    assert directory == f"{root}/workitems/job/job-1/task"
    assert lines[-1] == env["AZ_BATCH_TASK_WORKING_DIR"] == f"{directory}/wd"
    assert (env["BOTH"], env["COMMON"]) == ("task", "c d")
    assert (
        env["AZ_BATCH_ACCOUNT_URL"] == emulator.url + "/" and env["AZ_BATCH_ACCOUNT_NAME"] == emulator.account
    )
    assert (env["AZ_BATCH_POOL_ID"], env["AZ_BATCH_JOB_ID"], env["AZ_BATCH_TASK_ID"]) == (
        "pool",
        "job",
        "task",
    )
    assert env["AZ_BATCH_NODE_ID"] == done.node_info.node_id and env["AZ_BATCH_NODE_IS_DEDICATED"] == "true"
    assert (
        env["AZ_BATCH_NODE_SHARED_DIR"] == f"{root}/shared"
        and env["AZ_BATCH_NODE_MOUNTS_DIR"] == f"{root}/fsmounts"
    )
    assert done.node_info.task_root_directory == "workitems/job/job-1/task"
    # Nothing of the emulator's own environment, and not its key.
    assert "PYTEST_CURRENT_TEST" not in env and emulator.key not in env.values()
    assert len(root) < 60, "tasks put sockets below it"


def test_nodes_share_between_tasks(client):
    run(client, "echo kept > $AZ_BATCH_NODE_SHARED_DIR/x", "one")
    run(client, "cat $AZ_BATCH_NODE_SHARED_DIR/x", "two")
    assert stdout(client, "two") == "kept\n"


def test_a_program_that_is_not_there(client):
    client.create_task("job", task("task", "no-such-program --x"))
    info = completed(client).execution_info
    assert (info.failure_info.code, info.exit_code, info.retry_count) == ("CommandProgramNotFound", None, 0)


def test_retries_keep_the_directory(client):
    done = run(
        client,
        "echo x >> tries; test $(wc -l < tries) = 3",
        constraints=models.BatchTaskConstraints(max_task_retry_count=5),
    )
    assert (done.execution_info.result, done.execution_info.retry_count) == ("success", 2)
    assert done.execution_info.last_retry_time


def test_terminating_kills_the_whole_tree(client, tmp_path):
    marker = tmp_path / "pids"
    client.create_task(
        "job", task("task", shell(f"sleep 300 & echo $! $$ > {marker}.new; mv {marker}.new {marker}; wait"))
    )
    wait_until(marker.exists)
    client.terminate_task("job", "task")
    info = completed(client).execution_info
    assert (info.result, info.failure_info.code) == ("failure", "TaskEnded")

    def gone():
        return not any(Path(f"/proc/{pid}").exists() for pid in marker.read_text().split())

    wait_until(gone)


def test_deleting_a_running_task(client):
    client.create_task("job", task("task", "sleep 300"))
    node = wait_until(lambda: client.get_task("job", "task").node_info).node_id
    client.delete_task("job", "task")
    assert not list(client.list_tasks("job"))
    wait_until(lambda: client.get_node("pool", node).state == "idle")
    names = [f.name for f in client.list_node_files("pool", node, recursive=True)]
    assert "workitems/job/job-1/task" not in names
    client.create_task("job", task("task", "true"))
    assert completed(client).execution_info.exit_code == 0


def test_a_task_that_takes_too_long(client):
    done = run(
        client,
        "sleep 300",
        constraints=models.BatchTaskConstraints(max_wall_clock_time=timedelta(seconds=0.5)),
    )
    assert done.execution_info.failure_info.code == "TaskEnded"


def test_disabling_a_job_requeues(client):
    client.create_task("job", task("task", shell("test -e $AZ_BATCH_NODE_SHARED_DIR/go || sleep 300")))
    wait_until(lambda: client.get_task("job", "task").state == "running")
    client.begin_disable_job(
        "job", models.BatchJobDisableOptions(disable_tasks="requeue"), polling_interval=0.1
    ).result()
    waiting = client.get_task("job", "task")
    assert (waiting.state, waiting.execution_info.requeue_count, waiting.node_info) == ("active", 1, None)
    assert client.get_job("job").state == "disabled"


def test_terminating_a_job(client):
    client.create_task("job", task("task", "sleep 300"))
    wait_until(lambda: client.get_task("job", "task").state == "running")
    client.begin_terminate_job("job", options={"terminateReason": "enough"}, polling_interval=0.1).result()
    job = client.get_job("job")
    assert (job.state, job.execution_info.termination_reason) == ("completed", "enough")


def test_start_tasks(emulator):
    client = emulator.client()
    start = models.BatchStartTask(
        command_line=shell("echo $AZ_BATCH_NODE_STARTUP_DIR > $AZ_BATCH_NODE_SHARED_DIR/s; echo up")
    )
    make_pool(client, "started", start_task=start)
    (node,) = client.list_nodes("started")
    assert (node.start_task_info.state, node.start_task_info.result) == ("completed", "success")
    assert text(client.download_node_file("started", node.id, "startup/stdout.txt")) == "up\n"
    make_pool(
        client,
        "failed",
        wait=False,
        start_task=models.BatchStartTask(command_line="false", wait_for_success=True),
    )
    (bad,) = wait_until(lambda: list(client.list_nodes("failed", filter="state eq 'starttaskfailed'")))
    assert bad.start_task_info.failure_info.code == "FailureExitCode"


def test_preparation_and_release_tasks(emulator, tmp_path):
    client = emulator.client()
    make_pool(client)
    prep = models.BatchJobPreparationTask(command_line=shell("echo ready > x"))
    release = models.BatchJobReleaseTask(command_line=shell(f"echo bye > {tmp_path}/released"))
    make_job(client, job_preparation_task=prep, job_release_task=release)
    run(client, "cat $AZ_BATCH_JOB_PREP_WORKING_DIR/x")
    assert stdout(client) == "ready\n"
    client.begin_terminate_job("job", options={"terminateReason": "x"}, polling_interval=0.1).result()
    assert (tmp_path / "released").read_text() == "bye\n"
    (status,) = client.list_job_preparation_and_release_task_status("job")
    assert status.job_release_task_execution_info.exit_code == 0


def test_resource_files_over_http(client, web):
    folder, url = web
    (folder / "hello.txt").write_text("hello")
    files = [models.ResourceFile(http_url=f"{url}/hello.txt", file_path="in/put.txt", file_mode="0440")]
    done = run(client, "cat in/put.txt; stat -c %a in/put.txt", resource_files=files)
    assert done.execution_info.exit_code == 0 and stdout(client) == "hello440\n"
    missing = [models.ResourceFile(http_url=f"{url}/none?sig=secret", file_path="x")]
    failed = run(client, "true", "missing", resource_files=missing).execution_info
    assert (failed.failure_info.code, failed.exit_code) == ("BlobNotFound", None)
    assert "secret" not in str(failed.failure_info.as_dict())
    outside = [models.ResourceFile(http_url=f"{url}/hello.txt", file_path="../../escape")]
    assert (
        run(client, "true", "outside", resource_files=outside).execution_info.failure_info.code
        == "ResourceFileInvalidFilePath"
    )


def test_blobs_in_and_out(client, azurite):
    container = azurite.new_container()
    container.upload_blob("in/a/one.txt", b"1")
    container.upload_blob("in/two.txt", b"2")
    container.upload_blob("other/three.txt", b"3")
    url = azurite.sas_url().partition("?")
    container_url = f"{url[0].rstrip('/')}/{container.container_name}?{url[2]}"

    def output(pattern, path, when="taskcompletion", target=container_url):
        destination = models.OutputFileBlobContainerDestination(container_url=target, path=path)
        return models.OutputFile(
            file_pattern=pattern,
            destination=models.OutputFileDestination(container=destination),
            upload_options=models.OutputFileUploadConfiguration(upload_condition=when),
        )

    done = run(
        client,
        "cat res/in/a/one.txt res/in/two.txt; ls res; "
        "mkdir -p out/deep; echo d > out/deep/r.csv; echo h > out/.hidden.csv",
        resource_files=[
            models.ResourceFile(storage_container_url=container_url, blob_prefix="in/", file_path="res")
        ],
        output_files=[
            output("../std*.txt", "logs/$"),
            output("out/**/*.csv", "results"),
            output("out/deep/r.csv", "named.csv", "tasksuccess"),
            output("res/in/two.txt", "never.txt", "taskfailure"),
        ],
    )
    assert done.execution_info.exit_code == 0, done.execution_info.failure_info
    assert stdout(client) == "12in\n"
    names = {blob.name for blob in container.list_blobs()}
    assert {"logs/$/stdout.txt", "logs/$/stderr.txt", "results/deep/r.csv", "named.csv"} <= names
    assert not {"never.txt", "results/.hidden.csv"} & names
    wrong = container_url.replace(container.container_name, "no-such-container")
    failed = run(
        client, "exit 0", "lost", output_files=[output("../stdout.txt", "x", target=wrong)]
    ).execution_info
    assert failed.failure_info.code == "FileUploadContainerNotFound" and failed.result == "failure"


def test_pool_deletion_with_running_tasks(client):
    client.create_task("job", task("task", "sleep 300"))
    wait_until(lambda: client.get_task("job", "task").state == "running")
    client.begin_delete_pool("pool", polling_interval=0.1).result()
    assert client.get_task("job", "task").state == "active"


def test_many_tasks_on_few_slots(client, tmp_path):
    """Never more at once than there are slots, and each exactly once."""
    script = f"echo + >> {tmp_path}/log; sleep 0.02; echo - >> {tmp_path}/log"
    for start in (0, 50):
        group = [task(f"t{i}", shell(script), required_slots=1 + i % 2) for i in range(start, start + 50)]
        client.create_task_collection("job", models.BatchTaskGroup(task_values=group))
    wait_until(lambda: client.get_job_task_counts("job").task_counts.succeeded == 100, 60)
    level = most = 0
    for line in (tmp_path / "log").read_text().split():
        level += 1 if line == "+" else -1
        most = max(most, level)
    assert level == 0 and 2 <= most <= 4
    assert len((tmp_path / "log").read_text().split()) == 200
