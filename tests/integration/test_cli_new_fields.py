"""What the commands tell of fields that chatlake does not know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import CommandLine
from tests.hook import hook
from tests.nights.server import NightServer, serving
from tests.support import NOW, write_config

HOSTILE = "<b>\x1b[2J\u202ex`y"
SHOWN = "<b> [2J x`y"
EXAMPLE = "chatcmpl-first"


@pytest.fixture
def server() -> Iterator[NightServer]:
    """Serve two completions with a new field, one of them with a hostile one too."""
    with serving() as server:
        server.add(NOW, EXAMPLE, mood="new")
        server.add(NOW + 1, "chatcmpl-second", mood="new", **{HOSTILE: 1})
        yield server


@pytest.fixture
def config(server: NightServer, tmp_path: Path) -> str:
    """Write a configuration for the server."""
    return str(write_config(tmp_path, server.base_url))


def test_a_backup_tells_of_them_once(chatlake: CommandLine, config: str) -> None:
    """On standard error and in `--json`, from the first backup alone."""
    first = chatlake("backup", "--config", config, "--json")
    assert first.code == 0
    assert first.json["new_fields"] == [
        {"source": "openai", "field": "mood", "completions": 2, "completion_id": EXAMPLE},
        {"source": "openai", "field": SHOWN, "completions": 1, "completion_id": "chatcmpl-second"},
    ]
    warning = (
        f"warning: openai sends fields that chatlake does not know: mood (e.g. in {EXAMPLE}), "
        f"{SHOWN} (e.g. in chatcmpl-second). Kept in raw; `chatlake status` counts them"
    )
    assert first.err.splitlines() == [warning]
    second = chatlake("backup", "--config", config, "--json", "--full")
    assert (second.code, second.json["new_fields"], second.err) == (0, [], "")


def test_a_notification_tells_of_them_once(
    chatlake: CommandLine, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the message of the run that met them first, as words without effect, and in its values."""
    with hook(200) as taking:
        monkeypatch.setenv("TEST_HOOK", taking.url)
        with Path(config).open("a") as file:
            file.write("\nnotify: [{url: '${TEST_HOOK}', on: [complete]}]\n")
        first = chatlake("backup", "--config", config, "--json")
        chatlake("backup", "--config", config, "--full")

    met, again = taking.posted
    assert met["new_fields"] == first.json["new_fields"]
    assert (
        f"openai sends a field that chatlake does not know: `mood`, e.g. in `{EXAMPLE}`."
        in met["text"]
    )
    assert HOSTILE not in met["text"]
    assert again["new_fields"] == []
    assert "does not know" not in again["text"]


def test_the_status_counts_them(chatlake: CommandLine, config: str) -> None:
    """With the day of the first one and an example, for people and for programs."""
    chatlake("backup", "--config", config)
    text = chatlake("status", "--config", config).out
    assert "  new fields     2 that chatlake does not know; kept in raw\n" in text
    assert "    mood  2 completions since 2" in text
    assert f", e.g. {EXAMPLE}\n" in text
    assert f"    {SHOWN}  1 completion since 2" in text
    (source,) = chatlake("status", "--config", config, "--json").json["sources"]
    fields = [(f["field"], f["completions"], f["completion_id"]) for f in source["new_fields"]]
    assert fields == [("mood", 2, EXAMPLE), (SHOWN, 1, "chatcmpl-second")]


def test_a_lake_without_any_says_nothing(
    chatlake: CommandLine, server: NightServer, config: str
) -> None:
    """No line, and an empty list."""
    server.rows.clear()
    server.grow(2)
    backup = chatlake("backup", "--config", config, "--json")
    assert (backup.json["new_fields"], backup.err) == ([], "")
    assert "new fields" not in chatlake("status", "--config", config).out
    (source,) = chatlake("status", "--config", config, "--json").json["sources"]
    assert source["new_fields"] == []


def test_many_are_named_in_part(chatlake: CommandLine, server: NightServer, config: str) -> None:
    """The screen stays short: three in the warning, five in the status."""
    server.add(NOW + 2, **{f"key-{number}": 1 for number in range(40)})
    backup = chatlake("backup", "--config", config)
    assert len(backup.err.splitlines()) == 1
    assert " and 39 more. Kept in raw" in backup.err
    text = chatlake("status", "--config", config).out
    assert text.count(" since 2") == 5
    assert "    … and 37 more: chatlake status --json\n" in text


def test_the_report_names_them(chatlake: CommandLine, config: str, tmp_path: Path) -> None:
    """As something to know, with a table, every text escaped; all is still well."""
    chatlake("backup", "--config", config)
    found = chatlake("report", "--config", config, "--json").json
    assert found["verdict"]["level"] in ("good", "warn")
    (remark,) = [f for f in found["verdict"]["findings"] if "does not know" in f["headline"]]
    assert (remark["level"], remark["headline"]) == ("note", "2 fields that chatlake does not know")
    assert [f["field"] for f in found["sources"][0]["new_fields"]] == ["mood", SHOWN]
    chatlake("report", "--config", config)
    page = (tmp_path / "chatlake-report.html").read_text()
    assert "Fields that chatlake does not know" in page
    assert page.count("&lt;b&gt;") == 2
    assert "<b> [2J" not in page
    assert EXAMPLE in page


def test_the_query_for_a_new_field_finds_it(chatlake: CommandLine, config: str) -> None:
    """What the documentation says about such a field works."""
    chatlake("backup", "--config", config)
    query = "SELECT count(*) AS n FROM completions WHERE (raw -> '$.mood') IS NOT NULL"
    done = chatlake("sql", "--config", config, "--format", "json", query)
    assert json.loads(done.out) == [{"n": 2}]
