"""What the page says, and what it is made of; tests/azure/report/test_page_in_browser.py looks at it."""

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.report import logs
from snakemake.azure.report.found import Found
from snakemake.azure.report.journal import HOME, JournalFile
from snakemake.azure.report.page.contents import MOST_FAILURES, contents
from snakemake.azure.report.page.html import html
from snakemake.azure.report.page.words import instant, lasting, money
from snakemake.azure.report.report_command import write_report

from .journals import Written

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u2028'\""


def said(run, logs=None):
    return contents(Found.of(run.events), logs or {}, "one.jsonl", NOW)


def page(run, logs=None):
    return html(said(run, logs))


def a_run(**pool):
    run = Written(**pool)
    run.node(20, allocated=0)
    run.node(20, "s", allocated=0, spot=True)
    run.task(
        "a-1", 30, 120, rule="map", slots=2, used={"stage_in_seconds": 9.0, "memory_bytes": 5e8}, mem_mb=2000
    )
    run.task("b-1", 40, 100, rule="sort", slots=4, node="s", success=False, why="It broke.")
    run.gone(200)
    run.note(201, "run_over", run="one", how="finished")
    return run


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.scripts, self._in = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._in = tag == "script"
        if self._in:
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._in = False

    def handle_data(self, data):
        if self._in:
            self.scripts[-1] += data


def test_the_parts_make_up_the_total():
    told = said(a_run())
    assert told["rules"]["total"]["money"] == "0.2200 USD"  # 200 s at 0.001, and at 0.0001
    parts = [float(part["money"].split()[0]) for part in told["parts"] if part["money"] != "–"]
    assert sum(parts) == pytest.approx(0.22, abs=0.0002)
    rules = [row["money"] for row in (*told["rules"]["rows"], *told["rules"]["rest"])]
    assert sum(float(value.split()[0]) for value in rules) == pytest.approx(0.22, abs=0.0002)
    assert [row["money"] for row in told["pools"]] == ["0.2000 USD", "0.0200 USD"]
    assert told["source"] == "Money by prices of a test, as of 2026-01-01."
    assert {part["name"] for part in told["parts"] if part["spot"]} >= {"jobs (Spot)", "idle nodes (Spot)"}


def test_a_number_without_a_price_says_so():
    told = said(a_run(price=None, spot_price=None, price_source=""))
    assert (
        told["tiles"][0]["value"] == "price not known"
        and told["rules"]["total"]["money"] == "price not known"
    )
    assert told["prices"] == "No price of these nodes is known." and told["source"] == ""
    half = said(a_run(spot_price=None))
    assert half["rules"]["total"]["money"] == "0.2000 USD and 0.06 h without a price"
    assert "0.0556 of 0.11 node-hours have no known price and are left out." in half["prices"]
    assert "names no currency" in said(a_run(currency=""))["source"]


@pytest.mark.parametrize(
    "end, kind, text",
    [
        ("finished", "bad", "1 job failed"),
        ("interrupted", "bad", "interrupted; 1 job failed"),
        ("lost", "bad", "taken over by another run; 1 job failed"),
        ("", "open", "no end is noted"),
    ],
)
def test_how_it_ended(end, kind, text):
    run = Written()
    run.task("b-1", 40, 100, success=False)
    if end:
        run.note(201, "run_over", run="one", how=end)
    status = said(run)["status"]
    assert status["kind"] == kind and text in status["text"]


def test_what_was_asked_for_stands_beside_what_was_used():
    (row, _) = said(a_run())["asked"]["rows"]
    memory = row["cells"][1]
    assert (memory["said"], memory["enough"], memory["of"]) == ("500 / 2,000", "700", 0.25)


def test_texts_of_a_journal_and_of_logs_stay_texts():
    run = Written(pool=EVIL, price_source=EVIL)
    run.note(1, "run", run=EVIL, workflow=EVIL, account=EVIL, prefix=EVIL, version=EVIL, lease_minutes=30)
    run.note(
        30, "submitted", task=EVIL, rule=EVIL, pool=EVIL, slots=1, wildcards={EVIL: EVIL}, threads=1, computed=[EVIL]
    )  # fmt: skip
    run.note(
        50, "ended", task=EVIL, pool=EVIL, node=EVIL, started=run.at(30), ended=run.at(50), success=False,
        exit_code=1, why=EVIL, ran=True, service_fault=False,
    )  # fmt: skip
    run.note(60, "outage", service=EVIL, why=EVIL, seconds=1.0)
    run.note(61, "requests", services={EVIL: 1})
    text = page(run, {EVIL: {EVIL: EVIL}})
    elements = Elements(text)
    assert [attributes.get("type") for tag, attributes in elements.found if tag == "script"] == [
        "application/json", None, None,
    ]  # fmt: skip
    assert not [tag for tag, _ in elements.found if tag in ("img", "iframe", "link", "object", "base")]
    assert not [name for _, attributes in elements.found for name in attributes if name.startswith("on")]
    data = json.loads(elements.scripts[0])
    assert data["drawing"]["rules"] == [EVIL]


