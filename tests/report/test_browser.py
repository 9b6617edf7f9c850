"""The page in a real browser: no error, filters that filter, figures that are there."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.report.page import as_html
from quantbench.report.reports import gathered
from tests.report.conftest import both_studies
from tests.report.test_figures import OF_DETECTORS, OF_LANGUAGE_MODELS
from tests.report.test_page import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium and its driver (Debian: `apt-get install chromium chromium-driver`)."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        (pytest.fail if "CI" in os.environ else pytest.skip)("no chromium with its driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


def opened(browser: Any, path: Path, width: int = 1280) -> None:
    browser.set_window_size(width, 900)
    (page := path.with_suffix(".html")).write_text(as_html(*gathered([path])))
    browser.get(page.as_uri())


def shown_rows(browser: Any) -> list[str]:
    rows = browser.find_elements("css selector", "#cases tbody tr")
    return [row.get_attribute("data-scheme") for row in rows if row.is_displayed()]


def choose(browser: Any, column: str, value: str) -> None:
    from selenium.webdriver.support.select import Select

    found = browser.find_element("css selector", f'select[data-column="{column}"]')
    Select(found).select_by_visible_text(value)


def test_the_page_opens_filters_and_shows_every_figure(
    browser: Any, written: Callable[..., Path]
) -> None:
    opened(browser, written(both_studies()))
    assert browser.get_log("browser") == []
    assert browser.find_element("class name", "outcome").text.startswith("Of 5 cases, 4 pass")
    for model, names in (
        ("digits_centernet", OF_DETECTORS),
        ("smollm2_135m_instruct", OF_LANGUAGE_MODELS),
    ):
        section = browser.find_element("css selector", f'section[data-model="{model}"]')
        figures = section.find_elements("css selector", "figure[data-figure]")
        assert {figure.get_attribute("data-figure") for figure in figures} == names
        for figure in figures:
            svg = figure.find_element("css selector", "svg")
            assert svg.size["width"] > 300
            assert svg.size["height"] > 100
    for picture in browser.find_elements("css selector", ".pair svg[role=img]"):
        assert picture.size["height"] > 50

    choose(browser, "model", "digits_centernet")
    assert shown_rows(browser) == ["int8_static", "float32"]
    assert browser.find_element("id", "shown").text == "2 of 5 cases"
    hidden = browser.find_element("css selector", 'section[data-model="smollm2_135m_instruct"]')
    assert not hidden.is_displayed()
    choose(browser, "scheme", "float32")
    assert shown_rows(browser) == ["float32"]
    choose(browser, "verdict", "fail, declared")
    assert shown_rows(browser) == []
    for column in ("model", "scheme", "verdict"):
        choose(browser, column, "all")
    assert len(shown_rows(browser)) == 5

    browser.find_element("link text", "gptq_int2_g64").click()
    (details,) = browser.find_elements("css selector", "details[id^=case-][open]")
    assert "gptq_int2_g64" in details.text
    assert browser.get_log("browser") == []


def test_on_a_phone_the_page_itself_does_not_scroll_sideways(
    browser: Any, written: Callable[..., Path]
) -> None:
    from selenium.webdriver.common.by import By

    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True},
    )
    opened(browser, written(both_studies()))
    width = browser.execute_script("return document.documentElement.scrollWidth")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert width <= 390
    assert browser.find_elements(By.CSS_SELECTOR, "figure[data-figure]")


def test_a_hostile_record_runs_nothing(browser: Any, written: Callable[..., Path]) -> None:
    records = both_studies()
    records[1] |= {"scheme": HOSTILE, "note": HOSTILE}
    records[3] |= {"model": HOSTILE, "case": HOSTILE}
    records[3]["examples"][0] |= {"context": HOSTILE, "target": HOSTILE}
    opened(browser, written(records, skipped=[{"case": HOSTILE, "reason": HOSTILE}]))
    assert browser.get_log("browser") == []  # neither an error nor a refused script
    assert "alert(1)" in browser.find_element("tag name", "body").text
