"""Requests of every kind: right ones, nearly right ones, and rubbish."""

import json
import string
from functools import cache
from urllib.parse import quote

from hypothesis import strategies as st

from azure_batch_emulator.protocol.schema import api
from azure_batch_emulator.web.routing import Operation, operations

from .service import Request

NODE = "{node}"  # stands for the id of a node
IDS = {
    "poolId": ["pool", "pool", "POOL", "empty", "p2"],
    "jobId": ["job", "job", "JOB", "off", "j2"],
    "taskId": ["t1", "t1", "t2", "done", "new"],
    "nodeId": [NODE],
    "filePath": ["shared%2Fa%20b%23.txt", "shared", "stdout.txt", "wd", "workitems%2Fjob"],
    "jobScheduleId": ["schedule"],
    "userName": ["user"],
    "extensionName": ["extension"],
    "applicationId": ["application"],
}
ODD_SEGMENTS = [
    "%00", "%FF", "%", "%zz", "%2F", "..", "%2E%2E%2F%2E%2E%2Fetc%2Fpasswd", "a" * 65, "a" * 5000, "%C3%A9", "~", "'",
    "$metadata", "a%20b", "shared%5C..%5C..%5Cx", "%ED%A0%80", "+", ";", "nodes",
]  # fmt: skip
FILTERS = [
    "id eq 'job'", "startswith(id,'j')", "state eq 'active'", "state gt 'a'", "nope eq 1", "id eq", "((((", "'", "id eq null",
    "creationTime gt DateTime'2026-01-01T00:00:00Z'", "creationTime gt DateTime'x'", "creationTime lt datetime'9999-12-31'",
    "executionInfo/exitCode eq 99999999999999999999999", "executionInfo/exitCode eq 1e400", "not (id eq 'a')", "id eq 'a' or",
    "creationTime gt DateTime'0001-01-01T00:00:00+14:00'", "enableAutoScale eq true", "poolId eq 'pool'", "name eq 'x'",
    "startswith(name,'s')", "osType eq 'linux'", "id eq 'a\x00'", "startTime ge 1", "\ud7ff", "id eq " + "9" * 5000,
]  # fmt: skip
JUNK_TEXTS = [
    "", " ", "\x00", "a" * 2000, "\ud800", "é", "-1", "NaN", "PT5M", "-PT1S", "P99999999999D", "PT", "P" + "9" * 5000 + "D",
    "PT1e9S", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30", "$x=1;", "http://[::1", "http://a b/",
    "../../x", "/etc/passwd", "TVM:x", "9" * 5000, "=", "\r\nX: y", "https://h/c?sig=x",
]  # fmt: skip
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 2**31, -(2**31) - 1, 2**63, 10**30, 10**400, 1.5, 1e400, float("nan"), -0.0]),
    st.sampled_from(JUNK_TEXTS),
    st.sampled_from([[], {}, [[]], [None], [{}], {"a": {}}, {"": ""}, [1, "a", None], {"odata.type": "x"}]),
)
# Properties whose junk would cost time and show nothing: how many nodes there are to be.
SMALL = {"targetDedicatedNodes", "targetLowPriorityNodes"}
VM = {
    "imageReference": {"publisher": "microsoft-dsvm", "offer": "ubuntu-hpc", "sku": "2404"},
    "nodeAgentSKUId": "batch.node.ubuntu 24.04",
}
FORMULAS = [
    "$TargetDedicatedNodes=1;",
    "$TargetDedicatedNodes=0/0;",
    "x=",
    "(" * 300,
    "$x=time();" * 101,
    "1",
    "",
]


@cache
def value(kind: str, depth: int = 0) -> st.SearchStrategy:
    """A value that is good in kind, if seldom in sense."""
    kind = kind.partition(" ")[0].rstrip("?")
    if kind.startswith("["):
        return st.lists(value(kind[1:-1], depth + 1), max_size=2)
    if kind.startswith("enum:"):
        return st.sampled_from(api()["enums"][kind[5:]])
    match kind:
        case "str":
            return st.sampled_from(
                ["x", "a-1", "pool", "job", "t1", "true", "https://h/c?sig=1", "", "wd/x", "*.txt"]
            )
        case "int" | "int64":
            return st.sampled_from([0, 1, 2, 3, 100, "2"])
        case "bool":
            return st.booleans()
        case "float":
            return st.floats(allow_nan=False)
        case "duration":
            return st.sampled_from(["PT5M", "P1D", "PT05M00S", "PT0S", "P10675199DT2H48M5.4775807S"])
        case "datetime":
            return st.sampled_from(["2026-01-01T00:00:00Z", "2027-01-01T00:00:00.1234567Z"])
        case "object":
            return st.just({"a": {"b": [1]}})
        case "map":
            return st.dictionaries(st.sampled_from(["a", "b"]), st.just("x"), max_size=2)
    return model(kind, depth + 1)


