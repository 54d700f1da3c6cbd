"""The emulator's page in a headless Chromium, where there is one with selenium (`apt-get install chromium-driver`)."""

import shutil

import pytest
from support.emulator import running_emulator, wait_until

from ..helpers import completed, make_job, make_pool, shell, task

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
WILD = "<script>window.hit = 1</script><img src=x onerror='window.hit = 1'>"
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs a Chromium with its chromedriver")


@pytest.fixture(scope="module")
def driver():
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        yield started
    finally:
        started.quit()


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


def text(driver, selector):
    return driver.execute_script("return document.querySelector(arguments[0]).innerText", selector)


def sizes(driver, width, dark):
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


COLORS = """
const canvas = document.getElementById("canvas"), found = new Set();
const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
for (let i = 0; i < data.length; i += 4) if (data[i + 3]) found.add(data.slice(i, i + 3).join());
return found.size;
"""


def test_it_shows_what_there_is_and_nothing_of_that_is_html(driver, emulator):
    driver.get(emulator.url)
    wait_until(lambda: "wild" in text(driver, "#tasks"), 30)
    assert WILD in text(driver, "#tasks") and "1" in text(driver, "#tiles .bad b")
    assert len(driver.find_elements("css selector", "#pools .node")) == 2
    for name, shown in (("wild", "window.hit"), ("bad", "broken")):
        button = next(b for b in driver.find_elements("css selector", "#tasks .as-link") if b.text == name)
        driver.execute_script("arguments[0].click()", button)
        wait_until(lambda shown=shown: shown in text(driver, "#text"), 30)
        driver.execute_script("document.getElementById('close').click()")
    assert driver.execute_script("return window.hit") is None
    assert "create_task" in text(driver, "#requests") and "live" in text(driver, "#live")
    entries = driver.get_log("performance")
    asked = [e["message"] for e in entries if '"Network.requestWillBeSent"' in e["message"]]
    assert asked and not [m for m in asked if emulator.url not in m and '"url":"data:' not in m]
    assert not [entry["message"] for entry in driver.get_log("browser")]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_window_in_light_and_dark(driver, emulator, width, dark):
    sizes(driver, width, dark)
    driver.get(emulator.url)
    wait_until(lambda: "wild" in text(driver, "#tasks"), 30)
    # Nodes, tasks of two rules and of a failure, grid and names.
    wait_until(lambda: driver.execute_script(COLORS) > 5, 30)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    ground = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(16, 22, 29)" if dark else "rgb(246, 247, 249)")
