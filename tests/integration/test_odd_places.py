"""A lake in a folder whose name has characters that SQL, globs or DuckDB take for something."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from chatlake.simulator import Scenario, running
from tests.command_line import CommandLine
from tests.support import NOW, backup, settings_for

COUNT = 9


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Back up a small account once; tests move copies."""
    folder = tmp_path_factory.mktemp("stored")
    with running(Scenario(completions=COUNT, seed=6, now=NOW)) as server:
        backup(settings_for(folder, server.base_url))
    return folder


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("name", "is_private"),
    [("a\\b", False), ("a\\b", True), ("end\\", False), ("q'u\"o;te", False), ("[x]*?", False),
     ("[x]*?", True), ("é -- {a,b}", False)],
)  # fmt: skip
def test_a_lake_works_wherever_it_lies(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    stored: Path,
    tmp_path: Path,
    name: str,
    *,
    is_private: bool,
) -> None:
    """Views, results, exports, verification and merging, with the lake's catalogue or another."""
    place = shutil.copytree(stored, tmp_path / name / "x")
    monkeypatch.chdir(place)
    monkeypatch.delenv("CHATLAKE_CONFIG", raising=False)
    chatlake = CommandLine(capsys)
    if is_private:  # while another writes, a reader has a catalogue of its own
        lock = "chatlake.storage.folder.LocalStorage.lock_holder"
        monkeypatch.setattr(lock, lambda _: "somebody")

    counted = chatlake("sql", "SELECT count(*) AS n FROM completions", "--json")
    assert counted.json == [{"n": COUNT}], counted.err
    assert chatlake("sql", "SELECT count(*) FROM images, transcripts").code == 0
    parquet = chatlake("sql", "FROM runs", "--format", "parquet", "--output", "runs.parquet")
    assert parquet.code == 0, parquet.err
    assert chatlake("export", "raw", "--output", "raw.jsonl").code == 0
    assert Path("raw.jsonl").read_bytes().count(b"\n") == COUNT
    assert chatlake("verify").code == 0
    assert chatlake("sql", f"FROM read_text('{stored}/chatlake.yaml')").code == 2
    assert sorted(map(str, Path().iterdir())) == [
        "chatlake.yaml",
        "lake",
        "raw.jsonl",
        "raw.jsonl.report.json",
        "runs.parquet",
    ]


@pytest.mark.parametrize("name", ["a\\[b", "a*\\b", "a\\source=b"])
def test_what_duckdb_cannot_read_is_said_at_once(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    stored: Path,
    tmp_path: Path,
    name: str,
) -> None:
    """A backslash in a glob, or before a partition's name: exit code 1, and what to do."""
    monkeypatch.chdir(shutil.copytree(stored, tmp_path / name / "x"))
    monkeypatch.delenv("CHATLAKE_CONFIG", raising=False)

    done = CommandLine(capsys)("status")

    assert done.code == 1
    assert "DuckDB" in done.err
    assert re.search("Put the lake (in folders|where no folder)", done.err)
