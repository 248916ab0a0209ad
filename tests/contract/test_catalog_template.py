"""What a process keeps between catalogues: a template, and a database to read stamps in."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatlake.lake import Lake
from chatlake.lake.catalog import build
from chatlake.lake.catalog.build import build_catalog
from chatlake.lake.catalog.opening import connect, read_stamp
from chatlake.lake.catalog.writing import Templates
from tests.lake_writer import commit

EVERYTHING = (
    "SELECT schema_name, view_name, comment, sql FROM duckdb_views() WHERE NOT internal",
    "SELECT * EXCLUDE (database_oid, schema_oid, table_oid) FROM duckdb_columns() WHERE NOT internal",
    "FROM ledger.lake",
    "FROM ledger.runs SELECT count(*)",
    "SELECT completion_id FROM completions",
)
"""Queries that show everything in a catalogue."""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with one commit."""
    lake = Lake.open(tmp_path / "lake", create=True)
    with lake.lock():
        commit(lake, "a")
    return lake


def test_a_stamp_is_read_after_a_corrupt_catalogue(lake: Lake, tmp_path: Path) -> None:
    """A corrupt catalogue has no stamp, and does not spoil the reading of the next one."""
    whole = Path(lake.location, "catalog.duckdb").read_bytes()
    good, corrupt = tmp_path / "good.duckdb", tmp_path / "corrupt.duckdb"
    good.write_bytes(whole)
    for broken in (b"", b"no catalogue", whole[:5000], whole[:9000] + bytes(len(whole) - 9000)):
        corrupt.write_bytes(broken)
        assert read_stamp(str(corrupt)) is None
        assert (stamp := read_stamp(str(good))) is not None
        assert stamp.number == 1


def test_a_catalogue_made_from_a_template_is_like_the_first(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Views, columns, comments and ledger are those of a catalogue that was made from nothing."""
    monkeypatch.setattr(build, "_TEMPLATES", Templates())
    shown = []
    for number in range(4):
        path = tmp_path / f"{number}.duckdb"
        path.write_bytes(build_catalog(lake.storage, lake.state, lake.storage))
        with connect(str(path)) as connection:
            shown.append([
                sorted(connection.execute(query).fetchall(), key=repr) for query in EVERYTHING
            ])  # fmt: skip
    assert shown[1:] == shown[:1] * 3
    assert all(shown[0])
