"""The page in a real browser without a window: it opens, the slider moves, nothing leaves it."""

import shutil
from pathlib import Path

import pytest

from orchestrator.reports.page import page
from orchestrator.reports.reading import read_story

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="needs Debian's chromium and chromium-driver"
)


def test_the_page_works_and_asks_for_nothing(runs: tuple[Path, Path], tmp_path: Path) -> None:
    from selenium import webdriver
    from selenium.webdriver.common.by import By

    path = tmp_path / "report.html"
    path.write_text(page([read_story(run) for run in runs]))
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1200,2400"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(str(DRIVER))) as browser:
        browser.get(path.as_uri())
        slider = browser.find_element(By.ID, "generation")
        now = browser.find_element(By.ID, "now")
        film = browser.find_element(By.CSS_SELECTOR, ".film img")
        assert now.text == "4"
        last = film.get_attribute("src")
        browser.execute_script(
            "arguments[0].value = 0; arguments[0].dispatchEvent(new Event('input'))", slider
        )
        assert now.text == "1"
        assert film.get_attribute("src") != last
        broken = browser.execute_script(
            "return [...document.images].filter(i => i.src && !i.naturalWidth).length"
        )
        assert broken == 0
        browser.find_element(By.CSS_SELECTOR, ".tiles img").click()
        assert browser.find_element(By.ID, "large").is_displayed()
        browser.save_screenshot(str(tmp_path / "report.png"))
        assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []
        asked = [line["message"] for line in browser.get_log("performance")]
    assert not any('"url":"http' in message for message in asked)
