"""The report in Chromium, as people open it: what the first screen shows, and that nothing acts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from selenium import webdriver

from chatlake.lake import Lake
from chatlake.model.manifest import Failure
from tests.command_line import CommandLine
from tests.reading_lake import completion, reply, store
from tests.support import write_config
from tests.web.report_lakes import TODAY, UNPRICED, live_through, serving

pytestmark = pytest.mark.slow

SCREEN = (1280, 800)
PHONE = (390, 844)
_ATTACK = "</style><script>document.title='hacked'</script><img src=x onerror=alert(1)>\u202e"
_IN_VIEW = """
const seen = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const range = document.createRange();
  range.selectNodeContents(walk.currentNode);
  const box = range.getBoundingClientRect();
  const clip = walk.currentNode.parentElement.closest('.hidden');
  if (!clip && box.height && box.top >= 0 && box.bottom <= innerHeight && box.right <= innerWidth)
    seen.push(walk.currentNode.textContent.trim());
}
return seen.join(' ');
"""
_FAINT = """
const value = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const ground = (node) => {
  for (; node; node = node.parentElement) {
    const colour = value(getComputedStyle(node).backgroundColor);
    if (colour.length < 4 || colour[3] > 0) return colour;
  }
  return [255, 255, 255];
};
const faint = [];
for (const node of document.querySelectorAll('body *')) {
  const own = [...node.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!own || node.closest('.hidden, svg')) continue;
  const [a, b] = [light(value(getComputedStyle(node).color)), light(ground(node))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) faint.push(`${node.className || node.tagName}: ${ratio.toFixed(2)}`);
}
return [...new Set(faint)];
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """Start Chromium without a window; without one the tests are left out, but never in CI."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        reason = "no chromium and chromedriver: on Debian, apt install chromium chromium-driver"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    options = webdriver.ChromeOptions()
    options.binary_location = str(programs[0])
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options, webdriver.ChromeService(programs[1]))
    yield started
    started.quit()


def opened(browser: webdriver.Chrome, page: Path, size: tuple[int, int], scheme: str) -> None:
    """Open a page on a screen of this size, light or dark."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    browser.get(page.as_uri())


@pytest.fixture
def page(chatlake: CommandLine, tmp_path: Path) -> Path:
    """Write the report of a lake with a missing night, a gap, a deletion and an unpriced model."""
    with serving() as server:
        nights = live_through(server, tmp_path)
    with time_machine.travel(TODAY + timedelta(hours=5), tick=True):
        assert chatlake("report").code == 0
    assert nights.gap in (tmp_path / "chatlake-report.html").read_text()
    return tmp_path / "chatlake-report.html"


def test_the_first_screen_shows_what_befell_the_lake(browser: webdriver.Chrome, page: Path) -> None:
    """All four in words, the missing night in the calendar, without scrolling; phones too fit."""
    opened(browser, page, SCREEN, "light")
    seen = browser.execute_script(_IN_VIEW)
    for words in (
        "Backed up, with points to look at", "1 day without a backup", "No backup on 5 Oct 2025",
        "1 gap:", "1 completion deleted at the source", "1 model without a price", UNPRICED, "✕",
    ):  # fmt: skip
        assert words in seen
    cell = browser.find_element("css selector", "td.missed")
    assert "5 Oct 2025: no backup" in cell.get_attribute("title")
    assert cell.rect["y"] + cell.rect["height"] <= SCREEN[1]
    for scheme in ("light", "dark"):
        for size in (SCREEN, PHONE):
            opened(browser, page, size, scheme)
            width = browser.execute_script("return document.documentElement.scrollWidth")
            assert width <= size[0]
            assert browser.execute_script(_FAINT) == []
    assert browser.get_log("browser") == []


def test_hostile_content_does_nothing(
    browser: webdriver.Chrome, chatlake: CommandLine, tmp_path: Path
) -> None:
    """No script runs, nothing is loaded, and the style of the page stands."""
    write_config(tmp_path, "http://127.0.0.1:9/v1")
    found = completion(
        "chatcmpl-1", "2026-02-01T10:00", reply(finish_reason=_ATTACK), model=_ATTACK,
        metadata={_ATTACK: _ATTACK},
    )  # fmt: skip
    gap = Failure(source="openai", completion_id=_ATTACK, reason=_ATTACK, detail=_ATTACK)
    store(Lake.open(tmp_path / "lake", create=True), [(found, [])], failures=[gap])
    assert chatlake("report").code == 0
    opened(browser, tmp_path / "chatlake-report.html", SCREEN, "light")
    assert browser.title.startswith("Backup report")
    assert browser.find_elements("css selector", "img, script, iframe, body style") == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert browser.get_log("browser") == []
    ground = "return getComputedStyle(document.querySelector('.card')).borderTopLeftRadius"
    assert browser.execute_script(ground) == "10px"
    assert "<script>document.title" in browser.find_element("css selector", "#gaps").text
