"""The report in Chromium, as people open it: what the first screen shows, and that nothing acts."""

from __future__ import annotations

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
from tests.web.chromium import FAINT, PHONE, SCREEN, opened
from tests.web.report_lakes import TODAY, UNPRICED, live_through, serving

pytestmark = pytest.mark.slow

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
    opened(browser, page.as_uri(), SCREEN, "light")
    seen = browser.execute_script(_IN_VIEW)
    for words in (
        "Backed up, with points to check", "1 day without a backup", "No backup on 5 Oct 2025",
        "1 gap:", "1 completion deleted at the source", "1 model without a price", UNPRICED, "✕",
    ):  # fmt: skip
        assert words in seen
    cell = browser.find_element("css selector", "td.missed")
    assert "5 Oct 2025: no backup" in cell.get_attribute("title")
    assert cell.rect["y"] + cell.rect["height"] <= SCREEN[1]
    for scheme in ("light", "dark"):
        for size in (SCREEN, PHONE):
            opened(browser, page.as_uri(), size, scheme)
            width = browser.execute_script("return document.documentElement.scrollWidth")
            assert width <= size[0]
            assert browser.execute_script(FAINT) == []
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
    opened(browser, (tmp_path / "chatlake-report.html").as_uri(), SCREEN, "light")
    assert browser.title.startswith("Backup report")
    assert browser.find_elements("css selector", "img, script, iframe, body style") == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert browser.get_log("browser") == []
    ground = "return getComputedStyle(document.querySelector('.card')).borderTopLeftRadius"
    assert browser.execute_script(ground) == "10px"
    assert "<script>document.title" in browser.find_element("css selector", "#gaps").text
