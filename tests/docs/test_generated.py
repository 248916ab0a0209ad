"""The generated parts of the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatlake.lake.catalog.views import VIEWS
from docs import generate
from docs.picture import PICTURE, svg
from tests.docs.markdown import ROOT


def test_generated_documentation_is_current(capfd: pytest.CaptureFixture[str]) -> None:
    """The generated parts of the documentation match the code."""
    stale = generate.main(["--check"])

    assert not stale, capfd.readouterr().err


def test_check_names_a_stale_page_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A page that is out of date is named, with the lines that differ."""
    page = tmp_path / "README.md"
    text = "<!-- generated: exit-codes -->\nold\n<!-- end of exit-codes -->\n"
    page.write_text(text)
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "BLOCKS", {"exit-codes": generate.exit_codes})

    assert generate.main(["--check"]) == 1
    complaint = capfd.readouterr().err
    assert "README.md is stale" in complaint
    assert "-old" in complaint
    assert "+| 0 | done, complete |" in complaint
    assert page.read_text() == text
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0


def test_check_misses_a_part_that_no_page_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A part that was dropped from the pages by mistake is noticed."""
    (tmp_path / "README.md").write_text("nothing generated here\n")
    monkeypatch.setattr(generate, "ROOT", tmp_path)

    assert generate.main(["--check"]) == 1
    assert "no page has the generated part" in capfd.readouterr().err


def test_every_exit_code_has_a_meaning() -> None:
    """The table of exit codes holds exactly the codes that errors have, and 0."""
    codes = {error.exit_code for error in generate.error_tree()}

    assert set(generate.EXIT_CODES) == codes | {0}


def test_every_error_says_what_to_do() -> None:
    """Each class that is raised by itself has a remedy, or leaves it to the message."""
    without = {error.__name__ for error in generate.error_tree() if not error.default_hint}

    assert without <= {"ChatlakeError", "AccountError", "LakeError"}


@pytest.mark.parametrize("name", generate.command_names())
def test_every_command_is_documented_with_an_example(name: str) -> None:
    """A command's help is in the documentation and shows how to call it."""
    text = generate.help_text(*name.split())

    assert f"\n## chatlake {name}\n" in (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    if not any(other.startswith(f"{name} ") for other in generate.command_names()):
        assert "example" in text.lower(), text
        assert f"chatlake {name}" in text.lower().partition("example")[2], text


def test_every_view_has_a_heading() -> None:
    """Each view can be linked to by its name."""
    text = (ROOT / "docs/schema.md").read_text(encoding="utf-8")

    assert [view for view in VIEWS if f"\n### {view}\n" not in text] == []


def test_picture_shows_the_session_of_the_readme() -> None:
    """The README's picture shows its session, which another test runs, and loads nothing."""
    drawn = (ROOT / "docs" / PICTURE).read_text(encoding="utf-8")

    assert drawn == svg((ROOT / "README.md").read_text(encoding="utf-8"))
    assert "url(http" not in drawn
