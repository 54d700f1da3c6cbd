"""Requests to what stands beside the Batch service behind the same port: Resource Manager, the tenant's sign-in, the
nodes' managed identities, and the emulator's own control. Nearly all come with credentials that are good.

`{management}`, `{batch}`, `{identity}` and `{node}` stand for tokens, a node's secret and a node's id.
"""

import json
from functools import cache
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

from azure_batch_emulator.core.chance import ALLOCATION_FAULTS
from azure_batch_emulator.identity import directory
from azure_batch_emulator.web.management.resource_manager import _HANDLERS, _MISSING
from azure_batch_emulator.web.request_faults import KINDS

from .requests import (
    FILTERS,
    FORMULAS,
    HEADERS,
    JUNK,
    JUNK_TEXTS,
    METHODS,
    NODE,
    ODD_SEGMENTS,
    QUERY,
    RAW_BODIES,
    VERSIONS,
    VM,
    broken,
    seldom,
    text,
)
from .service import IDENTITY, Answer, Request, is_an_answer_of_the_service

PLACES = {
    "subscription": directory.SUBSCRIPTION,
    "another": directory.SUBSCRIPTION,
    "group": "devbatch",
    "othergroup": "g",
    "account": "devbatch",
    "location": "local",
    "identity": "robot",
    "application": "tool",
    "version": "1.0",
    "operation": "delete-pool-1767225600.000000",
}
BEARERS = [
    "",
    "Bearer",
    "Bearer x",
    "Bearer a.b.c",
    "Bearer {batch}",
    "Basic eDp5",
    "bearer {management}",
    "Bearer \xe9",
]
RESOURCES = [
    "https://management.azure.com/",
    "https://storage.azure.com",
    "https://batch.core.windows.net/",
    "x",
    "",
]


def _sentence(pairs: list[tuple[str, str]]) -> str:
    return urlencode(pairs, quote_via=quote, errors="surrogatepass")


# Resource Manager


@cache
def resources() -> st.SearchStrategy:
    """A pool as Resource Manager has it: each property now and then."""
    machine = {"imageReference": VM["imageReference"], "nodeAgentSkuId": VM["nodeAgentSKUId"]}
    auto = st.fixed_dictionaries(
        {"formula": st.sampled_from(FORMULAS)}, optional={"evaluationInterval": st.just("PT10M")}
    )
    fixed = st.fixed_dictionaries(
        {}, optional={"targetDedicatedNodes": st.integers(0, 3), "resizeTimeout": st.just("PT20M"), "nodeDeallocationOption": st.just("Terminate")}
    )  # fmt: skip
    properties = st.fixed_dictionaries(
        {"vmSize": st.just("Standard_D2s_v3"), "deploymentConfiguration": st.just({"virtualMachineConfiguration": machine})},
        optional={
            "displayName": st.just("x"),
            "scaleSettings": st.one_of(auto.map(lambda a: {"autoScale": a}), fixed.map(lambda f: {"fixedScale": f})),
            "interNodeCommunication": st.sampled_from(["Enabled", "disabled"]),
            "taskSlotsPerNode": st.integers(1, 4),
            "taskSchedulingPolicy": st.just({"nodeFillType": "Pack"}),
            "userAccounts": st.just([{"name": "a", "password": "b", "elevationLevel": "Admin"}]),
            "metadata": st.just([{"name": "a", "value": "b"}]),
            "startTask": st.just({"commandLine": "once", "userIdentity": {"userName": "a"}, "environmentSettings": [{"name": "x"}]}),
            "networkConfiguration": st.just({"endpointConfiguration": {"inboundNatPools": [
                {"name": "p", "protocol": "TCP", "backendPort": 80, "frontendPortRangeStart": 50000, "frontendPortRangeEnd": 50100}]}}),
            "mountConfiguration": st.just([{"cifsMountConfiguration": {"userName": "u", "source": "s", "password": "p", "relativeMountPath": "m"}}]),
            "applicationPackages": st.just([{"id": "/a/applications/x", "version": "1"}]),
            "provisioningState": st.just("Succeeded"),
        },
    )  # fmt: skip
    identity = {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}}
    return st.fixed_dictionaries(
        {"properties": properties},
        optional={
            "tags": st.just({"a": "b"}),
            "identity": st.sampled_from([identity, {"type": "None"}]),
            "id": st.just("x"),
        },
    )


def _resource_bodies(template: str, method: str) -> st.SearchStrategy:
    junk = st.one_of(st.sampled_from(RAW_BODIES), JUNK.map(text))
    if method in ("PUT", "PATCH"):
        return st.one_of(resources().map(text), *[broken(resources()).map(text)] * 3, junk)
    if template.endswith("checkNameAvailability"):
        names = st.one_of(st.sampled_from(JUNK_TEXTS), st.just("abc"), JUNK)
        return st.one_of(names.map(lambda name: text({"name": name, "type": "x"})), junk)
    return seldom(junk, st.none())


