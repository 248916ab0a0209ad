"""Earlier versions of a changed completion, as `chatlake browse` shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from chatlake.web.browse import versions
from chatlake.web.browse.server import BrowseServer
from tests.nights.night import Nights
from tests.nights.server import serving


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, str]]:
    """A client, and the address of a completion with another question and team each night."""
    folder: Path = tmp_path_factory.mktemp("versions")
    with serving() as source:
        nights = Nights(source, folder, on_disk=True)
        name = source.grow(3)[1]
        source.converse(name, 2)
        for number, team in enumerate(("red", "green", "blue")):
            source.edit(name, team=team)
            source.rows[name].messages[1]["content"] = f"Attempt {number} <b>bold</b>"
            assert nights.night().code == 0
        with nights.lake().connect() as views:
            query = "SELECT created_date::VARCHAR FROM completions WHERE completion_id = ?"
            ((day,),) = views.execute(query, [name]).fetchall()
        server = BrowseServer(nights.lake(), 0)
    with (
        server.running(),
        httpx.Client(base_url=server.base_url, follow_redirects=True, trust_env=False) as client,
    ):
        assert client.get(server.address).status_code == 200
        yield client, f"/c/{nights.settings.sources[0].name}/{day}/{name}"


def text_of(client: httpx.Client, address: str) -> str:
    """Return the page's column of messages."""
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    return answer.text.partition("<aside")[0]


def test_the_side_panel_leads_to_each_earlier_version(reader: tuple[httpx.Client, str]) -> None:
    """Two of three versions were replaced: two links, and the present page shows the last text."""
    client, address = reader
    page = client.get(address).text
    assert re.findall(r'href="[^"]*\?version=(\d+)"', page) == ["1", "2"]
    shown = text_of(client, address)
    assert "Attempt 2" in shown
    assert "Attempt 1" not in shown


@pytest.mark.parametrize("number", [1, 2])
def test_an_earlier_version_shows_what_it_said(
    reader: tuple[httpx.Client, str], number: int
) -> None:
    """The message that later changed is shown as it was, with its place, as text, and marked."""
    client, address = reader
    shown = text_of(client, f"{address}?version={number}")
    assert f"Attempt {number - 1}" in shown
    assert f"Attempt {number}" not in shown
    assert "&lt;b&gt;bold" in shown
    assert "no longer sent" in shown
    assert shown.count('id="m1"') == 1
    assert f"Version {number} of 3" in shown
    side = client.get(f"{address}?version={number}").text.partition("<h2>Metadata")[2]
    assert ("red", "green")[number - 1] in side.partition("</section>")[0]


@pytest.mark.parametrize("number", ["0", "3", "4", "-1", "x", "9" * 5000])
def test_there_is_no_page_of_another_number(reader: tuple[httpx.Client, str], number: str) -> None:
    """The present version has its own address; any other number is a 404."""
    client, address = reader
    assert client.get(f"{address}?version={number}").status_code == 404


def test_the_page_says_how_many_older_versions_it_does_not_list(
    reader: tuple[httpx.Client, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for two of three versions, the newest two are listed, and the page says the rest."""
    monkeypatch.setattr(versions, "MOST", 2)
    client, address = reader
    page = client.get(address).text
    assert re.findall(r'href="[^"]*\?version=(\d+)"', page) == ["2"]
    assert "1 older version is not listed here" in page
    assert "completion_history" in page
    assert '<ol start="2">' in page
    assert "Version 1 of 3" in text_of(client, f"{address}?version=1")