@cache
def model(name: str, depth: int = 0) -> st.SearchStrategy:
    """An object with the required properties, and now and then another."""
    fields = {n: k for n, k in api()["models"][name].items() if not k.endswith(" read")}
    required = {n: value(k, depth) for n, k in fields.items() if not k.endswith("?")}
    optional = {n: value(k, depth) for n, k in fields.items() if k.endswith("?")} if depth < 4 else {}
    if "targetDedicatedNodes" in optional:
        optional |= {n: st.integers(0, 3) for n in SMALL}
    good = st.fixed_dictionaries(required)
    if optional:
        some = st.lists(st.sampled_from(sorted(optional)), max_size=3, unique=True)
        extra = some.flatmap(lambda names: st.fixed_dictionaries({n: optional[n] for n in names}))
        good = st.builds(lambda a, b: a | b, good, extra)
    return good


@cache
def body_value(name: str) -> st.SearchStrategy:
    sense: dict = {}
    if name == "BatchPoolCreateOptions":
        sense = {"id": st.sampled_from(["p2", "pool"]), "vmSize": st.just("Standard_D2s_v3"),
                 "virtualMachineConfiguration": st.just(VM)}  # fmt: skip
    if "AutoScale" in name:
        sense = {"autoScaleFormula": st.sampled_from(FORMULAS)}
    if name == "BatchJobCreateOptions":
        sense = {"id": st.sampled_from(["j2", "job"]), "poolInfo": st.just({"poolId": "pool"})}
    if name == "BatchTaskCreateOptions":
        sense = {"id": st.sampled_from(["new", "t1"])}
    return st.builds(lambda a, b: a | b, model(name), st.fixed_dictionaries(sense))


@st.composite
def broken(draw, good: st.SearchStrategy):
    """The value with one place of it replaced, removed or added to."""
    found = json.loads(json.dumps(draw(good)))
    places = []

    def visit(node):
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, item in items:
            if key not in SMALL:
                places.append((node, key))
            visit(item)

    visit(found)
    how = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
    if how == "add" or not places:
        found["unknown" if not isinstance(found, dict) or draw(st.booleans()) else "odata.type"] = draw(JUNK)
        return found
    node, key = draw(st.sampled_from(places))
    if how == "remove":
        del node[key]
    else:
        node[key] = draw(JUNK)
    return found


def text(found) -> bytes:
    return json.dumps(found).encode()


RAW_BODIES = [
    b"", b" ", b"{", b"[]", b"null", b'"x"', b"{}" * 2, b"\xff\xfe{}", b'{"id": "\xc3\x28"}', b"[" * 20_000,
    b'{"id":' * 5_000, b'{"id": "a", "id": "b"}', b'{"id": NaN}', b'{"id": Infinity}', b'{"id": 1e999}', b'{"priority":' + b"9" * 5000 + b"}",
    '{"id": "x"}'.encode("utf-16"), b"\xef\xbb\xbf{}", b'{"value": [1, null, "x", {}, []]}', b'{"value": null}', b'{"value": {}}',
    b'{"value": [' + b",".join([b"{}"] * 101) + b"]}", b"a" * ((1 << 20) + 1),
]  # fmt: skip


@cache
def bodies(operation: Operation) -> st.SearchStrategy:
    junk = st.one_of(st.sampled_from(RAW_BODIES), st.binary(max_size=30), JUNK.map(text))
    if operation.body is None:
        return st.one_of(st.none(), st.none(), st.none(), junk)
    good = body_value(operation.body)
    cut = st.builds(lambda raw, at: raw[: at % max(1, len(raw))], good.map(text), st.integers(0, 500))
    return st.one_of(
        good.map(text), good.map(text), broken(good).map(text), broken(good).map(text), cut, junk
    )


