"""The recipes of tools.md for programs that the tests have installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatlake.simulator import Scenario, running
from tests.docs.markdown import recipe
from tests.support import NOW, backup, settings_for


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake at `data/lake`, of a day in February 2026."""
    folder = tmp_path_factory.mktemp("tools")
    with running(Scenario(completions=12, seed=3, days=0.2, now=NOW + 130 * 86_400)) as server:
        settings = settings_for(folder, server.base_url)
        backup(settings)
    (folder / "data").mkdir()
    (folder / "lake").rename(folder / "data" / "lake")
    from chatlake.lake import Lake

    Lake.open(folder / "data" / "lake").follow_move()
    return folder


def test_duckdb_counts_by_view_and_by_glob(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The catalogue and the files give figures."""
    monkeypatch.chdir(folder)
    exec(recipe("DuckDB"), {})
    assert "count_star()" in capsys.readouterr().out


def test_pyarrow_reads_a_day_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`created_date` is a date, so a filter on it works."""
    monkeypatch.chdir(folder)
    exec(recipe("pyarrow"), {})
    assert int(capsys.readouterr().out) > 12
