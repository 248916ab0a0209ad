"""`redact`: what it names is nowhere in the lake, and a lake stays comparable with its source."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from chatlake.bootstrap.backup import open_lake
from chatlake.config import load_settings
from chatlake.verify.run import verify
from tests.command_line import CommandLine
from tests.lake_bytes import files_with
from tests.planted import Planted, planted
from tests.support import backup, figures, rows, settings_for

CARD, EMAIL, TOKEN = "4111111111111111", "jane.roe@example.com", "ghp_" + "a1B2" * 9
ESCAPED = CARD.replace("4", r"\u0034", 1)
PATTERNS = {"patterns": ["email", "card", "keys"]}


@pytest.fixture
def source() -> Iterator[Planted]:
    """Run an empty source."""
    with planted() as source:
        yield source


def completion(number: int = 1, **more: Any) -> bytes:
    """Return a completion with an answer that says nothing of note."""
    whole = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1_760_000_000 + number,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}}],
        **more,
    }
    return json.dumps(whole).encode()


def message(message_id: str = "m-1", /, **more: Any) -> bytes:
    """Return a message."""
    return json.dumps({"id": message_id, "role": "user", "content": "Hello.", **more}).encode()


def fill(source: Planted) -> None:
    """Plant a card number, an address and a token in every place that an object has."""
    arguments = json.dumps({"card": CARD, "deep": json.dumps({EMAIL: int(CARD)})})
    embedded = base64.b64encode(f"pay with {CARD}".encode()).decode()
    source.add(
        completion(
            1,
            input_user=EMAIL,
            metadata={"note": f"card {CARD}", EMAIL: TOKEN},
            tools=[{"type": "function", "function": {"name": "f", "description": CARD}}],
            choices=[
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": f"Yours is 4111-1111-1111-1111, {EMAIL}.",
                        "refusal": f"not {CARD}",
                        "tool_calls": [
                            {"id": "c", "function": {"name": "f", "arguments": arguments}},
                            {"id": "d", "function": {"name": "f", "arguments": arguments[:30]}},
                        ],
                    },
                }
            ],
        ),
        message(name=EMAIL, content=f"My card: {CARD} \ud83d").replace(b"4111", rb"\u00341\u00311"),
        message(
            "m-2",
            content_parts=[
                {"type": "text", "text": TOKEN},
                {"type": "image_url", "image_url": {"url": f"data:text/plain;base64,{embedded}"}},
                {"type": "image_url", "image_url": {"url": f"data:,card%20{CARD}"}},
            ],
        ),
    )
    source.add(completion(2), message())
    source.refusals["chatcmpl-2"] = json.dumps({"error": {"message": f"bad {CARD}"}}).encode()


def test_nothing_that_was_planted_is_in_any_byte(source: Planted, tmp_path: Path) -> None:
    """Not in raw, columns, history, images or failures; and the lake is sound."""
    fill(source)
    settings = settings_for(tmp_path, source.base_url, redact=PATTERNS)
    backup(settings)
    source.completions["chatcmpl-1"] = source.completions["chatcmpl-1"].replace(b"Yours", b"Your")
    report = backup(settings, full=True)

    lake = open_lake(settings)
    assert figures(report)["changed"] == 1
    assert rows(settings, "SELECT count(*) FROM completion_history WHERE change = 'created'")
    assert (
        files_with(lake, CARD, ESCAPED, "1111-1111", EMAIL, TOKEN, EMAIL.split("@", maxsplit=1)[0])
        == set()
    )
    assert verify(lake).is_sound
    ((arguments,),) = rows(
        settings, "SELECT arguments FROM tool_calls WHERE tool_call_id = 'c' AND direction='output'"
    )
    deep = json.loads(json.loads(arguments)["deep"])
    assert deep == {"[redacted:email]": "[redacted:card]"}
    ((detail,),) = rows(settings, "SELECT detail FROM failures")
    assert "bad [redacted:card]" in detail


def test_a_run_that_repeats_finds_everything_unchanged(source: Planted, tmp_path: Path) -> None:
    """The digest is that of what is stored, and so is what a full sweep compares."""
    for number in range(3):
        source.add(completion(number, metadata={"card": CARD}), message(content=EMAIL))
    settings = settings_for(tmp_path, source.base_url, redact=PATTERNS)

    first, second = backup(settings), backup(settings, full=True)

    assert (figures(first)["new"], figures(second)["unchanged"]) == (3, 3)
    assert first.sources[0].run.redacted == {"card": 3, "email": 3}
    assert second.sources[0].run.redacted == {}
    assert rows(settings, "SELECT redacted['card'] FROM runs ORDER BY started_at") == [
        (3,), (None,),
    ]  # fmt: skip


def test_rules_that_come_later_rewrite_nothing(
    source: Planted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What the lake holds stays, a warning says so, and only what changes is stored redacted."""
    for number in range(3):
        source.add(completion(number, metadata={"card": CARD}), message(content=EMAIL))
    backup(settings_for(tmp_path, source.base_url))
    settings = settings_for(tmp_path, source.base_url, redact=PATTERNS)

    second = backup(settings, full=True)
    edited = source.completions["chatcmpl-1"].replace(b"Hello", b"Goodbye")
    source.completions["chatcmpl-1"] = edited
    third = backup(settings, full=True)

    assert figures(second)["unchanged"] == 3
    assert "`redact` has changed since the last run" in caplog.text
    assert (figures(third)["changed"], figures(third)["unchanged"]) == (1, 2)
    stored = rows(settings, "SELECT completion_id, metadata['card'] FROM completions ORDER BY 1")
    assert [card for _, card in stored] == [CARD, "[redacted:card]", CARD]
    assert rows(settings, "SELECT count(*) FROM messages WHERE content = '[redacted:email]'")
    assert verify(open_lake(settings)).is_sound


