"""The documentation as pages in a real browser, opened from the disk: its search finds, and its formulas are drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from test_docs import site  # noqa: F401 - the fixture
from test_report_browser import By, browser, pytestmark, wait  # noqa: F401 - the fixture and when to skip


def test_search_finds_without_a_server(browser: Any, site: Path) -> None:  # noqa: F811
    browser.get_log("browser")
    browser.get((site / "concepts" / "margin.html").as_uri())
    browser.execute_script("document.querySelector('#__search').click()")
    box = browser.find_element(By.CSS_SELECTOR, "input.md-search__input")
    wait(box.is_displayed)
    box.send_keys("coexistence")
    found = wait(lambda: browser.find_elements(By.CSS_SELECTOR, ".md-search-result__item a"))
    assert str(found[0].get_attribute("href")).partition("?")[0] == (site / "concepts" / "coexistence.html").as_uri()
    assert browser.get_log("browser") == []


def test_formulas_are_drawn(browser: Any, site: Path) -> None:  # noqa: F811
    browser.get((site / "concepts" / "curvature.html").as_uri())
    (formula,) = browser.find_elements(By.CSS_SELECTOR, ".formula math")
    heights = [item.size["height"] for item in formula.find_elements(By.TAG_NAME, "mfrac")]
    assert len(heights) == 2
    assert formula.size["height"] >= max(heights) > 1.5 * formula.find_elements(By.TAG_NAME, "mi")[0].size["height"]
