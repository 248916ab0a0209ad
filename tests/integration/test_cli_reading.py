"""What an analyst types without SQL: `ask`, `show`, `runs`, `failures`; and `sql --format line`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chatlake.cli.conversation_text import conversation_lines
from chatlake.lake.catalog.conversation import StoredConversation
from chatlake.lake.catalog.ready_questions import ready_questions
from chatlake.simulator import Faults, Scenario, running
from tests.command_line import CommandLine
from tests.support import KEY_VARIABLE, NOW, backup, settings_for, waiting_briefly


@dataclass(frozen=True)
class Stored:
    """A backed-up account: its folder, what the API holds, the ids that failed."""

    folder: Path
    truth: dict[str, dict[str, Any]]
    failed: set[str]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """Back up an account once, with one completion whose messages are missing."""
    folder = tmp_path_factory.mktemp("reading")
    scenario = Scenario(completions=120, seed=5, now=NOW, image_share=0.2)
    with running(scenario, Faults(missing=0.02)) as server, waiting_briefly():
        report = backup(settings_for(folder, server.base_url))
        truth = {each["completion"]["id"]: each for each in server.truth()}
    failures = report.sources[0].failures
    assert failures
    return Stored(folder, truth, {failure.completion_id for failure in failures})


@pytest.fixture
def chatlake(chatlake: CommandLine, stored: Stored, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Run commands where the lake is; without its source's key, which reading does not need."""
    monkeypatch.chdir(stored.folder)
    monkeypatch.delenv(KEY_VARIABLE)
    return chatlake


NEEDED = {"by-key": ("--key", "team"), "compare": ("--key", "team"), "mentions": ("--words", "the")}


@pytest.mark.sample(4)
@pytest.mark.parametrize("name", ready_questions())
def test_what_a_narrow_terminal_shows_is_in_the_answer(chatlake: CommandLine, name: str) -> None:
    """The columns that a question names as important are columns of its answer."""
    header = chatlake("ask", name, *NEEDED.get(name, ()), "--format", "csv").out.splitlines()[0]
    assert set(ready_questions()[name].important) <= set(header.split(","))


@pytest.mark.sample(4)
@pytest.mark.parametrize("name", ready_questions())
def test_every_ready_question_has_an_answer(chatlake: CommandLine, name: str) -> None:
    """Each gives rows; with every option it takes it runs too, and what it shows it runs."""
    needed = NEEDED.get(name, ())
    plain = chatlake("ask", name, *needed, "--json")
    takes = {parameter.name for parameter in ready_questions()[name].parameters}
    options = [
        word
        for option, value in (("since", "2020-01-01"), ("until", "2100-01-01"), ("model", "%"),
                              ("source", "openai"), ("limit", "1000"))
        if option in takes
        for word in (f"--{option}", value)
    ]  # fmt: skip
    full = chatlake("ask", name, *needed, *options, "--json")
    shown = chatlake("ask", name, *needed, "--show-sql")

    assert plain.code == full.code == shown.code == 0
    assert plain.json == full.json[: len(plain.json)]
    # Nobody refuses or shows a system prompt in every account; the others have rows here.
    assert plain.json or name in ("refusals", "tools")
    assert chatlake("sql", shown.out, "--json").json == plain.json


def test_a_ready_question_counts_what_the_views_count(chatlake: CommandLine) -> None:
    """The sum over days and models is the number of completions; a day's filter is a day."""
    rows = chatlake("ask", "usage", "--json").json
    (count,) = chatlake("sql", "SELECT count(*) AS n FROM completions", "--json").json
    day = rows[0]["day"]
    one = chatlake("ask", "usage", "--since", day, "--until", day, "--json").json

    assert sum(row["completions"] for row in rows) == count["n"]
    assert one == [row for row in rows if row["day"] == day]


def test_the_questions_are_listed_with_their_options(chatlake: CommandLine) -> None:
    """Without a name, all questions are listed, for people and for programs."""
    text = chatlake("ask").out
    listed = chatlake("ask", "--json").json

    assert [each["name"] for each in listed] == list(ready_questions())
    assert all(each["name"] in text and each["description"] in text for each in listed)
    assert chatlake("ask", "nonsense").code == 2


