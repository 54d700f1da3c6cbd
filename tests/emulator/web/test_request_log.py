"""The log of requests: one line of JSON each, complete, and without secrets."""

import json
import socket
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
import requests
from azure.core.exceptions import HttpResponseError
from support.emulator import running_emulator, wait_until

from ..helpers import make_job, make_pool, shell, task, text
from ..identity.test_tokens import request_token
from ..service.test_command import refusal

SECRET = "sig=Zm9vYmFyYmF6"


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A running emulator, and a function that reads its log."""
    path = tmp_path_factory.mktemp("log") / "requests.jsonl"

    def read():
        whole = path.read_text().rpartition("\n")[0]  # a line may be on its way
        return [json.loads(line) for line in whole.splitlines()]

    with running_emulator(request_log=path, runner="none") as emulator:
        yield emulator, read


def entry(read, **wanted):
    """The one line that has these values; it is written when the answer has been sent."""

    def found():
        return [line for line in read() if wanted.items() <= line.items()]

    (line,) = wait_until(found)
    return line


def test_a_request_of_the_sdk(logged):
    emulator, read = logged
    client = emulator.client(user_agent="tester/1")
    make_pool(client, nodes=0)
    line = entry(read, operation="create_pool", status=201)
    assert (line["method"], line["path"], line["apiVersion"]) == ("POST", "/pools", "2025-06-01")
    assert line["account"] == "devbatch" and line["errorCode"] is None
    assert line["userAgent"].startswith("tester/1 azsdk-python-batch/")
    assert line["clientRequestId"] and line["requestId"] and line["clientRequestId"] != line["requestId"]
    assert line["bytesIn"] > 100 and line["bytesOut"] == 0 and 0 < line["durationMs"] < 60_000
    assert abs(datetime.now(UTC) - datetime.fromisoformat(line["time"])) < timedelta(minutes=1)


def test_errors_have_their_code(logged):
    emulator, read = logged
    with pytest.raises(HttpResponseError):
        emulator.client().get_pool("none")
    line = entry(read, path="/pools/none")
    assert (line["status"], line["errorCode"], line["operation"]) == (404, "PoolNotFound", "get_pool")
    assert line["bytesOut"] > 100


def test_tokens_and_resource_manager_have_operations(logged):
    emulator, read = logged
    tenant = "/11111111-2222-3333-4444-555555555555/oauth2/v2.0/token"
    requests.post(emulator.url + tenant, data={}, timeout=10)
    assert entry(read, path=tenant)["operation"] == "SignIn.token"
    given = request_token(emulator, scope="https://management.azure.com/.default").json()["access_token"]
    headers = {"Authorization": f"Bearer {given}"}
    requests.get(f"{emulator.url}/subscriptions?api-version=2022-12-01", headers=headers, timeout=10)
    assert entry(read, path="/subscriptions")["operation"] == "GET /subscriptions"


def test_refused_before_it_is_known(logged):
    emulator, read = logged
    requests.get(f"{emulator.url}/jobs/unsigned?api-version=2025-06-01", timeout=10)
    line = entry(read, path="/jobs/unsigned")
    assert (line["status"], line["errorCode"]) == (401, "AuthenticationFailed")
    assert line["operation"] is None and line["account"] is None


@pytest.mark.parametrize(("path", "status"), [("/jobs/gone", None), ("/subscriptions/gone", 400)])
def test_a_client_that_leaves_before_its_body_has_come(logged, path, status):
    emulator, read = logged
    address = urlsplit(emulator.url)
    with socket.create_connection((address.hostname, address.port)) as client:
        client.sendall(f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc".encode())
    assert entry(read, path=path)["status"] == status, (
        "it is no defect of the emulator, and not logged as one"
    )


def test_no_secrets(logged):
    emulator, read = logged
    client = emulator.client()
    make_pool(client, "secrets", nodes=0)
    make_job(client, "secrets", "secrets")
    client.create_task(
        "secrets",
        task("t", "true", resource_files=[{"httpUrl": f"http://127.0.0.1/x?{SECRET}", "filePath": "x"}]),
    )
    url = f"{emulator.url}/jobs/secrets?api-version=2025-06-01&{SECRET}"
    headers = {"Authorization": f"SharedKey devbatch:{SECRET}"}
    assert requests.get(url, headers=headers, timeout=10).status_code == 403
    entry(read, operation="create_task")
    entry(read, path="/jobs/secrets", status=403)
    everything = json.dumps(read())
    for secret in (SECRET, emulator.key, "SharedKey", "Authorization"):
        assert secret not in everything


def test_it_is_appended_to(tmp_path):
    log = tmp_path / "log"
    log.write_text("{}\n")
    with running_emulator(request_log=log, runner="none") as emulator:
        list(emulator.client().list_pools())
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines[0] == {} and [line["operation"] for line in lines[1:]] == ["list_pools"]


def test_on_stderr_and_downloads_with_their_bytes():
    with running_emulator(request_log="-") as emulator:
        client = emulator.client()
        make_pool(client)
        make_job(client)
        client.create_task("job", task("t", shell("printf 12345")))
        wait_until(lambda: client.get_task("job", "t").state == "completed")
        assert text(client.download_task_file("job", "t", "stdout.txt")) == "12345"

        def lines():
            return [json.loads(line) for line in list(emulator.output) if line.startswith("{")]

        (line,) = wait_until(lambda: [x for x in lines() if x["operation"] == "download_task_file"])
        assert (line["status"], line["bytesOut"]) == (200, 5)


def test_a_file_that_can_not_be_written(tmp_path):
    message = refusal("--port", "0", "--request-log", str(tmp_path / "none" / "log"))
    assert "--request-log" in message and "No such file" in message
