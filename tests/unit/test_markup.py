"""What a server wrote is code in Markdown and in chats: nothing of it acts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from chatlake.model.markup import as_cell, chat_code, code
from chatlake.model.outside_text import note_secret

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
ACTING = (
    "![x](https://evil.example/p.png)",
    "[click](https://evil.example)",
    "<img src=https://evil.example/p.png>",
    "<script>alert(1)</script>",
    "<https://evil.example>",
    "https://evil.example",
    "www.evil.example",
    "`![x](https://evil.example)",
    "``` ![x](https://evil.example) ```",
    "` `` ` <b>`",
    "a | b | **c**",
    "# heading\n\n- item",
    "<!channel> @everyone",
    "\\`<b>\\",
    "&lt;b&gt;",
)


def kinds(text: str) -> set[str]:
    """Return the kinds of everything that a renderer sees in a text."""
    found = set()
    for block in MARKDOWN.parse(text):
        found |= {block.type} | {child.type for child in block.children or ()}
    return found


@pytest.mark.parametrize("text", ACTING)
@pytest.mark.parametrize("around", ["{}", "**openai: list**: {} Check base_url.", "- lake: {}"])
def test_nothing_acts_in_markdown(text: str, around: str) -> None:
    """There is one piece of code, and it holds the text; no link, no image, no HTML."""
    shown = around.format(code(text))
    seen = kinds(shown)
    assert "code_inline" in seen
    assert not seen & {"image", "link_open", "html_inline", "html_block", "table_open", "fence"}
    inline = next(block for block in MARKDOWN.parse(shown) if block.children)
    (held,) = [child for child in inline.children or () if child.type == "code_inline"]
    assert held.content.strip() == " ".join(text.split())


@given(st.text(st.sampled_from("`<>![]()*_|\\ab ~#:/&\n"), max_size=30))
def test_no_text_gets_out_of_its_code(text: str) -> None:
    """Whatever the punctuation, a renderer sees code and nothing else."""
    for shown in (code(text), as_cell(text)):
        seen = kinds("detail: " + shown) - {"paragraph_open", "paragraph_close", "inline"}
        assert seen <= {"text", "code_inline"}


@pytest.mark.parametrize("text", ACTING)
def test_cells_of_a_table_are_code_where_they_may_act(text: str) -> None:
    """A cell that could act becomes code, because Prefect renders cells as Markdown."""
    assert as_cell(text).startswith("`")


def test_plain_cells_stay_plain() -> None:
    """Ids and usual details are to be read and copied as they are."""
    for text in (
        "", "chatcmpl-1", "(row after chatcmpl-1)", "messages/source=a/created_date=2026-01-31/part-1",
        "/chat/completions/x/messages: 404 Not Found: no such completion (request req-1)",
    ):  # fmt: skip
        assert as_cell(text) == text


@pytest.mark.parametrize("text", ACTING)
def test_nothing_acts_in_a_chat(text: str) -> None:
    """One piece of code: no backtick ends it early, and no `<…>` is a link or a call."""
    shown = chat_code(text)
    assert shown[0] == shown[-1] == "`"
    assert not set("`<>\n") & set(shown[1:-1])


def test_secrets_are_struck_out_there_too() -> None:
    """Markup is made of text that passed the place where secrets go."""
    note_secret("sk-proj-0123456789abcdef")
    for shown in (mark("is sk-proj-0123456789abcdef") for mark in (code, as_cell, chat_code)):
        assert "sk-" not in shown
        assert "[key]" in shown
    assert len(code("x" * 9000)) < 510
