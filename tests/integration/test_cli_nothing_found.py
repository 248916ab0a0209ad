"""Commands that find nothing say so in one line, end with 0, and write empty, valid JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from chatlake.lake import Lake
from tests.command_line import CommandLine
from tests.reading_lake import completion, reply, store
from tests.support import write_config

EMPTY: Final = "the lake has no completions yet"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Make an empty lake, with a configuration beside it."""
    write_config(tmp_path, "http://127.0.0.1:9/v1")
    return Lake.open(tmp_path / "lake", create=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["failures"], "No backup has run yet."),
        (["failures", "--source", "openai"], "No backup of openai has run yet."),
        (["runs"], "No backup has run yet."),
        (["ask", "usage"], "The lake has no completions yet."),
        (["search", "hello"], f"Nothing to search: {EMPTY}."),
        (["files", "messages"], "The table messages has no rows yet, and so no files."),
    ],
)
@pytest.mark.usefixtures("lake")
def test_an_empty_lake_is_said_to_be_empty(
    chatlake: CommandLine, words: list[str], said: str
) -> None:
    """One line, and no header of a table without rows."""
    done = chatlake(*words)
    assert (done.code, (done.out + done.err).splitlines()) == (0, [said])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["failures"], "No gaps: no completion is waiting to be fetched again."),
        (
            ["failures", "--source", "openai"],
            "No gaps: no completion of openai is waiting to be fetched again.",
        ),
        (["ask", "usage", "--model", "nothing"], "Nothing found."),
        (["search", "nowhere"], "0 conversations found in all 1 day with completions"),
        (["files", "images"], "The table images has no rows yet, and so no files."),
    ],
)
def test_a_lake_without_what_was_asked_for_says_so(
    chatlake: CommandLine, lake: Lake, words: list[str], said: str
) -> None:
    """Never that the lake is empty, or that no backup has run."""
    store(lake, [(completion("chatcmpl-one", "2026-02-01T10:00", reply("Good.")), [])])
    done = chatlake(*words)
    assert (done.code, (done.out + done.err).splitlines()) == (0, [said])


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["failures"], []),
        (["runs"], []),
        (["ask", "usage"], []),
        (["files", "messages"], {"files": []}),
        (["search", "hello"], {"completions": []}),
    ],
)
@pytest.mark.usefixtures("lake")
def test_json_stays_valid_and_empty(chatlake: CommandLine, words: list[str], found: Any) -> None:
    """Programs get the same shape as with rows."""
    done = chatlake(*words, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json == found if isinstance(found, list) else found.items() <= done.json.items()


@pytest.mark.parametrize("words", [["failures"], ["runs"], ["ask", "usage"], ["search", "hello"]])
@pytest.mark.usefixtures("lake")
def test_a_mistyped_source_is_not_said_to_have_no_gaps(
    chatlake: CommandLine, words: list[str]
) -> None:
    """Exit code 2, with the sources that there are."""
    done = chatlake(*words, "--source", "opneai")
    assert done.code == 2
    assert "--source 'opneai': there is no such source" in done.err
    assert "Give one of openai." in done.err
