"""Odd requests: whatever is sent, the answer is one of the service's, and never a 500."""

from urllib.parse import quote

import pytest
from support.emulator import wait_until

from ..helpers import completed, make_job, make_pool, shell, task
from ..raw import error, send

URL = "http://127.0.0.1:1/x"
ODD_TASKS = {
    "unbalanced": ({"commandLine": "'unbalanced"}, "CommandLaunchFailed"),
    "equals": ({"environmentSettings": [{"name": "A=B", "value": "x"}]}, "CommandLaunchFailed"),
    "nul": ({"commandLine": "true\u0000"}, "CommandLaunchFailed"),
    "nobody": ({"userIdentity": {"username": "nobody"}}, "TaskSchedulingConstraintFailed"),
    "refused": ({"resourceFiles": [{"httpUrl": URL, "filePath": "x"}]}, "BlobDownloadMiscError"),
    "badpath": ({"resourceFiles": [{"httpUrl": URL, "filePath": "a\u0000"}]}, "ResourceFileInvalidFilePath"),
    "overlong": ({"resourceFiles": [{"httpUrl": URL, "filePath": "a" * 5000}]}, None),
}


def test_odd_tasks_fail_with_a_reason(emulator):
    client = emulator.client()
    make_pool(client, slots=8)
    make_job(client)
    for name, (more, _) in ODD_TASKS.items():
        body = {"id": name, "commandLine": "true"} | more
        assert send(emulator, "POST", "/jobs/job/tasks", body).status_code == 201
    wait_until(lambda: client.get_job_task_counts("job").task_counts.completed == len(ODD_TASKS))
    for name, (_, code) in ODD_TASKS.items():
        found = client.get_task("job", name).execution_info.failure_info.code
        assert found == code or (code is None and found != "InternalError"), name


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"commandLine": ""}, "commandLine"),
        ({"constraints": {"maxWallClockTime": "-PT5M"}}, "constraints/maxWallClockTime"),
        ({"resourceFiles": [{"httpUrl": "nonsense", "filePath": "x"}]}, "resourceFiles[0]"),
        ({"resourceFiles": [{"httpUrl": "file:///etc/passwd", "filePath": "x"}]}, "resourceFiles[0]"),
        ({"resourceFiles": [{"httpUrl": URL}]}, "resourceFiles[0]/filePath"),
        (
            {"resourceFiles": [{"httpUrl": URL, "storageContainerUrl": URL, "filePath": "x"}]},
            "resourceFiles[0]",
        ),
        ({"requiredSlots": 0}, "requiredSlots"),
    ],
)
def test_odd_tasks_that_are_refused(emulator, more, name):
    make_job(emulator.client())
    body = {"id": "t", "commandLine": "true"} | more
    details = error(send(emulator, "POST", "/jobs/job/tasks", body), 400, "InvalidPropertyValue")
    assert details["PropertyName"] == name


ODD_BODIES = {
    "bytes": b"\xff\xfe",
    "deep": b"[" * 100_000,
    "deeper": b'{"value":' * 50_000,
    "text": b'"text"',
    "null": b"null",
    "half a pair": b'{"id": "x", "commandLine": "\\ud800"}',
    "long integer": b'{"id": "x", "value": 123456789012345678901234567890}',
    "large number": b'{"id": "x", "value": 1e999}',
}


def test_file_names_that_are_no_text(emulator):
    client = emulator.client()
    make_pool(client)
    make_job(client)
    client.create_task("job", task("t", shell("touch $(printf 'odd\\377')")))
    completed(client, task_id="t")
    names = [file.name for file in client.list_task_files("job", "t", recursive=True)]
    assert "wd/odd\ufffd" in names


def test_an_odd_duration(emulator):
    make_job(emulator.client())
    body = {"id": "t", "commandLine": "true", "constraints": {"maxWallClockTime": "P99999999999D"}}
    details = error(send(emulator, "POST", "/jobs/job/tasks", body), 400, "InvalidRequestBody")
    assert details["PropertyName"] == "constraints/maxWallClockTime"


@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES)
@pytest.mark.parametrize("path", ["/jobs/job/tasks", "/jobs/job/addtaskcollection", "/pools"])
def test_odd_bodies(emulator, path, body):
    error(send(emulator, "POST", path, body), 400, "InvalidRequestBody")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/pools/p/nodes/x/files/%00", 404),
        ("GET", "/jobs/%FF", 404),
        ("GET", "/jobs/job/tasks/t/files/stdout.txt%00", 409),
        ("GET", "/jobs//tasks", 400),
        ("GET", "/jobs?maxresults=99999999999999999999", 400),
        ("GET", "/jobs?$filter=" + "(" * 5000, 400),
        ("GET", "/jobs?$filter=id%20eq%20%27%FF%27", 200),
        ("GET", "/jobs?$filter=" + "%20or%20".join(["id%20eq%20%27a%27"] * 1500), 200),
        ("POST", "/jobs/job/disable", 400),
        ("POST", "/jobs/job/terminate", 202),
    ],
)
def test_odd_paths_and_queries(emulator, method, path, status):
    make_job(emulator.client())
    send(emulator, "POST", "/jobs/job/tasks", {"id": "t", "commandLine": "true"})
    response = send(emulator, method, path)
    assert response.status_code == status, response.text


@pytest.mark.parametrize("depth", [300, 3000])
@pytest.mark.parametrize(
    ("front", "back"), [("not ", ""), ("not (", ")"), ("(id eq 'a' or (id eq 'b' and ", "))")]
)
def test_filters_that_nest_deeply(emulator, depth, front, back):
    depth = depth // len(front)
    text = front * depth + "id eq 'x'" + back * depth
    response = send(emulator, "GET", f"/pools?$filter={quote(text)}")
    assert response.status_code in (200, 400), response.text
