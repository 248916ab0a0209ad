"""The files of a table are listed, and figures mean the same in every command."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatlake.backup.run import BackupReport
from chatlake.bootstrap.backup import open_lake
from chatlake.cli import backup_summary
from chatlake.simulator import Scenario, running
from tests.command_line import CommandLine
from tests.support import NOW, backup, rows, settings_for


def test_files_are_listed_with_what_they_hold(chatlake: CommandLine, tmp_path: Path) -> None:
    """Absolute paths, rows, bytes and partition; together they are the table."""
    with running(Scenario(completions=20, seed=5, days=2, now=NOW)) as server:
        settings = settings_for(tmp_path, server.base_url)
        backup(settings)
    document = chatlake("files", "messages", "--json").json
    found = document["files"]
    place = Path(settings.lake_location) / "messages"
    assert {file["path"] for file in found} == set(map(str, place.rglob("*.parquet")))
    assert (
        sum(file["rows"] for file in found) == rows(settings, "SELECT count(*) FROM messages")[0][0]
    )
    for file in found:
        assert Path(file["path"]).stat().st_size == file["bytes"]
        assert f"source={file['source']}/created_date={file['created_date']}/" in file["path"]
    assert document["commit"] == open_lake(settings).state.number

    assert chatlake("files", "messages", "--paths").out.splitlines() == [
        file["path"] for file in found
    ]
    shown = chatlake("files", "messages").out.splitlines()
    assert shown[0].split()[::2] == ["rows", "bytes", "source", "created_date", "path"]
    assert [line.split()[-1] for line in shown[2:]] == [file["path"] for file in found]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["mesages"], "did you mean 'messages'?"),
        (["messages", "--paths", "--json"], "cannot be combined"),
    ],
)
def test_a_table_that_is_not_there_is_named(
    chatlake: CommandLine, tmp_path: Path, words: list[str], told: str
) -> None:
    """Exit code 2, with the nearest table, before any lake is opened."""
    done = chatlake("files", *words)
    assert done.code == 2
    assert told in done.err


def test_figures_mean_the_same_everywhere(chatlake: CommandLine, tmp_path: Path) -> None:
    """backup, the ledger, status, daily_usage and the tables: messages, parts and images agree."""
    scenario = Scenario(completions=60, seed=9, days=2, now=NOW, image_share=0.3)
    with running(scenario) as server:
        settings = settings_for(tmp_path, server.base_url)
        (source,) = backup(settings).sources
        again = backup(settings)
    assert again.sources[0].run.messages == 0
    counted = rows(
        settings,
        "SELECT (SELECT count(*) FROM completions), (SELECT count(*) FROM messages), "
        "(SELECT count(*) FROM content_parts), (SELECT count(*) FROM image_parts), "
        "(SELECT count(*) FROM images)",
    )[0]
    run = source.run
    assert counted[:4] == (run.new, run.messages, run.content_parts, run.images)
    usage = "SELECT sum(completions), sum(messages), sum(images) FROM daily_usage"
    assert rows(settings, usage) == [(counted[0], counted[1], counted[3])]
    ledger = "SELECT sum(messages), sum(content_parts), sum(images) FROM runs"
    assert rows(settings, ledger) == [counted[1:4]]
    (shown,) = chatlake("status", "--json").json["sources"]
    figures = ("completions", "messages", "content_parts", "images")
    assert tuple(shown[name] for name in figures) == (*counted[:3], counted[4])
    assert f"{counted[4]} stored images" in chatlake("status").out


def test_a_second_backup_says_that_it_only_checked(chatlake: CommandLine, tmp_path: Path) -> None:
    """Completions that the lake already had are not reported as new."""
    with running(Scenario(completions=20, seed=5, days=0.2, now=NOW)) as server:
        settings = settings_for(tmp_path, server.base_url)
        backup(settings)
        again = backup(settings)
        server.grow(3)
        grown = backup(settings)
    assert again.sources[0].run.unchanged == 20
    assert headline(again) == "20 completions checked again, unchanged,"
    assert headline(grown) == "23 completions, 20 of them checked again, unchanged,"


def headline(report: BackupReport) -> str:
    """Return the figure of the summary's first line."""
    return backup_summary._headline_figure([source.run for source in report.sources])