QUERY = {
    "$filter": st.sampled_from(FILTERS),
    "$select": st.sampled_from(["id", "id,state", "nope", ",,", "executionInfo/exitCode", "\x00", "*"]),
    "$expand": st.sampled_from(["stats", "tasks", "stats,stats", ""]),
    "$skiptoken": st.sampled_from(["eA", "%%%", "", "a" * 3000, "_-8", "W10", "é", "/+=="]),
    "maxresults": st.sampled_from(["1", "1000", "0", "1001", "-1", "x", "9" * 5000, "1.5", "", " 1 ", "１"]),
    "recursive": st.sampled_from(["true", "TRUE", "yes", ""]),
    "force": st.sampled_from(["true", "maybe", ""]),
    "timeOut": st.sampled_from(["30", "-1", "x"]),
    "startTime": st.sampled_from(["2026-01-01T00:00:00Z", "x"]),
    "endtime": st.sampled_from(["2026-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"]),
    "nope": st.sampled_from(["1", ""]),
}
DATES = ["Thu, 01 Jan 2026 00:00:00 GMT", "2026-01-01T00:00:00Z", "x", "", "0001-01-01T00:00:00+14:00", "1"]
TAGS = ["*", "0x1", '"0x1"', 'W/"0x1"', "", '"', "x" * 3000]
HEADERS = {
    "If-Match": st.sampled_from(TAGS),
    "If-None-Match": st.sampled_from(TAGS),
    "If-Modified-Since": st.sampled_from(DATES),
    "If-Unmodified-Since": st.sampled_from(DATES),
    "ocp-range": st.sampled_from(["bytes=0-3", "bytes=-3", "bytes=5-", "bytes=9-1", "bytes=99-", "x", "bytes=--1", "bytes=" + "9" * 5000 + "-"]),
    "Content-Type": st.sampled_from(["application/json", "text/plain", "multipart/form-data; boundary=x", "x", ""]),
    "Content-Encoding": st.sampled_from(["gzip", "x"]),
    "client-request-id": st.sampled_from(["x", "a" * 3000, "\xe9"]),
    "return-client-request-id": st.sampled_from(["true", "x"]),
    "Accept": st.sampled_from(["text/html", "*/*"]),
    "X-HTTP-Method-Override": st.just("DELETE"),
    "Host": st.sampled_from(["", "a b", "evil.example", "[::1"]),
}  # fmt: skip
AUTHORIZATIONS = ["", "SharedKey", "SharedKey devbatch:", "SharedKey devbatch:AAAA", "SharedKey x:AAAA", "Bearer x", "Basic eDp5", "SharedKey devbatch:é"]  # fmt: skip
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "MERGE", "get"]
VERSIONS = ["2025-06-01", "2024-07-01.20.0", "2024-02-01.19.0", "2022-10-01.16.0"]


def seldom(strategy: st.SearchStrategy, otherwise: st.SearchStrategy, one_in: int = 8) -> st.SearchStrategy:
    return st.integers(1, one_in).flatmap(lambda n: strategy if n == one_in else otherwise)


@st.composite
def requests(draw) -> Request:
    operation = draw(st.sampled_from(operations()))
    segments = []
    for part in operation.segments:
        good = st.sampled_from(IDS[part[1:-1]]) if part.startswith("{") else st.just(part)
        segments.append(draw(seldom(st.sampled_from(ODD_SEGMENTS), good, 20)))
    known = [name for name in QUERY if name.lower() in {n.lower() for n in operation.query}] + ["timeOut"]
    known += ["$skiptoken"] if "maxresults" in known else []
    names = draw(st.lists(seldom(st.sampled_from(sorted(QUERY)), st.sampled_from(known), 12), max_size=2))
    pairs = [f"{name}={_quoted(draw, draw(QUERY[name]))}" for name in names]
    version = draw(seldom(st.sampled_from([None, "", "2020-01-01", *VERSIONS]), st.just(VERSIONS[0])))
    pairs += [] if version is None else [f"api-version={version}"]
    headers = {"Content-Type": "application/json; odata=minimalmetadata"}
    for name in draw(seldom(st.lists(st.sampled_from(sorted(HEADERS)), max_size=3), st.just([]), 3)):
        headers[name] = draw(HEADERS[name])
    method = draw(seldom(st.sampled_from(METHODS), st.just(operation.method), 15))
    signed = draw(seldom(st.just(False), st.just(True), 15))
    if not signed and draw(st.booleans()):
        headers["Authorization"] = draw(st.sampled_from(AUTHORIZATIONS))
    body = draw(bodies(operation))
    return Request(
        method, "/" + "/".join(segments) + ("?" + "&".join(pairs) if pairs else ""), headers, body, signed
    )


def _quoted(draw, given: str) -> str:
    """As a client would encode it, or nearly."""
    safe = draw(seldom(st.just(string.punctuation.replace("#", "").replace("&", "")), st.just("")))
    return quote(given, safe=safe, errors="surrogatepass")
