"""File names that exports make of ids, which a source chooses as it likes."""

from __future__ import annotations

import re

import pytest

from chatlake.exports.folders import safe_name

HOSTILE = (
    "", ".", "..", "../../etc/passwd", "a/b", "a\\b", "a\x00b", "a\nb", "-rf", ".hidden", "end.", "~",
    "CON", "nul.txt", "Com1", " ", "x" * 500, "é", "\u202egnp", "\ud800", '"><script>', "%2e%2e",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_id_becomes_a_harmless_name(text: str) -> None:
    """No path, hidden file, option or device of Windows; the same id always has the same name."""
    name = safe_name(text)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,140}", name)
    assert not name.endswith(".")
    assert name.partition(".")[0].lower() not in {"con", "nul", "com1"}
    assert name == safe_name(text) != text


def test_different_ids_have_different_names() -> None:
    """What is struck from a name, its hash keeps apart."""
    assert len({safe_name(text) for text in HOSTILE if text != "\ud800"}) == len(HOSTILE) - 1
    assert len({safe_name(f"a{each}b") for each in "/\\\x00\n "}) == 5


@pytest.mark.parametrize("text", ["chatcmpl-9aZ", "a.b_c-d", "conversation", "x" * 120])
def test_a_plain_id_stays(text: str) -> None:
    """Ids as services give them are names already."""
    assert safe_name(text) == text