def test_fields_are_dropped_and_hashed(
    source: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dropped field is NULL; equal values have equal hashes under one key, and others another."""
    for number, user in enumerate(["bob-4711", "bob-4711", "eve-4712"]):
        source.add(
            completion(number, input_user=user, metadata={"a.b": user, "team": "x"}),
            message(name=user),
        )
    redact = {
        "drop": ["metadata.a.b"],
        "hash": ["input_user", "messages.name"],
        "hash_key": "${HASH_KEY}",
    }
    found = []
    for key in ("k" * 16, "l" * 16):
        monkeypatch.setenv("HASH_KEY", key)
        settings = settings_for(tmp_path / f"with-{key[0]}", source.base_url, redact=redact)
        backup(settings)
        found.append(rows(settings, "SELECT input_user FROM completions ORDER BY completion_id"))
        assert files_with(open_lake(settings), "bob-4711", "eve-4712") == set()
        assert files_with(open_lake(settings), key) == set()
        assert rows(settings, "SELECT DISTINCT metadata['a.b'], metadata['team'] FROM completions"
        ) == [(None, "x")]  # fmt: skip
        joined = "SELECT count(*) FROM completions c JOIN messages m ON c.input_user = m.name"
        assert rows(settings, joined) == [(5,)]

    first, second = found
    assert first[0] == first[1] != first[2]
    assert first[0] != second[0]


def test_fields_of_messages_that_the_completion_repeats(source: Planted, tmp_path: Path) -> None:
    """OGX lists the input in the completion too: a field of messages is redacted there as well."""
    said = {"role": "user", "name": "bob-4711", "content": "words-of-bob"}
    source.add(completion(input_messages=[said]), message(**said))
    redact = {"drop": ["messages.name"], "hash": ["messages.content"], "hash_key": "${HASH_KEY}"}
    with mock.patch.dict(os.environ, {"HASH_KEY": "k" * 16}):
        settings = settings_for(tmp_path, source.base_url, redact=redact)
        backup(settings)
    assert files_with(open_lake(settings), "bob-4711", "words-of-bob") == set()
    assert rows(settings, "SELECT count(*) FROM completions WHERE raw LIKE '%input_messages%'") == [
        (1,)
    ]


@pytest.mark.parametrize(
    ("redact", "found"),
    [
        ({"hash": ["metadata.team"]}, 2),
        ({"expressions": {"x": "supp"}}, 2),
        # Nothing is left to compare: this server ignores the filter, and so all of them come.
        ({"drop": ["metadata.team"]}, 3),
        ({"drop": ["metadata"]}, 4),
    ],
)
def test_a_filter_by_metadata_that_is_redacted(
    source: Planted, tmp_path: Path, redact: dict[str, Any], found: int
) -> None:
    """It selects by what the API sent, though that never reaches the lake."""
    for number, metadata in enumerate(
        ({"team": "support"}, {"team": "support", "a": "b"}, {"team": "sales"}, {"a": "b"})
    ):
        source.add(completion(number, metadata=metadata), message())
    rules = redact | ({"hash_key": "${HASH_KEY}"} if "hash" in redact else {})
    with mock.patch.dict(os.environ, {"HASH_KEY": "k" * 16}):
        settings = settings_for(
            tmp_path, source.base_url, redact=rules, select={"metadata": {"team": "support"}}
        )
        assert figures(backup(settings))["new"] == found
    assert files_with(open_lake(settings), "support") == set()


def test_images_are_dropped(source: Planted, tmp_path: Path) -> None:
    """Neither the bytes nor the link of an image reach the lake; its part stands."""
    pixel = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"-pixels-of-a-secret-").decode()
    parts = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pixel}"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/secret.png"}},
        {"type": "text", "text": "look"},
    ]
    source.add(completion(), message(content_parts=parts))
    settings = settings_for(tmp_path, source.base_url, redact={"images": "drop"})

    report = backup(settings)

    assert files_with(open_lake(settings), pixel, b"-pixels-of-a-secret-", "secret.png") == set()
    assert rows(settings, "SELECT image_url FROM image_parts") == [("[redacted:image]",)] * 2
    assert rows(settings, "SELECT count(*) FROM images") == [(0,)]
    assert report.sources[0].run.redacted == {"image": 2}


@pytest.mark.parametrize("redacted_before", [True, False])
def test_a_redacted_lake_agrees_with_its_source(
    source: Planted,
    tmp_path: Path,
    chatlake: CommandLine,
    *,
    redacted_before: bool,
) -> None:
    """`verify --against-api` compares what the source sends as the rules leave it."""
    for number in range(2):
        source.add(completion(number, metadata={"card": CARD}), message(content=EMAIL))
    before = {"redact": PATTERNS} if redacted_before else {}
    backup(settings_for(tmp_path, source.base_url, retention="3650d", **before))
    settings_for(tmp_path, source.base_url, retention="3650d", redact=PATTERNS)

    done = chatlake("verify", "--against-api", "--json", "--sample", "9")

    (found,) = json.loads(done.out)["sources"]
    assert (done.code, found["agreeing"], found["different"]) == (0, 2, [])


def test_a_source_has_rules_of_its_own(source: Planted, tmp_path: Path) -> None:
    """The general rules hold for a source without its own, and not for one with them."""
    source.add(completion(metadata={"card": CARD}), message())
    for folder, own, stored in (("a", None, "[redacted:card]"), ("b", {}, CARD)):
        path = settings_for(tmp_path / folder, source.base_url, redact=own).path
        path.write_text(path.read_text() + "redact: {patterns: [card]}\n")
        settings = load_settings(path)
        backup(settings)
        assert rows(settings, "SELECT metadata['card'] FROM completions") == [(stored,)]


def test_the_dry_run_shows_what_the_rules_would_find(
    source: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chatlake: CommandLine
) -> None:
    """By kind and place, with masked examples; in a redacted lake there is nothing left."""
    for number in range(2):
        source.add(completion(number, metadata={"card": CARD}), message(content=EMAIL, name="bob"))
    rules = PATTERNS | {"drop": ["messages.name"]}
    backup(settings_for(tmp_path, source.base_url))
    settings_for(tmp_path, source.base_url, redact=rules)

    shown, as_json = chatlake("redact", "--dry-run"), chatlake("redact", "--dry-run", "--json")

    found = {
        (each["table"], each["path"], each["kind"]): (each["values"], each["rows"])
        for each in json.loads(as_json.out)["found"]
    }
    assert found == {
        ("completions", "metadata.card", "card"): (2, 2),
        ("messages", "content", "email"): (2, 2),
        ("messages", "name", "dropped"): (2, 2),
    }
    assert (shown.code, as_json.code) == (0, 0)
    for text in (CARD, EMAIL, "bob"):
        assert text not in shown.out + as_json.out

    backup(settings_for(tmp_path / "new", source.base_url, redact=rules))
    monkeypatch.chdir(tmp_path / "new")
    assert "Nothing to redact" in chatlake("redact", "--dry-run").out


def test_an_export_says_that_the_lake_is_redacted(
    source: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chatlake: CommandLine
) -> None:
    """`export raw` writes what is stored, and warns that this is not all that the API sent."""
    source.add(completion(metadata={"card": CARD}), message())
    monkeypatch.chdir(tmp_path)
    backup(settings_for(tmp_path, source.base_url, redact=PATTERNS))

    done = chatlake("export", "raw", "--output", "out.jsonl")

    assert done.code == 0
    assert "the lake is redacted" in done.err
    assert CARD not in Path("out.jsonl").read_text()
    report = json.loads(Path("out.jsonl.report.json").read_text())
    assert report["redacted_sources"] == ["openai"]


def test_redact_changes_nothing_and_says_how(
    source: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chatlake: CommandLine
) -> None:
    """Without --dry-run, or without rules, it is a usage error with what to do."""
    source.add(completion(), message())
    monkeypatch.chdir(tmp_path)
    backup(settings_for(tmp_path, source.base_url))

    alone, without_rules = chatlake("redact"), chatlake("redact", "--dry-run")

    assert (alone.code, without_rules.code) == (2, 2)
    assert "chatlake forget" in alone.err
    assert "Set `redact` in the configuration" in without_rules.err