_ALL = [(method, template) for method, template, _ in _HANDLERS] + [("GET", path) for path in _MISSING]
_CHANGES = [(method, template) for method, template in _ALL if method in ("PUT", "PATCH")]
_OTHERS = sorted({*_ALL} - {*_CHANGES})


@st.composite
def management(draw) -> Request:
    method, template = draw(st.one_of(*[st.sampled_from(_CHANGES)] * 3, st.sampled_from(_OTHERS)))
    pools = st.sampled_from(["pool", "POOL", "empty", "p2", "p3"])
    segments = []
    for part in template.split("/")[1:]:
        name = part[1:-1] if part.startswith("{") else None
        good = pools if name == "pool" else st.just(PLACES[name] if name else part)
        segments.append(draw(seldom(st.sampled_from(ODD_SEGMENTS), good, 40)))
    known = ["$filter", "$select", "$skiptoken", "maxresults"]
    names = draw(st.lists(st.sampled_from(known), max_size=2)) if template.endswith("/pools") else []
    filters = st.sampled_from([*FILTERS, "name eq 'pool'", "properties/allocationState eq 'steady'"])
    pairs = [(name, draw(filters if name == "$filter" else QUERY[name])) for name in names]
    version = draw(
        seldom(st.sampled_from([None, "", "x"]), st.sampled_from(["2025-06-01", "2024-07-01"]), 20)
    )
    pairs += [] if version is None else [("api-version", version)]
    headers = {"Content-Type": "application/json"}
    headers["Authorization"] = draw(seldom(st.sampled_from(BEARERS), st.just("Bearer {management}"), 20))
    for name in draw(seldom(st.lists(st.sampled_from(sorted(HEADERS)), max_size=2), st.just([]), 3)):
        headers[name] = draw(HEADERS[name])
    method = draw(seldom(st.sampled_from(METHODS), st.just(method), 20))
    body = draw(_resource_bodies(template, method))
    target = "/" + "/".join(segments) + ("?" + _sentence(pairs) if pairs else "")
    return Request(method, target, headers, body, signed=False)


# Sign-in and managed identities

TENANTS = [directory.TENANT, directory.TENANT, "adfs", "common", "x"]
FORM = {
    "grant_type": ("client_credentials", ["password", ""]),
    "client_id": (directory.CLIENT_ID, ["x", "é", ""]),
    "client_secret": (directory.CLIENT_SECRET, ["x", "é", "\ud800", ""]),
    "scope": (
        f"{RESOURCES[0]}/.default",
        [f"{r}/.default" for r in RESOURCES] + ["openid", "a b", *JUNK_TEXTS],
    ),
    "resource": (RESOURCES[0], RESOURCES + JUNK_TEXTS),
}


@st.composite
def sign_in(draw) -> Request:
    tenant = quote(
        draw(seldom(st.sampled_from(["\ud800", "é", "a b", "%2F"]), st.sampled_from(TENANTS))),
        errors="surrogatepass",
    )
    paths = (
        "metadata/endpoints", "common/discovery/instance", f"{tenant}/v2.0/.well-known/openid-configuration",
        f"{tenant}/.well-known/openid-configuration", f"{tenant}/discovery/v2.0/keys", f"{tenant}/discovery/keys",
    )  # fmt: skip
    if draw(st.integers(1, 4)) == 1:
        method = draw(seldom(st.sampled_from(METHODS), st.just("GET")))
        return Request(method, f"/{draw(st.sampled_from(paths))}", signed=False)
    left_out = draw(st.sampled_from([(), (), ("scope",), ("resource",), ("grant_type",), ("client_secret",)]))
    pairs = [
        (name, draw(seldom(st.sampled_from(odd), st.just(good))))
        for name, (good, odd) in FORM.items()
        if name not in left_out
    ]
    form = _sentence(pairs).encode()
    body = draw(
        seldom(st.sampled_from([*RAW_BODIES, b"&" * 5000, b"\xff=%ff", b"a" * 70_000]), st.just(form))
    )
    headers = {
        "Content-Type": draw(seldom(st.just("text/plain"), st.just("application/x-www-form-urlencoded")))
    }
    path = draw(st.sampled_from(["oauth2/v2.0/token", "oauth2/token"]))
    return Request(
        draw(seldom(st.sampled_from(METHODS), st.just("POST"), 20)),
        f"/{tenant}/{path}",
        headers,
        body,
        signed=False,
    )