def test_a_conversation_shows_every_text_call_and_image(
    chatlake: CommandLine, stored: Stored
) -> None:
    """Each completion's texts, refusals, names of tools and image marks stand in `show`."""
    every = {name: _messages(truth) for name, truth in stored.truth.items()}
    kinds = (
        [name for name in every if any(map(_calls, every[name]))],
        [name for name in every if sum(map(_images, every[name]))],
        list(every),
    )
    assert all(kinds)
    for completion_id in {name for kind in kinds for name in kind[:8]} - stored.failed:
        shown = chatlake("show", completion_id)
        flat = " ".join(shown.out.split())

        assert shown.code == 0
        for message in every[completion_id]:
            for text in _texts(message):
                assert " ".join(text.split()) in flat
            for call in _calls(message):
                assert f"→ {call[call['type']]['name']}" in flat
        assert shown.out.count("[image ") == sum(map(_images, every[completion_id]))


def _messages(truth: dict[str, Any]) -> list[dict[str, Any]]:
    return [*truth["messages"], *(each["message"] for each in truth["completion"]["choices"])]


def _calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    return message.get("tool_calls") or []


def _images(message: dict[str, Any]) -> int:
    return sum(part["type"] == "image_url" for part in message.get("content_parts") or ())


def _texts(message: dict[str, Any]) -> list[str]:
    parts = message.get("content_parts") or ()
    texts = [part["text"] for part in parts if part.get("text")] or [message.get("content") or ""]
    return [text.replace("\t", r"\t") for text in texts if text and "\r" not in text]


def test_one_message_of_a_conversation(chatlake: CommandLine, stored: Stored) -> None:
    """ID#N and browse's ID#mN show that message alone; another number is an error that counts."""
    found = chatlake(
        "sql", "SELECT completion_id, message_count AS n FROM completions "
        "WHERE message_count > 2 ORDER BY ALL LIMIT 1", "--json"
    ).json[0]  # fmt: skip
    one = chatlake("show", f"{found['completion_id']}#1", "--json")
    same = chatlake("show", f"{found['completion_id']}#m1", "--json")
    beyond = chatlake("show", f"{found['completion_id']}#{found['n'] + 5}")

    assert [message["message_index"] for message in one.json["messages"]] == [1]
    assert one.json == same.json
    assert (beyond.code, f"has no message #{found['n'] + 5}" in beyond.err) == (1, True)
    assert chatlake("show", f"{found['completion_id']}#x").code == 2
    assert stored.truth[found["completion_id"]]


def test_a_completion_that_is_not_there_is_told_from_one_that_failed(
    chatlake: CommandLine, stored: Stored
) -> None:
    """Both end with 1; an open gap names its reason or shows that the messages are missing."""
    unknown = chatlake("show", "chatcmpl-nowhere", "--json")
    failed = chatlake("show", min(stored.failed))

    assert (unknown.code, unknown.json["error"]["kind"]) == (1, "not_in_lake")
    assert "could not be fetched yet" in failed.out + failed.err


def test_the_ledger_is_shown_newest_first(chatlake: CommandLine, stored: Stored) -> None:
    """`runs` has the run with its figures, `failures` each open gap with its reason."""
    (run,) = chatlake("runs", "--json").json
    gaps = chatlake("failures", "--json").json
    (counted,) = chatlake("sql", "SELECT count(*) AS n FROM failures", "--json").json

    assert (run["status"], run["listed"]) == ("incomplete", 120)
    assert stored.failed == {gap["completion_id"] for gap in gaps}
    assert len(gaps) == counted["n"] == run["failed"]
    assert chatlake("failures", "--source", "openai", "--json").json == gaps
    assert len(chatlake("failures", "--limit", "1", "--format", "csv").out.splitlines()) == 2


def test_a_line_for_each_column(chatlake: CommandLine) -> None:
    """`--format line` shows every column, NULL as NULL, texts with their lines below each other."""
    shown = chatlake("sql", "SELECT 1 AS a, NULL AS long_name, 'x' || chr(10) || 'y' AS t",
                     "--format", "line")  # fmt: skip

    assert shown.out == "        a = 1\nlong_name = NULL\n        t = x\n            y\n"


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("SELECT latency_ms FROM completions", "does not store how long"),
        ("SELECT avg(duration) FROM messages", "does not store how long"),
        ("SELECT price FROM completions", "does not store prices"),
        ("SELECT total_cost_usd FROM completions", "does not store prices"),
    ],
)
def test_what_the_api_does_not_store_is_said(chatlake: CommandLine, query: str, hint: str) -> None:
    """A question for latency or prices says why there is no such column."""
    asked = chatlake("sql", query)

    assert asked.code == 2
    assert hint in asked.err


