"""The way an executor goes, with the real client over HTTP."""

import pytest
from azure.batch import models
from azure.core.exceptions import ResourceNotFoundError
from support.emulator import wait_until

from ..helpers import make_job, make_pool, shell, task, text


def test_from_pool_to_output_and_back(emulator):
    client = emulator.client()
    make_pool(client, nodes=2, slots=2)
    make_job(client)
    script = 'echo "out $AZ_BATCH_TASK_ID"; echo err >&2; mkdir "a b"; echo deep > "a b/x#1.txt"; exit '
    added = client.create_task_collection(
        "job",
        models.BatchTaskGroup(task_values=[task(f"t{i}", shell(script + str(i % 2))) for i in range(6)]),
    )
    assert [str(result.status.value) for result in added.result_values] == ["success"] * 6

    def finished():
        rows = client.list_tasks(
            "job", filter="state eq 'completed'", select=["id", "state", "executionInfo"]
        )
        return {row.id: row for row in rows} if len(rows := list(rows)) == 6 else None

    rows = wait_until(finished)
    assert [rows[f"t{i}"].execution_info.exit_code for i in range(6)] == [0, 1] * 3
    assert rows["t0"].execution_info.result == "success" and rows["t0"].command_line is None
    assert rows["t1"].execution_info.failure_info.code == "FailureExitCode"
    assert text(client.download_task_file("job", "t3", "stdout.txt")) == "out t3\n"
    assert text(client.download_task_file("job", "t3", "stderr.txt")) == "err\n"
    assert text(client.download_task_file("job", "t3", "wd/a b/x#1.txt")) == "deep\n"
    properties = client.get_task_file_properties("job", "t3", "wd/a b/x#1.txt")
    assert int(properties.content_length) == 5
    names = {entry.name for entry in client.list_task_files("job", "t3", recursive=True)}
    assert {"stdout.txt", "stderr.txt", "wd", "wd/a b", "wd/a b/x#1.txt"} <= names
    counts = client.get_job_task_counts("job").task_counts
    assert (counts.active, counts.running, counts.succeeded, counts.failed) == (0, 0, 3, 3)

    client.begin_delete_job("job", polling_interval=0.1).result()
    client.begin_delete_pool("pool", polling_interval=0.1).result()
    with pytest.raises(ResourceNotFoundError):
        client.get_pool("pool")
    assert not list(client.list_jobs())
