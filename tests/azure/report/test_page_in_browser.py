"""The page of a run of 10,000 tasks as a browser shows it, without a network."""

import json
from datetime import UTC, datetime

import pytest

from snakemake.azure.report.found import Found
from snakemake.azure.report.page.contents import contents
from snakemake.azure.report.page.html import html

from .journals import Written
from .large_journals import large
from .test_page import EVIL

TASKS = 10_000

PIXELS = """
const canvas = document.querySelector("#" + arguments[0] + " canvas");
const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
const found = new Map();
for (let i = 0; i < data.length; i += 4) {
  const color = data.slice(i, i + 3).join();
  found.set(color, (found.get(color) || 0) + 1);
}
return Object.fromEntries(found);
"""


def write(path, events):
    path.write_text(html(contents(Found.of(events), {}, path.name, datetime.now(UTC))))
    return path


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return write(tmp_path_factory.mktemp("report") / "report.html", large(TASKS))


@pytest.fixture
def page(browser, report):
    browser.open(report)
    return browser


def colors(page, chart):
    """How many pixels of a drawing have which color."""
    return page.run(PIXELS, chart)


def rgb(page, name):
    """A color of the style, as pixels have it."""
    value = page.run(
        "return getComputedStyle(document.documentElement).getPropertyValue(arguments[0])", f"--{name}"
    )
    text = value.strip().lstrip("#")
    return ",".join(str(int(text[i : i + 2], 16)) for i in (0, 2, 4))


def domain(page):
    return [float(t) for t in page.run("return document.getElementById('timeline').dataset.domain").split()]


def length(page):
    begin, end = domain(page)
    return end - begin


def click(page, deed):
    before = page.run("return document.getElementById('timeline').dataset.domain")
    page.run("document.querySelector(`[data-do=${arguments[0]}]`).click()", deed)
    page.wait("return document.getElementById('timeline').dataset.domain !== arguments[0]", before)


def test_all_tasks_are_drawn_without_a_network(page):
    assert int(page.run("return document.documentElement.dataset.drawn")) >= TASKS
    found = colors(page, "timeline")
    for name in ("c0", "c1", "c2", "failed"):
        assert found.get(rgb(page, name), 0) > 20, name
    assert colors(page, "slots")[rgb(page, "used")] > 10_000
    sent = [json.loads(request)["message"]["params"]["request"]["url"] for request in page.requests()]
    assert sent and all(url.startswith("file:") for url in sent), sent
    assert page.errors() == []


def test_zooming_and_moving(page):
    whole = domain(page)
    click(page, "in")
    assert length(page) == pytest.approx((whole[1] - whole[0]) / 2, rel=0.01)
    middle = domain(page)
    click(page, "right")
    assert domain(page)[0] > middle[0] and length(page) == pytest.approx(middle[1] - middle[0], rel=0.01)
    box = page.element("timeline")
    moved = domain(page)
    page.mouse().move_to_element(box).click_and_hold().move_by_offset(150, 0).release().perform()
    page.wait(
        "return document.getElementById('timeline').dataset.domain.split(' ')[0] < arguments[0]", moved[0]
    )
    where = box.rect
    before = length(page)
    page.run("arguments[0].scrollIntoView({block: 'center'})", box)
    place = page.run("const r = arguments[0].getBoundingClientRect(); return [r.x, r.y]", box)
    page.cdp(
        "Input.dispatchMouseEvent", type="mouseWheel", x=place[0] + where["width"] / 2, y=place[1] + 60,
        deltaX=0, deltaY=-300, modifiers=2,
    )  # fmt: skip
    page.wait(
        "const [a, b] = document.getElementById('timeline').dataset.domain.split(' '); return b - a < arguments[0] * 0.9",
        before,
    )
    click(page, "fit")
    assert domain(page) == whole


def test_what_is_pointed_at_is_told(page):
    box = page.element("timeline")
    for _ in range(3):
        click(page, "in")
    for y in range(-100, 100, 20):
        page.mouse().move_to_element_with_offset(box, 0, y).perform()
        text = page.run("return document.getElementById('tip').innerText")
        if "sample=" in text:
            break
    for word in ("wildcards", "task", "from", "lasted", "exit code", "slots", "node", "tvmps_"):
        assert word in text
    chart = page.element("slots")
    page.mouse().move_to_element(chart).perform()
    assert "paid for" in page.run("return document.getElementById('tip').innerText")


