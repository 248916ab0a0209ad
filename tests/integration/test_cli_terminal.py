"""On a terminal nothing of what a service sent acts; in a pipe it is exact."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import CommandLine, Ended, ended, start
from tests.echo_server import Reply, Request, completion, page, serving
from tests.support import write_config

ODD = (
    "\x1b]0;title\x07 \x1b[2J \x08\x7f \x80\x9b\x9f \u061c\u200e\u200f "
    "\u202a\u202b\u202c\u202d\u202e \u2066\u2067\u2068\u2069 end"
)
TEXT = f"{ODD}\rsecond\nthird\tcell"
FORMATS = ("table", "csv", "json", "jsonl", "markdown")
QUERY = "SELECT content, raw FROM messages WHERE completion_id = 'chatcmpl-good'"
_COLOUR = re.compile("\x1b\\[[0-9;]*m")


@pytest.fixture
def lake(chatlake: CommandLine, tmp_path: Path) -> Iterator[None]:
    """Make a lake whose texts, ids, models and failures would steer a terminal."""

    def answer(request: Request) -> Reply:
        if "chat/completions?" in request.path:
            rows = [completion(name, TEXT) for name in ("chatcmpl-good", f"bad{ODD}", "bad-2")]
            rows[0]["model"] = ODD
            return Reply(200, page(*rows))
        if "good" in request.path:
            return Reply(200, page())
        return Reply(400, json.dumps({"error": ODD}).encode())

    with serving(answer) as server:
        write_config(tmp_path, server.base_url)
        chatlake("backup")
        yield


def on_terminal(folder: Path, *words: str) -> str:
    """Run a command whose outputs are a terminal; returns what it would obey, colours left out."""
    ours, theirs = pty.openpty()
    # A bar is drawn over itself, which is its own to do; what is asked for is on standard output.
    errors = subprocess.PIPE if words[0] == "verify" else theirs
    process = start(folder, *words, env={"COLUMNS": "200"}, stdout=theirs, stderr=errors)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the end of a terminal is an error of Linux's
        while piece := os.read(ours, 65536):
            shown += piece
    os.close(ours)
    ended(process)
    return _COLOUR.sub("", shown.decode().replace("\r\n", "\n"))


def assert_nothing_acts(shown: str) -> None:
    """Text and line ends are all that is left."""
    assert shown.strip()
    odd = {character for character in shown if re.match("[\x00-\x09\x0b-\x1f\x7f-\x9f]", character)}
    assert not odd | (set(ODD) & set(shown) - set(map(chr, range(32, 127))))


@pytest.mark.sample(4)
@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize(
    "words",
    [
        *(("sql", QUERY, "--format", name) for name in FORMATS),
        ("sql", QUERY, "--format", "csv", "--csv-safe"),
        ("sql", QUERY, "--format", "csv", "--output", "/dev/stdout"),
        ("sql", f"SELECT 1 AS \"{ODD[:6]}\"", "--format", "csv"),
        ("sql", f"EXPLAIN SELECT '{ODD[:40]}' FROM messages"),
        ("sql", f"SELECT nothing_like_{ODD[:40]}"),
        ("sql", "FROM failures", "--format", "csv"),
        ("export", "raw", "--output", "-"),
        ("status",),
        ("status", "--json"),
        ("verify",),
        ("doctor",),
        ("doctor", "--json"),
        ("backup", "--debug", "--no-progress"),
        ("backup", "--json", "--no-progress"),
    ],
    ids=lambda words: " ".join(words[:1] + words[2:]) if isinstance(words, tuple) else None,
)  # fmt: skip
def test_nothing_acts_on_a_terminal(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Every command and format shows control characters and marks of direction as escapes."""
    shown = on_terminal(tmp_path, *words)
    assert_nothing_acts(shown)
    if words[0] == "sql" and QUERY in words:
        assert re.search(r"\\(x9b|u009b)", shown)


def piped(chatlake: CommandLine, *words: str) -> Ended:
    """Run `chatlake sql` with its outputs in pipes."""
    run = chatlake("sql", QUERY, *words)
    assert run.code == 0, run.err
    return run


@pytest.mark.usefixtures("lake")
def test_json_on_a_terminal_is_the_same_value(chatlake: CommandLine, tmp_path: Path) -> None:
    """What is escaped there still means the same, so that copying it is no loss."""
    shown = on_terminal(tmp_path, "sql", QUERY, "--format", "jsonl")
    assert json.loads(shown) == json.loads(piped(chatlake, "--format", "jsonl").out)
    exported = on_terminal(tmp_path, "export", "raw", "--output", "-")
    lines = [json.loads(line) for line in exported.splitlines() if line.startswith("{")]
    assert TEXT in [line["completion"]["choices"][0]["message"]["content"] for line in lines]


@pytest.mark.usefixtures("lake")
def test_pipe_is_exact(chatlake: CommandLine) -> None:
    """Other programs get what was stored, character by character."""
    for name in ("json", "jsonl"):
        (row,) = _rows(piped(chatlake, "--format", name).out)
        assert row["content"] == TEXT
    ((_, _), (content, _)) = csv.reader(io.StringIO(piped(chatlake, "--format", "csv").out))
    assert content.replace("\r\n", "\n") in (TEXT, TEXT.replace("\r", "\n"))


def _rows(text: str) -> list[dict[str, Any]]:
    document = json.loads(text)
    return document if isinstance(document, list) else [document]


FORMULAS = ("=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠x")


@pytest.mark.sample(1)
@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize("formula", FORMULAS)
def test_csv_safe_holds_no_formula(chatlake: CommandLine, formula: str) -> None:
    """A text that a spreadsheet would compute gets an apostrophe, whatever column it stands in."""
    written = "|| chr(10) ||".join(f"'{part}'" for part in formula.split("\n"))
    written = written.replace("\t", "'|| chr(9) ||'").replace("\r", "'|| chr(13) ||'")
    query = f"SELECT {written} AS text, [{written}] AS list, -5 AS number, -0.5::DOUBLE AS half, NULL AS none, 'a' AS a"
    plain = chatlake("sql", query, "--format", "csv")
    safe = chatlake("sql", query, "--format", "csv", "--csv-safe")
    assert plain.code == safe.code == 0, safe.err
    head, row = csv.reader(io.StringIO(safe.out, newline=""))
    assert row[0] == "'" + formula
    assert row[2:] == ["-5", "-0.5", "", "a"]
    assert head[0] == "text"
    _, row = csv.reader(io.StringIO(plain.out, newline=""))
    assert row[0] == formula


@pytest.mark.usefixtures("lake")
def test_csv_safe_quotes_what_other_separators_would_part(chatlake: CommandLine) -> None:
    """Where cells are parted by semicolons, none begins within a text."""
    run = chatlake("sql", "SELECT 'a;=1+1' AS \"=x\"", "--format", "csv", "--csv-safe")
    assert run.out == '"\'=x"\n"a;=1+1"\n'


@pytest.mark.parametrize("words", [(), ("--format", "json"), ("--json",)])
def test_csv_safe_needs_csv(chatlake: CommandLine, words: tuple[str, ...]) -> None:
    """With another format it would do nothing, so it is refused."""
    run = chatlake("sql", "SELECT 1", "--csv-safe", *words)
    assert run.code == 2
    assert "--csv-safe is for CSV" in run.err