@st.composite
def managed_identity(draw) -> Request:
    given = {
        "api-version": draw(seldom(st.sampled_from(["", "x"]), st.just("2019-08-01"))),
        "resource": draw(seldom(st.sampled_from(JUNK_TEXTS), st.sampled_from(RESOURCES))),
    }
    for name in draw(
        st.lists(st.sampled_from(["client_id", "clientid", "object_id", "mi_res_id", "nope"]), max_size=2)
    ):
        given[name] = draw(seldom(st.sampled_from(JUNK_TEXTS), st.just(IDENTITY), 2))
    for name in draw(seldom(st.just(sorted(given)[:1]), st.just([]))):
        del given[name]
    secret = draw(seldom(st.sampled_from(["", "x", "a.b.c", "\xe9", "{batch}"]), st.just("{identity}")))
    headers = {"X-IDENTITY-HEADER": secret}
    method = draw(seldom(st.sampled_from(METHODS), st.just("GET"), 20))
    return Request(method, f"/msi/token?{_sentence(list(given.items()))}", headers, signed=False)


# Control


@cache
def plans() -> st.SearchStrategy:
    counts = st.sampled_from([0, 1, 5])
    return st.fixed_dictionaries(
        {},
        optional={
            "allocations": st.lists(st.sampled_from(ALLOCATION_FAULTS), max_size=2),
            "boots": counts,
            "startTasks": counts,
            "requests": st.lists(st.sampled_from(KINDS), max_size=2),
            "lowPriorityCores": st.one_of(st.none(), counts),
            "vmSizeCores": st.dictionaries(st.sampled_from(["Standard_D2s_v3", "standard_d4ds_v5"]), counts),
        },
    )


@st.composite
def control(draw) -> Request:
    headers = {"Content-Type": "application/json"}
    signed = draw(seldom(st.just(False), st.just(True)))
    if not signed:
        headers["Authorization"] = draw(st.sampled_from([*BEARERS, "Bearer {management}"]))
    if draw(st.integers(1, 3)) == 1:
        pool = draw(seldom(st.sampled_from(ODD_SEGMENTS), st.sampled_from(["pool", "POOL", "empty"])))
        node = draw(seldom(st.sampled_from(ODD_SEGMENTS), st.just(NODE)))
        path = f"/-/pools/{pool}/nodes/{node}/{draw(st.sampled_from(['preempt', 'lose', 'spoil', 'x']))}"
        method, body = "POST", draw(seldom(st.sampled_from(RAW_BODIES), st.none()))
    else:
        path = draw(seldom(st.sampled_from(["/-/", "/-/x", "/-/faults/x"]), st.just("/-/faults")))
        method = draw(st.sampled_from(["GET", "POST", "POST", "POST"]))
        junk = st.one_of(st.sampled_from(RAW_BODIES), JUNK.map(text))
        body = (
            draw(st.one_of(plans().map(text), broken(plans()).map(text), junk)) if method == "POST" else None
        )
    query = draw(
        seldom(
            st.sampled_from(
                ["?api-version=" + VERSIONS[0], "?x", "?%zz=\xe9".encode().decode("ascii", "ignore")]
            ),
            st.just(""),
        )
    )
    return Request(
        draw(seldom(st.sampled_from(METHODS), st.just(method), 20)), path + query, headers, body, signed
    )


def neighbours() -> st.SearchStrategy:
    return st.one_of(management(), management(), management(), sign_in(), managed_identity(), control())


def wrong_with(request: Request, answer: Answer) -> str | None:
    """What is wrong with a neighbour's answer, or None."""
    path = request.target.partition("?")[0]
    if path.startswith("/-/") and answer.status >= 400 and answer.status != 405:
        return is_an_answer_of_the_service(request, answer)
    shown = answer.body.decode("utf-8", "replace")
    if answer.status >= 500 and answer.status not in (501, 503):
        return f"status {answer.status}: {shown}"
    if answer.status >= 400 and answer.changed:
        return f"status {answer.status}, yet something has changed: {shown}"
    if request.method == "HEAD" or answer.status in (202, 204, 304):
        return "there is a body" if answer.body else None
    if answer.status == 405 or not answer.body:
        return None
    found = json.loads(answer.body)
    if answer.status < 400:
        return None if isinstance(found, dict) else f"no object: {shown}"
    if path.startswith("/msi/"):
        good = isinstance(found.get("message"), str) and found.get("statusCode") == answer.status
    elif path.startswith(("/subscriptions", "/tenants", "/providers")):
        good = {"code", "message"} <= set(found["error"])
    elif "/oauth2/" in path or "openid" in path or "/discovery/" in path:
        good = ("error_description" in found) or "odata.metadata" in found
    else:
        good = "odata.metadata" in found
    return None if good else f"an error of another shape: {shown}"