def test_the_page_needs_no_network_and_allows_its_own_scripts_alone():
    text = page(a_run())
    elements = Elements(text)
    (policy,) = [
        a["content"]
        for tag, a in elements.found
        if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'") and "unsafe-inline" not in policy.split("script-src")[1]
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/]{43}='", policy)) == 2
    assert not [a for _, a in elements.found if {"src", "href", "srcset"} & a.keys()]
    assert "url(" not in text.split("</style>")[0]


def test_what_looks_like_a_credential_is_blotted_out():
    run = Written()
    secret = "sv=2024&sig=c2VjcmV0c2VjcmV0"
    run.note(1, "run", run="one", prefix=secret, lease_minutes=30)
    run.task("a-1", 10, 20, rule="map", success=False, why=secret, wildcards={"url": secret})
    assert "c2VjcmV0" not in page(run)


def test_of_many_failures_the_first_are_shown_and_the_others_counted():
    run = Written()
    for i in range(MOST_FAILURES + 5):
        run.task(f"t-{i}", 10 + i, 20 + i, success=False, wildcards={"n": i})
    told = said(run)
    assert len(told["failures"]) == MOST_FAILURES and told["more_failures"] == 5
    assert "and 5 more are in the journal" in page(run)


def test_a_journal_without_tasks_is_a_page_too():
    assert "No nodes were paid for." in page(Written())


def test_more_rules_than_colors():
    run = Written()
    run.node(0)
    for i in range(30):
        run.task(f"t-{i}", 10 + i, 20 + 2 * i, rule=f"rule{i}")
    run.gone(100)
    told = said(run)
    assert len(told["legend"]) == 30 and max(each["color"] for each in told["legend"]) == 12
    assert told["legend"][0]["rule"] == "rule29", "what took most has a color"


@pytest.mark.parametrize(
    "seconds, text",
    [(None, "–"), (0.44, "0.4 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (90_061, "1 d 1 h")],
)
def test_how_long_something_lasted(seconds, text):
    assert lasting(seconds) == text


def test_words_for_money_and_times():
    assert money({"USD": 1.234}, 2.0) == "1.23 USD" and money({}, 0.0) == "–"
    assert instant(NOW) == "2026-01-02 03:04:05" and instant(None) == "–"


def test_ends_of_logs(tmp_path):
    def put(name, text):
        path = tmp_path / "run-1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)

    put(
        "a-1/stderr.txt",
        b"".join(b"line %d\n" % i for i in range(100)) + b"\x1b[31mred\x1b[0m sig=c2VjcmV0\n",
    )
    put("a-1/stdout.txt", b"much")
    put("b-1/stdout.txt", b"\xff only here")
    put("b-1/log.txt", b"its log")
    put("c-1/stderr.txt", b"")
    found = logs.ends(
        tmp_path, ["run-1", "../elsewhere", "run-2"], ["a-1", "b-1", "c-1", "../../etc", "none"]
    )
    assert set(found) == {"a-1", "b-1"} and list(found["a-1"]) == ["stderr"]
    lines = found["a-1"]["stderr"].splitlines()
    assert len(lines) == logs.LINES and lines[-1] == "red sig=***"
    assert found["b-1"] == {"stdout": "\ufffd only here", "the rule's log": "its log"}


def test_the_newest_journal_with_a_run_is_taken(tmp_path):
    file = JournalFile(tmp_path / HOME / "one.jsonl")
    run = a_run()
    for line in run.lines:
        file.append(line)
    heard = []
    write_report(tmp_path, tmp_path / "r.html", heard.append)
    assert "one.jsonl" in heard[0] and "0.22 USD" in (tmp_path / "r.html").read_text()
    write_report(tmp_path, tmp_path / "r.html", heard.append)  # one of ours is replaced
    write_report(tmp_path / HOME / "one.jsonl", tmp_path / "r.html", heard.append)
    assert heard[0] == heard[1] == heard[2]
    (tmp_path / "prices.yaml").write_text("a: 1\n")
    with pytest.raises(WorkflowError, match="prices.yaml is no journal of a run"):
        write_report(tmp_path / "prices.yaml", tmp_path / "r.html", heard.append)
    with pytest.raises(WorkflowError, match="Cannot read the journal .*none"):
        write_report(tmp_path / "none", tmp_path / "r.html", heard.append)
    (tmp_path / "mine.html").write_text("<!doctype html>")
    with pytest.raises(WorkflowError, match="was not written by"):
        write_report(tmp_path, tmp_path / "mine.html", heard.append)