@pytest.mark.parametrize(
    "words",
    [
        ("sql", "SELECT model, nothing_like_it FROM completions"),
        ("sql", "FROM nothing_like_it"),
        ("export", "raw", "--output", "x.jsonl", "--where", "model = 'x' OR nothing_like_it"),
        ("export", "finetune", "--output", "x.jsonl", "--where", "model = 1\nAND nothing_like_it"),
    ],
)
def test_a_person_sees_the_place_of_an_error_and_a_program_two_lines(
    chatlake: CommandLine, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """On a terminal DuckDB's line and caret stand below the message, the caret below the place."""
    monkeypatch.setenv("NO_COLOR", "1")
    piped = chatlake(*words).err.splitlines()
    monkeypatch.setattr("chatlake.cli.output.sys.stderr.isatty", lambda: True)
    shown = chatlake(*words).err.splitlines()

    assert len(piped) <= 2
    assert shown[0] == piped[0]
    assert "LINE " in shown[1]
    assert words[-1].splitlines()[-1] in shown[1]
    assert shown[2].index("^") == shown[1].index("nothing_like_it")


HOSTILE = "\x1b]0;owned\x07 \x1b[2Jgone \u202egnp.exe"


def test_outside_text_is_escaped_everywhere_on_the_terminal() -> None:
    """Whatever field holds control characters or marks of direction, none reaches the screen."""
    completion = {
        "source": "openai", "completion_id": HOSTILE, "created_at": None, "created_date": HOSTILE,
        "model": HOSTILE, "message_count": 1, "image_count": 1, "total_tokens": 3,
        "prompt_tokens": None, "cached_tokens": None, "completion_tokens": 3,
        "reasoning_tokens": None, "finish_reasons": [HOSTILE], "metadata": {HOSTILE: HOSTILE},
        "deleted_at": None, "choice_count": 1,
    }  # fmt: skip
    calls = [{"id": HOSTILE, "function": {"name": HOSTILE, "arguments": HOSTILE}}]
    message = {
        "message_index": 0, "role": HOSTILE, "name": HOSTILE, "direction": "output",
        "choice_index": 0, "finish_reason": HOSTILE, "tool_call_id": HOSTILE, "text": HOSTILE,
        "refusal": HOSTILE, "tool_calls": json.dumps(calls),
    }  # fmt: skip
    parts = (
        {"text": HOSTILE, "type": "text"},
        {"text": None, "type": "image_url", "image_sha256": None, "image_url": HOSTILE},
        {"text": None, "type": "image_url", "image_sha256": "ab", "media_type": HOSTILE,
         "image_bytes": 3, "image_url": None},
        {"text": None, "type": HOSTILE},
    )  # fmt: skip
    conversation = StoredConversation(completion, (message,), {0: parts}, {}, ())
    text = "\n".join(conversation_lines(conversation, lambda shown, _style: shown))

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert text.count(r"\x1b]0;owned\x07") >= 14


def test_a_search_finds_what_sql_finds(chatlake: CommandLine) -> None:
    """All conversations with a word, newest first, each with the message that `show` opens."""
    found = chatlake("search", "order", "--limit", "1000", "--json").json
    expected = chatlake(
        "sql", "SELECT DISTINCT completion_id FROM messages "
        "WHERE contains(lower(concat_ws(' ', text, refusal, tool_calls)), 'order')", "--json"
    ).json  # fmt: skip
    first = found["completions"][0]
    shown = chatlake("show", f"{first['completion_id']}#{first['message_index']}")

    assert {row["completion_id"] for row in found["completions"]} == {
        row["completion_id"] for row in expected
    }
    moments = [row["created_at"] for row in found["completions"]]
    assert moments == sorted(moments, reverse=True)
    assert (found["complete"], found["days_not_searched"]) == (True, 0)
    assert "order" in shown.out.lower()


def test_a_search_says_what_it_has_not_searched(chatlake: CommandLine) -> None:
    """Few wanted: the newest only, with the number of days that were left; nothing: all days."""
    few = chatlake("search", "a", "--limit", "1")
    nothing = chatlake("search", "no-such-word-anywhere")
    days = chatlake("search", "a", "--limit", "1", "--json").json

    assert "1 conversation shown, and there are more" in few.err
    assert days["days_not_searched"] > 0
    assert days["newest_day"] == days["oldest_day"]
    assert "0 conversations found in all" in nothing.err
    assert (nothing.code, nothing.out) == (0, "")


@pytest.mark.parametrize("words", [(" ",), ("a", "--since", "2020"), ("a", "--limit", "0")])
def test_a_search_that_cannot_be_meant_is_refused(
    chatlake: CommandLine, words: tuple[str, ...]
) -> None:
    """No words, or an option of another kind: exit code 2."""
    assert chatlake("search", *words).code == 2