def test_a_rule_stands_out_when_it_is_chosen(page):
    blue = rgb(page, "c0")
    before = colors(page, "timeline")[blue]
    page.run("document.querySelector('[data-rule=\"1\"]').click()")
    assert (
        page.run("return document.querySelector('[data-rule=\"1\"]').getAttribute('aria-pressed')") == "true"
    )
    page.wait(f"const count = () => {{ {PIXELS} }}; return (count('timeline')[arguments[1]] || 0) < arguments[2]", "timeline", blue, before / 10)  # fmt: skip


def test_dark_and_light(page):
    light = page.run("return getComputedStyle(document.body).backgroundColor"), rgb(page, "c0")
    page.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    dark = page.run("return getComputedStyle(document.body).backgroundColor"), rgb(page, "c0")
    assert light[0] != dark[0] and light[1] != dark[1]
    page.wait(
        f"const count = () => {{ {PIXELS} }}; return count('timeline')[arguments[1]] > 1000",
        "timeline",
        dark[1],
    )


def test_on_a_phone_nothing_is_wider_than_it(page):
    page.cdp("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=2, mobile=True)
    page.wait("return document.getElementById('timeline').querySelector('canvas').clientWidth <= 390")
    assert page.run("return document.documentElement.scrollWidth") <= 390


def touch(page, kind, *places):
    points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
    page.cdp("Input.dispatchTouchEvent", type=kind, touchPoints=points)


def test_fingers(page):
    page.cdp("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=2, mobile=True)
    page.cdp("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    try:
        page.run("document.getElementById('timeline').scrollIntoView({block: 'center'})")
        left, top, width, height = page.run(
            "const r = document.getElementById('timeline').getBoundingClientRect(); return [r.x, r.y, r.width, r.height]"
        )
        x, y, before = left + width / 2, top + height / 2, length(page)
        touch(page, "touchStart", (x, y))
        touch(page, "touchEnd")
        page.wait("return document.getElementById('tip').innerText.includes('node')")
        touch(page, "touchStart", (x - 20, y), (x + 20, y))
        for apart in (30, 45, 60):
            touch(page, "touchMove", (x - apart, y), (x + apart, y))
        touch(page, "touchEnd")
        page.wait(
            "const [a, b] = document.getElementById('timeline').dataset.domain.split(' '); return b - a < arguments[0]",
            before * 0.6,
        )
        assert length(page) == pytest.approx(before / 3, rel=0.1)
    finally:
        page.cdp("Emulation.setTouchEmulationEnabled", enabled=False)


def test_on_paper(page):
    page.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert page.printed().startswith(b"%PDF-")
    page.run("window.dispatchEvent(new Event('beforeprint'))")
    assert rgb(page, "paper") == "255,255,255", "in light colors also where the screen is dark"
    page.run("window.dispatchEvent(new Event('afterprint'))")
    assert rgb(page, "paper") != "255,255,255"


def test_a_failed_task_leads_to_what_it_said(browser, tmp_path):
    run = Written()
    run.node(0)
    for i in range(20):
        run.task(f"ok-{i}", 10 + i, 100 + i, slots=1)
    run.task("bad-1", 200, 400, slots=4, success=False, why="It broke.", wildcards={"s": "a"})
    run.task("bad-2", 210, 410, slots=4, node="m", wildcards={"s": "a"})
    run.gone(500)
    browser.open(write(tmp_path / "failed.html", run.events))
    chart, details = (
        browser.element("timeline"),
        "return document.querySelector('details').open",
    )
    assert browser.run(details) is False
    for y in range(-60, 60, 6):
        browser.mouse().move_to_element_with_offset(chart, 100, y).click().perform()
        if browser.run(details):
            break
    assert browser.run(details) is True


def test_no_text_of_a_journal_runs_or_shows_as_html(browser, tmp_path):
    run = Written(pool=EVIL)
    run.note(1, "run", run="one", workflow=EVIL, lease_minutes=30)
    run.node(0)
    run.note(30, "submitted", task=EVIL, rule=EVIL, pool="p", slots=1, wildcards={EVIL: EVIL}, threads=1)
    run.note(
        60, "ended", task=EVIL, pool="p", node="n", started=run.at(1), ended=run.at(60), success=False,
        exit_code=1, why=EVIL, ran=True, service_fault=False,
    )  # fmt: skip
    browser.open(write(tmp_path / "evil.html", run.events))
    chart = browser.element("timeline")
    browser.mouse().move_to_element(chart).perform()
    assert browser.run("return document.querySelectorAll('img').length") == 0
    assert EVIL.replace("\u2028", "") in browser.run(
        "return document.querySelector('h1').textContent"
    ).replace("\u2028", "")
    assert browser.errors() == [], "an alert, or what the policy has refused"
