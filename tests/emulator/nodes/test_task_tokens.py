"""authenticationTokenSettings, which earlier api-versions have: a token for the operations on the task's own job."""

import pytest
import requests
from azure.batch import BatchClient
from azure.core.credentials import AccessToken

from ..helpers import completed, make_job, make_pool, shell, task, text
from ..raw import VERSION, error, send

OLD = "2024-02-01.19.0"
SETTINGS = {"authenticationTokenSettings": {"access": ["job"]}}
PRINT = shell("echo $AZ_BATCH_AUTHENTICATION_TOKEN")


@pytest.fixture
def client(emulator):
    client = emulator.client()
    make_pool(client)
    make_job(client)
    return client


def old_task(emulator, task_id="t", command=PRINT, version=OLD, job="job", **more):
    body = {"id": task_id, "commandLine": command} | SETTINGS | more
    return send(emulator, "POST", f"/jobs/{job}/tasks", body, version=version)


def printed(client, job="job", task_id="t"):
    completed(client, job, task_id)
    return text(client.download_task_file(job, task_id, "stdout.txt")).strip()


def with_token(emulator, token, method, path, body=None):
    return send(emulator, method, path, body, authorization=f"Bearer {token}")


def test_the_token_opens_the_job_and_nothing_else(emulator, client):
    make_job(client, "other")
    assert old_task(emulator).status_code == 201
    token = printed(client)
    assert token.count(".") == 2
    assert with_token(emulator, token, "GET", "/jobs/JOB").json()["id"] == "job"
    added = with_token(emulator, token, "POST", "/jobs/job/tasks", {"id": "mine", "commandLine": "true"})
    assert added.status_code == 201
    completed(client, task_id="mine")
    assert with_token(emulator, token, "GET", "/jobs/job/tasks/mine/files/stdout.txt").ok
    assert len(with_token(emulator, token, "GET", "/jobs/job/tasks").json()["value"]) == 2
    for method, path in (
        ("GET", "/jobs"),
        ("GET", "/jobs/other"),
        ("GET", "/jobs/none"),
        ("DELETE", "/jobs/other/tasks/t"),
        ("GET", "/pools"),
        ("GET", "/pools/pool/nodes"),
        ("POST", "/jobs"),
        ("GET", "/-/faults"),
    ):
        error(with_token(emulator, token, method, path), 403, "InsufficientAccountPermissions")
    # Resource Manager wants a token for itself.
    listed = requests.get(
        f"{emulator.url}/subscriptions?api-version=2022-12-01",
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    assert listed.status_code == 401
    assert with_token(emulator, token, "POST", "/jobs/job/terminate", {}).status_code == 202


def test_the_sdk_with_a_tasks_token_over_https(secure):
    owner = secure.client()
    make_pool(owner)
    make_job(owner)
    assert old_task(secure).status_code == 201

    class Given:
        def get_token(self, *scopes, **_):
            return AccessToken(printed(owner), 2**33)

    with BatchClient(secure.url, Given()) as client:
        client.create_task("job", task("more"))
        assert {t.id for t in client.list_tasks("job")} == {"t", "more"}


def test_only_tasks_that_ask_for_it_get_one(emulator, client):
    assert old_task(emulator, "empty", authenticationTokenSettings={"access": []}).status_code == 201
    client.create_task("job", task("none", PRINT))
    assert printed(client, task_id="empty") == printed(client, task_id="none") == ""
    own = [{"name": "AZ_BATCH_AUTHENTICATION_TOKEN", "value": "mine"}]
    old_task(emulator, "t", environmentSettings=own)
    assert printed(client) not in ("", "mine")


def test_collections_and_job_managers(emulator, client):
    body = {"value": [{"id": f"c{i}", "commandLine": PRINT} | SETTINGS for i in range(2)]}
    answer = send(emulator, "POST", "/jobs/job/addtaskcollection", body, version=OLD).json()
    assert [one["status"] for one in answer["value"]] == ["success", "success"]
    manager = {"id": "manager", "commandLine": PRINT, "killJobOnCompletion": False} | SETTINGS
    job = {"id": "managed", "poolInfo": {"poolId": "pool"}, "jobManagerTask": manager}
    assert send(emulator, "POST", "/jobs", job, version=OLD).status_code == 201
    tokens = {
        printed(client, task_id="c0"),
        printed(client, task_id="c1"),
        printed(client, "managed", "manager"),
    }
    assert len(tokens) == 3 and "" not in tokens
    shown = send(emulator, "GET", "/jobs/managed", version=OLD).json()["jobManagerTask"]
    assert shown["authenticationTokenSettings"] == {"access": ["job"]}
    assert (
        "authenticationTokenSettings" not in send(emulator, "GET", "/jobs/managed").json()["jobManagerTask"]
    )


def test_the_settings_are_shown_to_earlier_versions_alone_and_the_token_to_nobody(emulator, client):
    old_task(emulator)
    token = printed(client)
    old, new = (send(emulator, "GET", "/jobs/job/tasks/t", version=version) for version in (OLD, VERSION))
    assert old.json()["authenticationTokenSettings"] == {"access": ["job"]}
    assert "authenticationTokenSettings" not in new.json()
    chosen = send(emulator, "GET", "/jobs/job/tasks?$select=authenticationTokenSettings", version=OLD).json()
    assert chosen["value"] == [SETTINGS]
    assert token not in old.text + new.text


@pytest.mark.parametrize(
    ("settings", "version", "code"),
    [
        ({"access": ["job"]}, VERSION, "InvalidRequestBody"),
        ({"access": ["pool"]}, OLD, "InvalidPropertyValue"),
        ({"access": "job"}, OLD, "InvalidRequestBody"),
        ({"acces": ["job"]}, OLD, "InvalidRequestBody"),
        ([1], OLD, "InvalidRequestBody"),
    ],
)
def test_settings_that_are_refused(emulator, client, settings, version, code):
    error(old_task(emulator, version=version, authenticationTokenSettings=settings), 400, code)
    assert list(client.list_tasks("job")) == []
