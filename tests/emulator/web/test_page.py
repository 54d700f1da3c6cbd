"""The emulator's page over HTTP, as a browser asks for it, and what it must not show or change."""

import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
import requests
from azure.batch import models
from support.emulator import running_emulator, wait_until
from support.neighbours import as_nobody, needs_root

from azure_batch_emulator import DEV_KEY

from ..helpers import completed, make_job, make_pool, shell, task

HTML = {"Accept": "text/html,application/xhtml+xml"}
TOKEN = "a-value-that-nobody-sees"
SAS = "https://account.example.org/c?sv=2026-02-06&sig=c2lnbmF0dXJl%3D&se=2027"


@pytest.fixture(scope="module")
def page():
    with running_emulator() as emulator:
        yield emulator


def get(emulator, what, **query):
    return requests.get(f"{emulator.url}/-/page/{what}", params=query, timeout=10)


def state(emulator):
    shown = get(emulator, "state").json()
    for pool in shown["pools"]:
        pool["nodes"] = [dict(zip(shown["nodeColumns"], node, strict=True)) for node in pool["nodes"]]
    shown["tasks"] = [dict(zip(shown["taskColumns"], row, strict=True)) for row in shown["tasks"]]
    return shown


def shows(emulator, what):
    """The state once `what` is true of it: it is made twice a second at the most."""

    def look():
        shown = state(emulator)
        return shown if what(shown) else None

    return wait_until(look)


def test_a_browser_gets_a_page_that_needs_no_network_and_runs_no_script_but_its_own(page):
    answer = requests.get(page.url, headers=HTML, timeout=10)
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self';" in policy and "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY" and answer.headers["cache-control"] == "no-store"
    assert "http://" not in answer.text and "https://" not in answer.text and "<script>" not in answer.text
    for name in ("page.js", "page.css"):
        asset = get(page, name)
        assert asset.status_code == 200 and f"/-/page/{name}" in answer.text
        assert not any(text in asset.text for text in ("http://", "https://", "innerHTML", "eval("))
    assert "What it does shows, in a browser on this machine, " + page.url in "".join(page.output)


def test_pools_nodes_jobs_and_tasks_show_with_files_and_logs(page):
    client = page.client()
    make_pool(client, "shown", nodes=2, slots=2)
    make_job(client, "j-shown", "shown")
    tasks = [
        task("good", shell("echo fine; mkdir d; echo x > d/f.txt"), display_name="map sample=A"),
        task("bad", shell("echo broken >&2; exit 3")),
        task("waits", shell("sleep 60"), required_slots=3),
    ]
    for one in tasks:
        client.create_task("j-shown", one)
    for name in ("good", "bad"):
        completed(client, "j-shown", name)
    shown = shows(page, lambda shown: any(job["counts"]["failed"] for job in shown["jobs"]))
    (pool,) = [one for one in shown["pools"] if one["id"] == "shown"]
    assert (pool["size"], pool["slots"], pool["wanted"], pool["there"]) == (
        "Standard_D2s_v3",
        2,
        [2, 0],
        [2, 0],
    )
    assert {node["state"] for node in pool["nodes"]} == {"idle"} and all(
        node["booted"] for node in pool["nodes"]
    )
    (job,) = [one for one in shown["jobs"] if one["id"] == "j-shown"]
    assert job["counts"] == {"active": 1, "running": 0, "succeeded": 1, "failed": 1}
    by_id = {one["id"]: one for one in shown["tasks"]}
    assert (by_id["good"]["name"], by_id["good"]["code"], by_id["bad"]["code"]) == ("map sample=A", 0, 3)
    assert by_id["bad"]["failure"] == "FailureExitCode" and by_id["waits"]["state"] == "active"
    assert by_id["good"]["node"] in {node["id"] for node in pool["nodes"]}
    place = {"job": "j-shown", "task": "good"}
    names = {file["name"] for file in get(page, "files", **place).json()}
    assert {"stdout.txt", "stderr.txt", "wd/d/f.txt"} <= names
    assert get(page, "file", **place, name="stdout.txt").json() == {"text": "fine\n", "size": 5}
    assert get(page, "task", job="j-shown", task="bad").json()["failure"].startswith("FailureExitCode: ")
    node = {"pool": "shown", "node": by_id["good"]["node"]}
    assert any(file["name"].endswith("good/stdout.txt") for file in get(page, "files", **node).json())
    for query in (
        {**place, "name": "../../../../../etc/passwd"},
        {**place, "name": "/etc/passwd"},
        {**place, "name": "wd"},
    ):
        assert get(page, "file", **query).status_code == 404
    assert get(page, "files", job="j-shown", task="waits").status_code == 409
    assert get(page, "task", job="none", task="none").json() == {"error": "JobNotFound"}


def test_what_has_not_changed_is_not_sent_again_and_requests_come_by_their_numbers(page):
    client = page.client()
    with pytest.raises(Exception, match="PoolNotFound"):
        client.get_pool("no-such-pool")
    seen = wait_until(lambda: get(page, "state").json()["changes"])
    assert wait_until(
        lambda: get(page, "state", seen=get(page, "state").json()["changes"]).json().get("same")
    )
    assert seen
    rows = get(page, "requests").json()
    (row,) = [row for row in rows if row["path"] == "/pools/no-such-pool"]
    assert (row["method"], row["operation"], row["status"], row["error"]) == (
        "GET",
        "get_pool",
        404,
        "PoolNotFound",
    )
    assert not any(row["path"].startswith("/-/page/") for row in rows) and len(rows) <= 300
    assert get(page, "requests", after=rows[-1]["n"]).json() == []
    assert get(page, "requests", after="nonsense").status_code == 200


