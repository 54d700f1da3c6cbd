"""Requests and answers: versions, signatures, errors, lists."""

import base64

from ..probe import Context, probe
from ..wire import JSON


@probe(
    "Every api-version since 2017-09-01.6.0 is taken; one that there is not is refused.",
    ["200", "200", "200", "400 UnsupportedRequestVersion"],
    "2025-06-01; all",
    "documented",
)
def api_versions(c: Context):
    versions = ("2017-09-01.6.0", "2020-03-01.11.0", "2024-02-01.19.0", "2031-01-01")
    return [c.send("GET", "/pools", version=version, maxresults="1").told for version in versions]


@probe(
    "Before 2020-09-01.12.0 taskSlotsPerNode is maxTasksPerNode.",
    [2, 2],
    "taskSlotsPerNode",
    "documented",
)
def slots_before_2020(c: Context):
    path = c.pool("old", version="2020-03-01.11.0", maxTasksPerNode=2)
    old = c.must("GET", path, version="2020-03-01.11.0").json
    return [old.get("maxTasksPerNode"), c.must("GET", path).json.get("taskSlotsPerNode")]


@probe(
    "Until 2023-05-01.17.0 values of enums have capitals, in 2025-06-01 they have none.",
    ["Success", "success", "Spread", "spread"],
    "spelling of results, status values, categories and fill types",
    "recorded",
)
def spelling(c: Context):
    job, pool = c.job("spelling"), c.pool("spelling")
    versions = {"old": "2023-05-01.17.0", "new": "2025-06-01"}
    seen = []
    for name, version in versions.items():
        body = {"value": [{"id": name, "commandLine": "true"}]}
        seen.append(
            c.must("POST", f"{job}/addtaskcollection", body, version=version).json["value"][0]["status"]
        )
    policies = [c.must("GET", pool, version=v).json["taskSchedulingPolicy"] for v in versions.values()]
    return seen + [policy["nodeFillType"] for policy in policies]


@probe(
    "A request without a signature is 401, one with a wrong signature 403.",
    ["401 AuthenticationFailed", "403 AuthenticationFailed"],
    "status of failed authentication",
    "chosen",
)
def failed_authentication(c: Context):
    wrong = base64.b64encode(b"not the key of any account").decode()
    return [c.send("GET", "/pools", sign=False).told, c.send("GET", "/pools", key=wrong).told]


@probe(
    "An unknown property is refused.",
    "400 InvalidRequestBody",
    "code for an unknown property",
    "chosen",
)
def unknown_property(c: Context):
    body = {"id": c.name("unknown"), "poolInfo": {"poolId": "none"}, "colour": "red"}
    c.made.append(f"/jobs/{body['id']}")
    return c.send("POST", "/jobs", body).told


@probe(
    "A page holds from 1 to 1,000.",
    ["400 OutOfRangeQueryParameterValue", "400 OutOfRangeQueryParameterValue", "200"],
    "pages",
    "documented",
)
def page_lengths(c: Context):
    return [c.send("GET", "/pools", maxresults=length).told for length in ("0", "1001", "1000")]


@probe(
    "What was made is named in DataServiceId: the pool, the job.",
    ["pools", "jobs"],
    "error bodies, response headers, entity tags, conditional headers",
    "recorded",
)
def data_service_id(c: Context):
    pool = {
        "id": c.name("named"),
        "vmSize": c.machine.size,
        "virtualMachineConfiguration": c.machine.configuration,
    }
    job = {"id": c.name("named"), "poolInfo": {"poolId": c.name("nowhere")}}
    seen = []
    for kind, body in (("pools", pool), ("jobs", job)):
        c.made.append(f"/{kind}/{body['id']}")
        named = c.must("POST", f"/{kind}", body).headers.get("dataserviceid", "")
        seen.append(kind if named.endswith(f"/{kind}/{body['id']}") else named)
    return seen


@probe(
    "An entity tag is without quotes, and the same in header and body; an If-Match with quotes is taken.",
    [True, False, "200"],
    "error bodies, response headers, entity tags, conditional headers",
    "recorded",
)
def entity_tags(c: Context):
    answer = c.must("GET", path := c.job("tag"))
    tag = answer.headers["etag"]
    headers = {"If-Match": f'"{tag}"', "Content-Type": JSON}
    return [
        tag == answer.json["eTag"],
        tag.startswith('"'),
        c.send("PATCH", path, {"priority": 1}, headers=headers).told,
    ]


@probe(
    "The published client says that a pool is not there by an exception.",
    "ResourceNotFoundError",
    "pools: create, get, list, exists",
    "recorded",
)
def pool_exists_of_the_client(c: Context):
    assert c.client is not None
    with c.client() as client:
        try:
            return str(client.pool_exists(c.name("nowhere")))
        except Exception as error:  # noqa: BLE001 - which one is the fact
            return type(error).__name__
