"""The documented limits and rules of requests, each with its documented code."""

import http.client
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from ..core.builders import IMAGE
from ..helpers import make_job
from ..raw import VERSION, error, send, signature

JOB = {"id": "new", "poolInfo": {"poolId": "pool"}}
TASK = {"id": "t", "commandLine": "true"}
POOL = {"id": "new", "vmSize": "Standard_D2s_v3", "virtualMachineConfiguration": IMAGE}
PREPARED = JOB | {"jobPreparationTask": {"commandLine": "true"}}


def released(**more):
    return PREPARED | {"jobReleaseTask": {"commandLine": "true"} | more}


def constrained(**limits):
    return TASK | {"constraints": limits}


REFUSED = {
    "id of 65": ("/jobs", JOB | {"id": "x" * 65}, 400, "InvalidPropertyValue", "id"),
    "name of 1025": ("/jobs", JOB | {"displayName": "x" * 1025}, 400, "InvalidPropertyValue", "displayName"),
    "priority": ("/jobs", JOB | {"priority": -1001}, 400, "InvalidPropertyValue", "priority"),
    "preparation elsewhere": (
        "/jobs",
        JOB | {"jobPreparationTask": {"commandLine": "true", "id": "../../x"}},
        400,
        "InvalidPropertyValue",
        "jobPreparationTask/id",
    ),
    "release elsewhere": ("/jobs", released(id="../x"), 400, "InvalidPropertyValue", "jobReleaseTask/id"),
    "release of 16 minutes": (
        "/jobs",
        released(maxWallClockTime="PT16M"),
        400,
        "InvalidPropertyValue",
        "jobReleaseTask/maxWallClockTime",
    ),
    "one id for two": ("/jobs", released(id="JobPreparation"), 409, "TaskIdSameAsJobPreparationTask", None),
    "negative retention": (
        "/jobs/job/tasks",
        constrained(retentionTime="-PT1S"),
        400,
        "InvalidPropertyValue",
        "constraints/retentionTime",
    ),
    "fewer retries than -1": (
        "/jobs/job/tasks",
        constrained(maxTaskRetryCount=-2),
        400,
        "InvalidPropertyValue",
        "constraints/maxTaskRetryCount",
    ),
    "slots": ("/jobs/job/tasks", TASK | {"requiredSlots": 257}, 400, "InvalidPropertyValue", "requiredSlots"),
    "a range backwards": (
        "/jobs/job/tasks",
        TASK | {"exitConditions": {"exitCodeRanges": [{"start": 2, "end": 1, "exitOptions": {}}]}},
        400,
        "InvalidPropertyValue",
        "exitConditions/exitCodeRanges",
    ),
    "101 tasks": ("/jobs/job/addtaskcollection", {"value": [TASK] * 101}, 413, "RequestBodyTooLarge", None),
    "start task": (
        "/pools",
        POOL | {"startTask": {"commandLine": "true", "maxTaskRetryCount": -2}},
        400,
        "InvalidPropertyValue",
        "startTask/maxTaskRetryCount",
    ),
    "slots per node": ("/pools", POOL | {"taskSlotsPerNode": 9}, 400, "InvalidPropertyValue", "taskSlotsPerNode"),
    "resize of 4 minutes": ("/pools", POOL | {"resizeTimeout": "PT4M"}, 400, "InvalidPropertyValue", "resizeTimeout"),
    "scaling each 4 minutes": (
        "/pools",
        POOL | {"enableAutoScale": True, "autoScaleFormula": "$x=1;", "autoScaleEvaluationInterval": "PT4M"},
        400,
        "InvalidPropertyValue",
        "autoScaleEvaluationInterval",
    ),
    "formula of 8 KB": (
        "/pools",
        POOL | {"enableAutoScale": True, "autoScaleFormula": "$x=1;" * 1700},
        400,
        "AutoScalingFormulaTooLong",
        None,
    ),
    "a property twice": ("/jobs", '{"id": "a", "id": "b", "poolInfo": {"poolId": "p"}}', 400, "InvalidRequestBody", None),
    "no number": ("/jobs", '{"id": "a", "priority": NaN, "poolInfo": {"poolId": "p"}}', 400, "InvalidRequestBody", None),
    "another type": ("/jobs", JOB | {"priority": "high"}, 400, "InvalidRequestBody", "priority"),
    "beyond the calendar": (
        "/jobschedules",
        {"id": "s", "schedule": {"doNotRunUntil": "0001-01-01T00:00:00+14:00"}, "jobSpecification": {"poolInfo": {"poolId": "p"}}},
        400,
        "InvalidRequestBody",
        "schedule/doNotRunUntil",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("path", "body", "status", "code", "name"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(emulator, path, body, status, code, name):
    client = emulator.client()
    make_job(client)
    details = error(send(emulator, "POST", path, body), status, code)
    if name is not None:
        assert details["PropertyName"] == name
    assert [job.id for job in client.list_jobs()] == ["job"] and not list(client.list_pools())
    assert not list(client.list_tasks("job"))


def test_a_release_task_of_15_minutes(emulator):
    assert send(emulator, "POST", "/jobs", released(maxWallClockTime="PT15M")).status_code == 201


def at(minutes):
    return format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)


def test_conditions_one_at_a_time(emulator):
    """Of a tag and a date of the same sense the tag counts; other pairs are refused.

    https://learn.microsoft.com/rest/api/batchservice/specifying-conditional-headers
    """
    make_job(emulator.client())
    tag = send(emulator, "GET", "/jobs/job").headers["ETag"]

    def get(**conditions):
        headers = {name.replace("_", "-"): value for name, value in conditions.items()}
        return send(emulator, "GET", "/jobs/job", headers=headers)

    assert get(If_None_Match="0x1", If_Modified_Since=at(5)).status_code == 200
    assert get(If_Match=tag, If_Unmodified_Since=at(-5)).status_code == 200
    assert get(If_None_Match=tag, If_Modified_Since=at(-5)).status_code == 304
    for pair in (
        {"If_Match": tag, "If_None_Match": "0x1"},
        {"If_Match": tag, "If_Modified_Since": at(-5)},
        {"If_None_Match": "0x1", "If_Unmodified_Since": at(5)},
        {"If_Modified_Since": at(-5), "If_Unmodified_Since": at(5)},
    ):
        error(get(**pair), 400, "MultipleConditionHeadersNotSupported")


def test_a_request_without_a_length(emulator):
    path = f"/jobs/job/terminate?api-version={VERSION}"
    host, _, port = emulator.url.removeprefix("http://").partition(":")
    headers = {"ocp-date": at(0), "Host": f"{host}:{port}"}
    signed = signature(emulator.key, emulator.account, "POST", emulator.url + path, headers, "")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.putrequest("POST", path, skip_host=True)
    for name, value in (headers | {"Authorization": f"SharedKey {emulator.account}:{signed}"}).items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 411 and b'"MissingContentLengthHeader"' in response.read()
    connection.close()
