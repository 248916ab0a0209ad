"""The pictures of the pages: there, small, and described for those who do not see them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, pages

MOST_BYTES = 150_000
PICTURES = [
    (page, alt, target)
    for page in pages()
    for alt, target in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
]
SIGNATURES = {".png": b"\x89PNG\r\n\x1a\n", ".svg": b"<svg"}


@pytest.mark.parametrize(("page", "alt", "target"), PICTURES, ids=[t for _, _, t in PICTURES])
def test_a_picture_is_there_small_and_described(page: Path, alt: str, target: str) -> None:
    """Each picture that a page names is a file of the project, of its kind, with a text for it."""
    file = (page.parent / target).resolve()
    assert file.is_relative_to(ROOT)
    data = file.read_bytes()
    assert data.startswith(SIGNATURES[file.suffix])
    assert len(data) <= MOST_BYTES
    assert len(alt.split()) >= 4


def test_the_readme_shows_the_terminal_the_report_and_a_conversation() -> None:
    """The first picture is the session's, above the commands to try; the other two follow."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = [target for page, _, target in PICTURES if page == ROOT / "README.md"]
    assert shown == ["docs/picture.svg", "docs/browse-conversation.png", "docs/report.png"]
    assert text.index("docs/picture.svg") < text.index("make demo")
