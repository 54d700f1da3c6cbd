"""Resource files from the storage account that is linked to the Batch account: Azurite beside the emulator."""

import base64

import pytest
from azure.batch import models
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient
from support.emulator import running_emulator

from azure_batch_emulator.host.azurite import AzuriteError, accounts

from ..helpers import completed, make_job, make_pool, shell, task, text
from ..raw import error, send


@pytest.fixture(scope="module")
def linked():
    with running_emulator(blob_port=0) as running:
        yield running


def file(container, **options):
    return models.ResourceFile(auto_storage_container_name=container, **options)


def test_files_of_the_linked_account(linked):
    with BlobServiceClient(linked.blob_url) as account:
        container = account.create_container("given")
        container.upload_blob("in/a.txt", b"a")
        container.upload_blob("other", b"b")
    client = linked.client()
    start = models.BatchStartTask(command_line=shell("cat other"), resource_files=[file("given")])
    make_pool(client, start_task=start)
    make_job(client)
    files = [file("given", blob_prefix="in/", file_path="here")]
    client.create_task("job", task("some", shell("cat here/in/a.txt; ls here"), resource_files=files))
    client.create_task("job", task("none", "true", resource_files=[file("absent")]))
    assert completed(client, task_id="some").execution_info.exit_code == 0
    assert text(client.download_task_file("job", "some", "stdout.txt")) == "ain\n"
    assert completed(client, task_id="none").execution_info.failure_info.code == "BlobNotFound"
    (node,) = client.list_nodes("pool")
    assert text(client.download_node_file("pool", node.id, "startup/stdout.txt")) == "b"
    shown = client.get_task("job", "some").resource_files[0]
    assert (shown.auto_storage_container_name, shown.storage_container_url) == ("given", None)


def test_the_first_of_several_accounts_is_linked(monkeypatch):
    keys = [base64.b64encode(name).decode() for name in (b"one", b"two")]
    monkeypatch.setenv("AZURITE_ACCOUNTS", f"first:{keys[0]}:{keys[1]};other:{keys[1]};")
    with running_emulator(blob_port=0) as running:
        assert "/first?" in running.blob_url
        with BlobServiceClient(running.blob_url) as account:
            account.create_container("given").upload_blob("a", b"from the first")
        client = running.client()
        make_pool(client)
        make_job(client)
        client.create_task("job", task("t", shell("cat a"), resource_files=[file("given")]))
        assert completed(client, task_id="t").execution_info.exit_code == 0
        assert text(client.download_task_file("job", "t", "stdout.txt")) == "from the first"


@pytest.mark.parametrize(
    "given", [";", "a:a2V5", "account", "account:", "account:no key", "one1:YQ==;one1:Yg=="]
)
def test_accounts_that_azurite_would_not_have(given):
    with pytest.raises(AzuriteError, match="NAME:KEY") as refused:
        accounts(1, given={"AZURITE_ACCOUNTS": given})
    assert "no key" not in str(refused.value)


def test_without_a_linked_account(emulator):
    client = emulator.client()
    make_pool(client, nodes=0)
    make_job(client)
    refused = [
        lambda: client.create_task("job", task("t", resource_files=[file("given")])),
        lambda: make_pool(
            client, "p", start_task=models.BatchStartTask(command_line="x", resource_files=[file("given")])
        ),
        lambda: make_job(
            client,
            "j",
            job_preparation_task=models.BatchJobPreparationTask(
                command_line="x", resource_files=[file("given")]
            ),
        ),
    ]
    for add in refused:
        with pytest.raises(ResourceNotFoundError) as caught:
            add()
        assert caught.value.error.code == "StorageAccountNotFound"
    group = models.BatchTaskGroup(task_values=[task("good"), task("bad", resource_files=[file("given")])])
    results = {each.task_id: each for each in client.create_task_collection("job", group).result_values}
    assert (results["good"].error, results["bad"].error.code) == (None, "StorageAccountNotFound")


@pytest.mark.parametrize("name", ["ab", "Upper", "two--hyphens", "-x-", "a" * 64])
def test_names_that_no_container_has(linked, name):
    body = {"id": "t", "commandLine": "x", "resourceFiles": [{"autoStorageContainerName": name}]}
    send(linked, "POST", "/jobs", {"id": "names", "poolInfo": {"poolId": "p"}})
    details = error(send(linked, "POST", "/jobs/names/tasks", body), 400, "InvalidPropertyValue")
    assert details["PropertyName"] == "resourceFiles[0]/autoStorageContainerName"
