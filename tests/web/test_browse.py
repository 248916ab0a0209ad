"""`chatlake browse` over HTTP: access, what the pages show, and that hostile content has no effect."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx
import pytest

from chatlake.lake import Lake
from chatlake.simulator.pictures import logo
from chatlake.web.browse.conversation import COMPLETION, Key
from chatlake.web.browse.server import BrowseServer
from tests.reading_lake import completion, store
from tests.web.browse_lake import SVG


@pytest.fixture(scope="module")
def reader(server: BrowseServer) -> Iterator[httpx.Client]:
    """A client that has opened the printed address."""
    with httpx.Client(base_url=server.base_url, follow_redirects=True, trust_env=False) as client:
        assert client.get(server.address).status_code == 200
        yield client


def test_without_the_token_there_is_nothing(server: BrowseServer) -> None:
    """No token, a wrong one or a wrong cookie: 403 on every route."""
    with httpx.Client(base_url=server.base_url, trust_env=False) as client:
        for path in ("/", "/runs", "/static/browse.css", "/?token=wrong", "/nowhere"):
            assert client.get(path).status_code == 403, path
        client.cookies.set(f"chatlake-{client.base_url.port}", "wrong")
        assert client.get("/").status_code == 403


def test_the_token_becomes_a_strict_cookie(server: BrowseServer) -> None:
    """The address loses the token, and no script can read the cookie."""
    with httpx.Client(trust_env=False) as client:
        answer = client.get(server.address)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        elsewhere = client.get(server.address, headers={"sec-fetch-site": "cross-site"})
        assert elsewhere.status_code == 200
        assert 'http-equiv="refresh"' in elsewhere.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", ""])
def test_another_host_is_refused(reader: httpx.Client, host: str) -> None:
    """A page that points its own name here reads nothing, even with the cookie."""
    assert reader.get("/", headers={"host": host}).status_code == 403


def test_opening_a_conversation_reads_nothing_out_of_raw(server: BrowseServer) -> None:
    """`raw` is the largest column: reading it for one completion reads those beside it too."""
    key = Key("openai", date(2026, 2, 1), "chatcmpl-first")
    plan = server.catalogue.page(
        lambda session: session.ask(f"EXPLAIN {COMPLETION}", key.parameters)
    )
    words = re.findall(r"\w+", str(plan))
    assert "service_tier" in words
    assert "raw" not in words


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_get_is_answered(reader: httpx.Client, method: str) -> None:
    """Anything else is 405."""
    assert reader.request(method, "/").status_code == 405


def test_every_answer_has_the_policy(reader: httpx.Client) -> None:
    """Pages, images, errors and static files alike."""
    for path in ("/", "/nowhere", "/static/browse.js", "/c/openai/2026-02-01/chatcmpl-first.json"):
        headers = reader.get(path).headers
        assert headers["content-security-policy"].startswith(
            "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'"
        )
        assert headers["x-content-type-options"] == "nosniff"


def test_a_search_marks_the_hit_and_says_what_it_looked_at(reader: httpx.Client) -> None:
    """Newest first, with a link to the message."""
    page = reader.get("/", params={"q": "hello"}).text
    assert "<mark>Hello</mark> there" in page
    assert 'href="/c/openai/2026-02-01/chatcmpl-second#m1"' in page
    assert "Searched 3 days" in page
    assert "Nothing found. Searched 3 days" in reader.get("/", params={"q": "nowhere at all"}).text


def test_a_pasted_id_opens_its_conversation(reader: httpx.Client) -> None:
    """The search for an id leads to the address of its conversation."""
    found = reader.get("/", params={"q": "chatcmpl-first"})
    assert found.url.path == "/c/openai/2026-02-01/chatcmpl-first"


def test_a_conversation_shows_calls_beside_results_and_its_other_turns(
    reader: httpx.Client,
) -> None:
    """The result stands in the call's card; each turn leads to the other."""
    page = reader.get("/c/openai/2026-02-01/chatcmpl-second").text
    assert re.search(r'class="call">.*find_order.*id="m5".*shipped', page, re.DOTALL)
    assert "Earlier turns" in page
    assert "chatcmpl-first" in page
    assert "Later turns" in reader.get("/c/openai/2026-02-01/chatcmpl-first").text


