"""The emulator's page in a headless Chromium."""

import pytest
from support.emulator import running_emulator

from ..helpers import completed, make_job, make_pool, shell, task

WILD = "<script>window.hit = 1</script><img src=x onerror='window.hit = 1'>"


@pytest.fixture(scope="module")
def emulator():
    with running_emulator() as running:
        client = running.client()
        make_pool(client, "pool", nodes=2, slots=2)
        make_job(client, "job", "pool")
        client.create_task("job", task("wild", shell(f'echo "{WILD}"'), display_name=WILD))
        client.create_task("job", task("bad", shell("echo broken >&2; exit 3"), display_name="map sample=A"))
        for name in ("wild", "bad"):
            completed(client, "job", name)
        yield running


COLORS = """
const canvas = document.getElementById("canvas"), found = new Set();
const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
for (let i = 0; i < data.length; i += 4) if (data[i + 3]) found.add(data.slice(i, i + 3).join());
return found.size;
"""


def has(browser, id, text):
    browser.wait("return document.getElementById(arguments[0]).innerText.includes(arguments[1])", id, text)


def test_it_shows_what_there_is_and_nothing_of_that_is_html(browser, emulator):
    browser.open(emulator.url)
    has(browser, "tasks", WILD)
    has(browser, "requests", "create_task")
    assert browser.run("return document.querySelectorAll('#pools .node').length") == 2
    assert browser.run("return document.querySelector('#tiles .bad b').innerText") == "1"
    for name, shown in (("wild", "window.hit"), ("bad", "broken")):
        link = next(
            b for b in browser.driver.find_elements("css selector", "#tasks .as-link") if b.text == name
        )
        browser.run("arguments[0].click()", link)
        has(browser, "text", shown)
        browser.element("close").click()
    assert browser.run("return window.hit") is None and browser.errors() == []
    asked = browser.requests()
    assert asked and not [one for one in asked if emulator.url not in one and '"url":"data:' not in one]


def test_a_click_on_a_task_in_the_timeline_opens_it_and_dragging_moves_it(browser, emulator):
    browser.open(emulator.url)
    canvas = browser.element("canvas")
    x, y = browser.run("return [(boxes[0][0] + boxes[0][2]) / 2, (boxes[0][1] + boxes[0][3]) / 2]")
    edge = browser.run(
        "const r = document.getElementById('canvas').getBoundingClientRect(); return [r.width / 2, r.height / 2]"
    )
    browser.mouse().move_to_element_with_offset(canvas, int(x - edge[0]), int(y - edge[1])).click().perform()
    assert browser.run("return document.getElementById('details').open")
    browser.element("close").click()
    before = browser.run("return view.from")
    browser.mouse().move_to_element(canvas).click_and_hold().move_by_offset(80, 0).release().perform()
    assert browser.run("return view.from") < before and browser.errors() == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_window_in_light_and_dark(browser, emulator, width, dark):
    browser.open(emulator.url)
    narrow = width < 600
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": narrow}
    browser.cdp("Emulation.setDeviceMetricsOverride", **size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.cdp("Emulation.setEmulatedMedia", features=[scheme])
    browser.wait("return document.documentElement.scrollWidth <= arguments[0]", width)
    browser.wait(f"return (() => {{{COLORS}}})() > 5")  # nodes, tasks, a failure, grid and names
    ground = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(16, 22, 29)" if dark else "rgb(246, 247, 249)")