def test_no_secret_shows(page):
    client = page.client()
    make_pool(client, "secret")
    settings = [
        models.EnvironmentSetting(name="MY_TOKEN", value=TOKEN),
        models.EnvironmentSetting(name="URL", value=SAS),
    ]
    make_job(client, "j-secret", "secret", common_environment_settings=settings)
    own = [models.EnvironmentSetting(name="DB_PASSWORD", value="of-the-task-alone")]
    client.create_task(
        "j-secret",
        task(
            "prints",
            shell(f"echo '{SAS}' $MY_TOKEN $DB_PASSWORD {DEV_KEY}; echo {TOKEN} >&2"),
            display_name=SAS,
            environment_settings=own,
        ),
    )
    completed(client, "j-secret", "prints")
    place = {"job": "j-secret", "task": "prints"}
    shown = shows(page, lambda shown: any(one["id"] == "prints" and one["end"] for one in shown["tasks"]))
    (node,) = [n["id"] for p in shown["pools"] if p["id"] == "secret" for n in p["nodes"]]
    (log,) = [
        file["name"]
        for file in get(page, "files", pool="secret", node=node).json()
        if file["name"].endswith("prints/stdout.txt")
    ]
    texts = [
        get(page, "state").text,
        get(page, "task", **place).text,
        get(page, "file", **place, name="stdout.txt").text,
        get(page, "file", **place, name="stderr.txt").text,
        get(page, "file", pool="secret", node=node, name=log).text,
        get(page, "requests").text,
    ]
    assert "MY_TOKEN" in texts[1] and "sig=***" in texts[2] and "***" in texts[4]
    for text in texts:
        assert not [
            s
            for s in (TOKEN, "of-the-task-alone", DEV_KEY, json.dumps(DEV_KEY)[1:-1], "c2lnbmF0dXJl")
            if s in text
        ]


def test_only_browsers_of_this_machine_and_no_other_site(page):
    for host in ("evil.example.org", "127.0.0.1.evil.example.org"):
        for path in ("/", "/-/page/state"):
            answer = requests.get(page.url + path, headers={**HTML, "Host": host}, timeout=10)
            assert answer.status_code == 421 and "pools" not in answer.text
    for headers in (
        {"Origin": "https://evil.example.org"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        answer = requests.get(f"{page.url}/-/page/state", headers=headers, timeout=10)
        assert answer.status_code in (403, 421) and "changes" not in answer.text
        assert "access-control-allow-origin" not in answer.headers
    assert requests.get(f"{page.url}/-/page/state", headers={"Sec-Fetch-Site": "same-origin"}, timeout=10).ok


def visit(url):
    return [requests.get(url + path, headers=HTML, timeout=10).status_code for path in ("/", "/-/page/state")]


@needs_root
def test_another_user_of_the_machine_sees_nothing(page):
    assert as_nobody(visit, page.url) == [403, 403] and visit(page.url) == [200, 200]


@pytest.mark.parametrize(
    "method, path",
    [("GET", "/"), ("POST", "/"), ("DELETE", "/-/page/state"), ("POST", "/-/page/state"), ("GET", "/none")],
)
def test_the_services_answers_stay_the_services(page, method, path):
    """What no browser sends as a visit of the page: an unsigned request is refused as the service refuses it."""
    answer = requests.request(method, page.url + path, headers={"Accept": "application/json"}, timeout=10)
    assert answer.status_code == 401 and answer.json()["code"] == "AuthenticationFailed"
    assert (
        answer.headers["server"] == "Microsoft-HTTPAPI/2.0"
        and "content-security-policy" not in answer.headers
    )
    if path == "/none":
        assert requests.get(page.url + path, headers=HTML, timeout=10).status_code == 401


def test_names_and_logs_are_data_and_never_html(page):
    client, wild = page.client(), "<script>alert(1)</script>"
    make_pool(client, "wild")
    make_job(client, "j-wild", "wild")
    client.create_task("j-wild", task("wild", shell(f"echo '{wild}'"), display_name=wild))
    completed(client, "j-wild", "wild")
    for what in ("state", "task", "file", "files"):
        answer = get(page, what, job="j-wild", task="wild", name="stdout.txt")
        assert answer.headers["content-type"].startswith("application/json"), what
        assert answer.headers["x-content-type-options"] == "nosniff"
    odd = requests.get(f"{page.url}/-/page/{quote(wild)}", headers=HTML, timeout=10)
    assert odd.status_code == 404 and wild not in odd.text


def test_thousands_of_tasks_are_fine_and_the_answer_is_bounded():
    with running_emulator(runner="none") as emulator:
        client = emulator.client()
        make_pool(client, "many", nodes=100, slots=8)
        make_job(client, "j-many", "many")

        def add(begin):
            client.create_tasks("j-many", [task(f"t{i}") for i in range(begin, begin + 100)])

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(add, range(0, 5100, 100)))
        shown = shows(emulator, lambda shown: shown["jobs"][0]["counts"]["succeeded"] == 5100)
        ended = [one for one in shown["tasks"] if one["state"] == "completed"]
        assert len(ended) == 5000 and len(get(emulator, "state").content) < 2_000_000
