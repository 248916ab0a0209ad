"""`chatlake browse` in Chromium, as people use it: keys and clicks, and that nothing acts or leaves."""

from __future__ import annotations

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from chatlake.web.browse.server import BrowseServer
from tests.web.chromium import FAINT, PHONE, SCREEN, opened

pytestmark = pytest.mark.slow

_ELSEWHERE = """
return performance.getEntriesByType('resource').map(entry => entry.name)
  .filter(name => !name.startsWith(location.origin) && !name.startsWith('data:'));
"""
_CUT_HITS = """
return [...document.querySelectorAll("mark")].filter(mark =>
    mark.getBoundingClientRect().bottom > mark.closest(".said").getBoundingClientRect().bottom + 1
).map(mark => mark.textContent)
"""
"""The hits that lie below the end of their text."""


def press(browser: webdriver.Chrome, *keys: str) -> None:
    """Press keys, one after the other, where the reader is."""
    for key in keys:
        ActionChains(browser).send_keys(key).perform()


def wait_for(browser: webdriver.Chrome, text: str) -> None:
    """Wait until the address contains a text."""
    WebDriverWait(browser, 20).until(lambda seen: text in seen.current_url)


def test_keys_and_clicks_lead_through_the_pages(
    browser: webdriver.Chrome, server: BrowseServer
) -> None:
    """The token leaves the address; j, k, Enter, u and / do what the foot of the page says."""
    opened(browser, server.address, SCREEN, "light")
    wait_for(browser, "/")
    assert "token" not in browser.current_url
    press(browser, "j", "j", "k", Keys.ENTER)
    wait_for(browser, "/c/openai/")
    assert "chatcmpl-images" in browser.title
    picture = browser.find_element("css selector", "figure img")
    width = "return arguments[0].naturalWidth"  # zero until it is there
    WebDriverWait(browser, 20).until(lambda seen: seen.execute_script(width, picture) > 0)
    press(browser, "u")
    WebDriverWait(browser, 20).until(lambda seen: "/c/" not in seen.current_url)

    press(browser, "/")
    press(browser, *"shipped", Keys.ENTER)
    wait_for(browser, "q=shipped")
    assert browser.find_element("css selector", "mark").text == "shipped"
    browser.find_element("css selector", "main a[href^='/c/']").click()
    wait_for(browser, "chatcmpl-second")
    assert "find_order" in browser.find_element("css selector", "main").text


def test_every_page_can_be_read_on_every_screen(
    browser: webdriver.Chrome, server: BrowseServer
) -> None:
    """Light and dark, wide and as a phone: nothing is cut off, and no text is too faint."""
    opened(browser, server.address, SCREEN, "light")
    hostile = "/c/openai/2026-02-02/chatcmpl-hostile%2F..%2Fx"
    for path in ("/", "/?q=hello", "/c/openai/2026-02-01/chatcmpl-second", hostile, "/usage",
                 "/runs", "/gaps"):  # fmt: skip
        for scheme in ("light", "dark"):
            for size in (SCREEN, PHONE):
                opened(browser, server.base_url + path, size, scheme)
                width = browser.execute_script("return document.documentElement.scrollWidth")
                assert width <= size[0], (path, size)
                assert browser.execute_script(FAINT) == [], (path, scheme)


def test_a_phone_shows_every_hit_of_a_search(
    browser: webdriver.Chrome, server: BrowseServer
) -> None:
    """However narrow the screen, the words that were found are not in the part that is cut off."""
    opened(browser, server.address, PHONE, "light")
    opened(browser, server.base_url + "/?q=onerror", PHONE, "light")
    assert browser.find_elements("css selector", "mark")
    assert browser.execute_script(_CUT_HITS) == []


def test_a_phone_shows_why_a_run_failed(browser: webdriver.Chrome, server: BrowseServer) -> None:
    """The whole reason is on the screen, however wide the table; nobody has to scroll to the side."""
    opened(browser, server.address, PHONE, "light")
    opened(browser, server.base_url + "/runs", PHONE, "light")
    reason = browser.find_element("css selector", ".why")
    assert "and so on" in reason.text
    right = browser.execute_script("return arguments[0].getBoundingClientRect().right", reason)
    assert right <= PHONE[0]
    table = "const t = document.querySelector('.scroll'); return t.scrollWidth > t.clientWidth"
    assert browser.execute_script(table)


def test_hostile_content_does_nothing(browser: webdriver.Chrome, server: BrowseServer) -> None:
    """Scripts and tags are text, links go nowhere else, no request leaves the page."""
    opened(browser, server.address, SCREEN, "light")
    browser.get_log("browser")
    browser.get(server.base_url + "/c/openai/2026-02-02/chatcmpl-hostile%2F..%2Fx")

    text = browser.find_element("css selector", "main").text
    assert "<script>alert(1)</script>" in text
    assert browser.execute_script(_ELSEWHERE) == []
    assert browser.find_elements("css selector", "main script, main img[src^=http]") == []
    addresses = [a.get_attribute("href") for a in browser.find_elements("css selector", "main a")]
    assert addresses
    assert not [each for each in addresses if (each or "").startswith("javascript")]
    assert browser.get_log("browser") == []
