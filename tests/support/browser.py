"""A headless Chromium that has no network but this machine's 127.0.0.1, as a fixture.

Where there is none, the test is skipped and says so; with AZBATCH_REQUIRE_BROWSER=1 it fails instead.
`misc/setup/browser` installs it on Debian.
"""

import base64
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def missing(what: str) -> NoReturn:
    if os.environ.get("AZBATCH_REQUIRE_BROWSER") == "1":
        pytest.fail(f"{what} (AZBATCH_REQUIRE_BROWSER is set)")
    pytest.skip(what)


class Browser:
    """What tests ask of a page."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def element(self, id: str) -> Any:
        return self.driver.find_element("id", id)

    def mouse(self) -> Any:
        """What a mouse does, step by step: `mouse().move_to_element(e).click().perform()`."""
        from selenium.webdriver import ActionChains

        return ActionChains(self.driver)

    def printed(self) -> bytes:
        """The page on paper, as PDF."""
        from selenium.webdriver.common.print_page_options import PrintOptions

        options = PrintOptions()
        options.background = True
        return base64.b64decode(self.driver.print_page(options))

    def open(self, page: Path | str) -> None:
        """The page of a file, or of a server on 127.0.0.1 by its URL, once its script has run."""
        self.cdp("Emulation.clearDeviceMetricsOverride")
        self.cdp("Emulation.setEmulatedMedia", media="", features=[])
        self.driver.get_log("browser"), self.driver.get_log("performance")
        self.driver.get(page.as_uri() if isinstance(page, Path) else page)
        self.wait("return document.documentElement.dataset.drawn")

    def run(self, script: str, *args: Any) -> Any:
        return self.driver.execute_script(script, *args)

    def wait(self, script: str, *args: Any) -> Any:
        """Until the script returns something that is true."""
        from selenium.webdriver.support.wait import WebDriverWait

        return WebDriverWait(self.driver, 60, 0.05).until(lambda _: self.run(script, *args))

    def cdp(self, command: str, **values: Any) -> Any:
        """A command of https://chromedevtools.github.io/devtools-protocol/"""
        return self.driver.execute_cdp_cmd(command, values)

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def requests(self) -> list[str]:
        """Addresses of all that was asked for since the page was opened."""
        logged = (entry["message"] for entry in self.driver.get_log("performance"))
        return [message for message in logged if '"Network.requestWillBeSent"' in message]


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    try:
        from selenium import webdriver
    except ImportError:
        missing("selenium is not installed")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if not program or not driver:
        missing("there is no Chromium with its chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    folder = tmp_path_factory.mktemp("browser")
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,1000",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={folder}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        yield Browser(started)
    finally:
        started.quit()
