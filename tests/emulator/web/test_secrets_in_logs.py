"""What the emulator logs, at its most talkative: no key, secret, token or SAS, its own or its clients'."""

from azure.batch import models
from support.emulator import running_emulator, wait_until

from azure_batch_emulator.identity import directory

from ..helpers import completed, make_job, make_pool, shell, task, text
from ..identity.test_tokens import request_token
from ..nodes.test_task_tokens import OLD, SETTINGS
from ..raw import send


def test_debug_logs_hold_no_secret(azurite):
    container = azurite.new_container()
    container.upload_blob("in.txt", b"1")
    url = f"{container.url}?{azurite.sas(container=container.container_name)}"
    with running_emulator(log_level="debug", request_log="-") as emulator:
        client = emulator.client()
        make_pool(client)
        make_job(client)
        given = request_token(emulator).json()["access_token"]
        assert send(emulator, "GET", "/pools", authorization=f"Bearer {given}").ok
        assert send(emulator, "GET", "/pools", authorization="Bearer abcdefghijk").status_code == 401
        assert request_token(emulator, client_secret="my-own-secret").status_code == 401
        destination = models.OutputFileDestination(
            container=models.OutputFileBlobContainerDestination(container_url=url)
        )
        condition = models.OutputFileUploadConfiguration(upload_condition="taskcompletion")
        files = {
            "resource_files": [models.ResourceFile(storage_container_url=url)],
            "output_files": [
                models.OutputFile(file_pattern="*.txt", destination=destination, upload_options=condition)
            ],
        }
        client.create_task("job", task("files", shell("cat in.txt > out.txt"), **files))
        assert completed(client, task_id="files").execution_info.result == "success"
        body = {"id": "token", "commandLine": shell("echo $AZ_BATCH_AUTHENTICATION_TOKEN")} | SETTINGS
        send(emulator, "POST", "/jobs/job/tasks", body, version=OLD)
        completed(client, task_id="token")
        own = text(client.download_task_file("job", "token", "stdout.txt")).strip()
        wait_until(lambda: any("/jobs/job/tasks/token/files" in line for line in emulator.output))
        log = "".join(emulator.output)
    for secret in (
        emulator.key,
        given,
        own,
        directory.CLIENT_SECRET,
        "my-own-secret",
        "abcdefghijk",
        url.partition("sig=")[2].partition("&")[0],
        "Authorization: ",
    ):
        lines = [line for line in log.splitlines() if secret in line]
        assert secret and not lines, lines[:3]
