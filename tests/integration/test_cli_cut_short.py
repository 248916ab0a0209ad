"""A command that does not show everything says so."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from chatlake.lake import Lake
from chatlake.model.manifest import Failure, Manifest, SourceRun
from tests.command_line import CommandLine
from tests.reading_lake import completion, reply, store
from tests.support import write_config

WORDS = [f"word{number}" for number in range(12)]


@pytest.fixture
def _lake(tmp_path: Path) -> None:
    """Make a lake with three runs and three gaps, with a configuration beside it."""
    write_config(tmp_path, "http://127.0.0.1:9/v1")
    lake = Lake.open(tmp_path / "lake", create=True)
    for number in range(3):
        run = SourceRun(
            run_id=f"run-{number}", source="openai", status="incomplete", mode="incremental",
            started_at=f"2026-01-0{number + 1}T00:00:00.000000Z", seconds=1,
        )  # fmt: skip
        gaps = [
            Failure(source="openai", completion_id=f"chatcmpl-{n}", reason="not_found", detail="")
            for n in range(number + 1)
        ]
        with lake.lock():
            lake.commit(Manifest(run_id=run.run_id, runs=[run], failures=gaps))


@pytest.mark.usefixtures("_lake")
@pytest.mark.parametrize("command", ["runs", "failures"])
@pytest.mark.parametrize("style", ["table", "csv", "json"])
def test_rows_beyond_the_limit_are_counted(chatlake: CommandLine, command: str, style: str) -> None:
    """Of three rows one or two are shown: a line says how many are not, in every format."""
    row = command.removesuffix("s")
    for limit, said in (
        (1, f"2 older {row}s not shown: see --limit"),
        (2, f"1 older {row} not shown: see --limit"),
        (3, ""),
    ):
        done = chatlake(command, "--limit", str(limit), "--format", style)
        assert done.code == 0
        assert [line for line in done.err.splitlines() if "shown" in line] == [said][: bool(said)]
        assert "not shown" not in done.out


@pytest.mark.usefixtures("_lake")
def test_words_beyond_ten_are_named(chatlake: CommandLine) -> None:
    """One argument of 12 words: the last two are not searched for, and the command names them."""
    done = chatlake("search", " ".join(WORDS))
    assert [line for line in done.err.splitlines() if "not searched for" in line] == [
        f"not searched for: {word}; one argument may have 10 words" for word in WORDS[10:]
    ]
    assert "not searched for" not in chatlake("search", " ".join(WORDS[:10])).err


@pytest.mark.parametrize("style", ["table", "csv", "jsonl", "line"])
def test_a_question_with_a_limit_says_that_there_is_more(
    chatlake: CommandLine, tmp_path: Path, style: str
) -> None:
    """Of three examples one, two or three are shown: the first two times a line says so."""
    store_three_examples(tmp_path)
    for limit, said in ((1, "1 row shown, and there"), (2, "2 rows shown, and there"), (3, "")):
        done = chatlake("ask", "examples", "--limit", str(limit), "--format", style)
        assert done.code == 0
        assert done.out.count("All of this is a reply") == limit
        assert [line[: len(said)] for line in done.err.splitlines() if "shown" in line] == (
            [said] if said else []
        )
    query = chatlake("ask", "examples", "--limit", "2", "--show-sql")
    assert query.out.rstrip().endswith("LIMIT 2")


def test_parquet_that_ends_at_the_limit_says_so(chatlake: CommandLine, tmp_path: Path) -> None:
    """Of three examples two or four may be written: the first time there may be more."""
    store_three_examples(tmp_path)
    words = ["--format", "parquet", "--output", "examples.parquet", "--limit"]
    for limit, said in ((2, ["2 rows written, and there may be more: see --limit"]), (4, [])):
        done = chatlake("ask", "examples", *words, str(limit))
        assert done.code == 0
        assert pq.read_table(tmp_path / "examples.parquet").num_rows == min(limit, 3)
        assert [line for line in done.err.splitlines() if "more" in line] == said


def store_three_examples(folder: Path) -> None:
    """Make a lake of three completions that are examples to train with."""
    write_config(folder, "http://127.0.0.1:9/v1")
    long_reply = reply("All of this is a reply of more than forty characters.")
    store(
        Lake.open(folder / "lake", create=True),
        [(completion(f"chatcmpl-{n}", "2026-02-01T10:00", long_reply), []) for n in range(3)],
    )


@pytest.mark.usefixtures("_lake")
@pytest.mark.parametrize("limit", ["-3", "99999999999999999999"])
@pytest.mark.parametrize(
    "words",
    [
        ["runs"],
        ["failures"],
        ["search", "words"],
        ["ask", "system-prompts"],
        ["export", "raw", "--output", "out.jsonl"],
        ["export", "parquet", "--output", "out"],
    ],
    ids=" ".join,
)
def test_a_limit_that_cannot_be_kept_is_refused(
    chatlake: CommandLine, words: list[str], limit: str
) -> None:
    """It is an error of the command line, and says nothing of the lake."""
    done = chatlake(*words, f"--limit={limit}")
    assert (done.code, done.out) == (2, "")
    assert "--limit" in done.err
    assert "lake" not in done.err.replace("chatlake", "")
