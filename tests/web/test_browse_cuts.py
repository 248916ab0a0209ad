"""What a page of `chatlake browse` leaves out, it counts, and says where it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from chatlake.lake import Lake
from chatlake.web.browse import conversation, ledger
from chatlake.web.browse.message import SHOWN
from chatlake.web.browse.server import BrowseServer
from tests.reading_lake import completion, reply, store

DAY = "2026-02-01"
Show = Callable[[str], str]


def link(number: int) -> dict[str, Any]:
    """Return a part with a linked image."""
    return {"type": "image_url", "image_url": {"url": f"https://images.example/{number}.png"}}


def text(words: str) -> dict[str, Any]:
    """Return a part with a text."""
    return {"type": "text", "text": words}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    """Return a message of these parts."""
    return {"role": "user", "content": None, "content_parts": list(parts)}


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Show]:
    """Return the words of a page, without its marks, by the page's address."""
    lake = Lake.open(tmp_path_factory.mktemp("cuts") / "lake", create=True)
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {}}}
    question = {"role": "user", "content": "What now?"}
    turns = [
        (completion(f"chatcmpl-turn-{n:02}", f"{DAY}T11:{n:02}", reply(f"Turn {n}")),
         [question, {"role": "assistant", "content": "Certainly."},
          {"role": "user", "content": f"And then, {n}?"}])
        for n in range(22)
    ]  # fmt: skip
    store(
        lake,
        [
            (completion("chatcmpl-parts", f"{DAY}T10:00"),
             [user(text("first"), link(1)), user(text("second"), link(2), link(3)),
              user(link(4), link(5)), user(text("third"), text("fourth")), user(link(6))]),
            (completion("chatcmpl-tools", f"{DAY}T10:01", tools=[tool] * 3, model="gpt-4.1"), [question]),
            (completion("chatcmpl-long", f"{DAY}T10:02", reply(None, refusal="n" * (SHOWN + 1))),
             [user(text("a" * (SHOWN + 7)), link(1)), user(text("b" * SHOWN), link(2))]),
            *turns,
        ],
    )  # fmt: skip
    server = BrowseServer(lake, 0)
    with (
        server.running(),
        httpx.Client(base_url=server.base_url, follow_redirects=True, trust_env=False) as client,
    ):
        assert client.get(server.address).status_code == 200

        def words(address: str) -> str:
            answer = client.get(address)
            assert answer.status_code == 200, answer.text
            return " ".join(re.sub("<[^>]*>", " ", answer.text).split())

        yield words


def test_parts_that_are_not_shown_are_counted(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for 4 of 10 parts, each message and the page say how many are missing, and where.

    A message of texts is shown by its text, so its parts are not missing.
    """
    address = f"/c/openai/{DAY}/chatcmpl-parts"
    assert "more part" not in show(address)
    monkeypatch.setattr(conversation, "MOST_PARTS", 4)
    page = show(address)
    assert re.findall(r"(\d more parts?), not shown here", page) == [
        "1 more part", "2 more parts", "1 more part"
    ]  # fmt: skip
    assert "third" in page
    assert "4 more parts of these messages are not shown here." in page
    assert "chatlake show and the view content_parts have all of them." in page
    assert "(empty)" not in page


def test_parts_of_messages_that_are_not_shown_are_not_counted(
    show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for one message, the page speaks of its parts alone."""
    monkeypatch.setattr(conversation, "MOST_MESSAGES", 1)
    monkeypatch.setattr(conversation, "MOST_PARTS", 1)
    page = show(f"/c/openai/{DAY}/chatcmpl-parts")
    assert "1 more part of these messages is not shown here." in page
    assert "messages are shown" in page


def test_all_parts_are_shown_if_they_fit(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for exactly all parts nothing is said to be missing."""
    monkeypatch.setattr(conversation, "MOST_PARTS", 10)
    assert "more part" not in show(f"/c/openai/{DAY}/chatcmpl-parts")


def test_characters_are_missing_only_where_they_are_cut(show: Show) -> None:
    """A text in parts that is too long is counted beyond its end, one that fits is not."""
    page = show(f"/c/openai/{DAY}/chatcmpl-long")
    assert re.findall(r"([\d,]+) more characters?\.", page) == ["7"]
    assert "n" * SHOWN + "…" in page


def test_tools_that_are_not_shown_are_counted(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for one of three offered tools, the page says that two are missing."""
    address = f"/c/openai/{DAY}/chatcmpl-tools"
    assert "more tool" not in show(address)
    monkeypatch.setattr(conversation, "_MOST_TOOLS", 1)
    assert "2 more tools not shown here." in show(address)


def test_models_that_are_not_shown_are_counted(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for one of two models, the usage page says that one is missing."""
    assert "more model" not in show("/usage")
    monkeypatch.setattr(ledger, "MODELS", 1)
    assert "1 more model with fewer tokens not shown" in show("/usage")


def test_of_many_turns_the_page_says_that_it_lists_twenty(show: Show) -> None:
    """22 turns follow the first: 20 are listed, and the page says that there may be others."""
    page = show(f"/c/openai/{DAY}/chatcmpl-tools")
    assert page.count("And then,") == 20
    assert "at most 20 are listed" in page


def test_words_that_are_not_searched_for_are_named(show: Show) -> None:
    """Of 12 words ten are searched for, and the list names the others."""
    words = [f"word{number}" for number in range(12)]
    page = show("/?q=" + "+".join(words))
    assert "too many words: word10 word11" in page
    assert "too many words" not in show("/?q=" + "+".join(words[:10]))