def test_hostile_content_is_text(reader: httpx.Client) -> None:
    """No tag, no script link, no image from elsewhere, no mark of direction; a long line is cut."""
    address = "/c/openai/2026-02-02/chatcmpl-hostile%2F..%2Fx"
    for page in (reader.get(address).text, reader.get("/").text):
        assert "&lt;script&gt;alert(1)" in page
        assert page.count("<script") == 1
        assert "<script>" not in page
        assert "onerror=alert(1)>" not in page
        assert "\u202e" not in page
        assert 'href="javascript' not in page
        assert 'src="https' not in page
        assert len(page) < 400_000
    assert len(reader.get(f"{address}/text/1").text) == 5_000_000


def test_only_known_pictures_are_sent_as_pictures(reader: httpx.Client) -> None:
    """A PNG is one; an SVG is text, whatever its data URL said."""
    page = reader.get("/c/openai/2026-02-03/chatcmpl-images").text
    first, second = dict.fromkeys(re.findall(r'href="(/image/[^"]+)"', page))
    picture, drawing = reader.get(first), reader.get(second)
    assert (picture.headers["content-type"], picture.content) == ("image/png", logo(1))
    assert drawing.headers["content-type"].startswith("text/plain")
    assert drawing.content == SVG
    assert f'<img src="{second}' not in page


def test_other_forms_hold_the_conversation(reader: httpx.Client) -> None:
    """JSON as the API sent it, Markdown with a heading for each message."""
    address = "/c/openai/2026-02-01/chatcmpl-first"
    document = reader.get(f"{address}.json").json()
    assert document["completion"]["id"] == "chatcmpl-first"
    assert [message["content"] for message in document["messages"]] == ["Be brief.", "Hello there"]
    assert "## user\n\nHello there" in reader.get(f"{address}.md").text
    assert "Good day." in reader.get(f"{address}/raw").text


def test_runs_gaps_and_usage_are_shown(reader: httpx.Client) -> None:
    """What the ledger says, escaped."""
    assert "complete" in reader.get("/runs").text
    gaps = reader.get("/gaps").text
    assert "chatcmpl-gap" in gaps
    assert "&lt;i&gt;gone" in gaps
    assert "4,936" in reader.get("/usage").text


def test_what_is_not_there_is_404(reader: httpx.Client) -> None:
    """A wrong day, id, image or page is a 404."""
    for path in ("/c/openai/no-day/x", "/c/openai/2026-02-01/x", "/image/openai/2026-02-01/x"):
        assert reader.get(path).status_code == 404, path


def test_a_new_commit_is_on_the_next_page(tmp_path: Path) -> None:
    """A backup that runs beside swaps the catalogue; the page follows."""
    lake = Lake.open(tmp_path / "lake", create=True)
    store(lake, [(completion("chatcmpl-one", "2026-02-01T10:00"), [])])
    made = BrowseServer(Lake.open(tmp_path / "lake"), 0)
    with made.running(), httpx.Client(trust_env=False, follow_redirects=True) as client:
        assert "chatcmpl-two" not in client.get(made.address).text
        store(lake, [(completion("chatcmpl-two", "2026-02-02T10:00"), [])])
        assert "chatcmpl-two" in client.get(f"{made.base_url}/").text


def test_a_slow_page_is_interrupted_and_says_so(tmp_path: Path) -> None:
    """The page answers 503 with the limit in its text."""
    lake = Lake.open(tmp_path / "lake", create=True)
    store(lake, [(completion("chatcmpl-one", "2026-02-01T10:00"), [])])
    made = BrowseServer(lake, 0, patience_s=0)
    with made.running(), httpx.Client(trust_env=False, follow_redirects=True) as client:
        answer = client.get(made.address)
    assert answer.status_code == 503
    assert "interrupted" in answer.text
