"""The Arrow schemas agree with the model's columns, and every column is described."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from chatlake.lake.files.parts import empty_file
from chatlake.lake.files.schema import FEW_VALUED_COLUMNS, ID_COLUMNS, SCHEMAS
from chatlake.model.tables import COLUMNS


def test_names_and_order_are_the_model_s() -> None:
    """Each table has a schema with exactly the columns of `model.tables.COLUMNS`, in order."""
    assert {table: tuple(schema.names) for table, schema in SCHEMAS.items()} == COLUMNS


@pytest.mark.parametrize("table", COLUMNS)
def test_every_column_has_one_sentence(table: str) -> None:
    """Each field's metadata describes it, beginning with a capital and ending with a stop."""
    for field in SCHEMAS[table]:
        assert field.metadata is not None, field.name
        text = field.metadata[b"description"].decode()
        assert text.endswith("."), field.name
        assert text[0].isupper() or text[0] == "'", field.name


def test_only_known_columns_are_tuned() -> None:
    """Every name in the lists for bloom filters and dictionaries is a column of some table."""
    known = {name for names in COLUMNS.values() for name in names}
    assert known.issuperset(ID_COLUMNS)
    assert known >= FEW_VALUED_COLUMNS


def test_duckdb_sees_json_and_utc_times(tmp_path: Path) -> None:
    """JSON columns are JSON and times TIMESTAMPTZ in plain DuckDB, from the file alone."""
    path = tmp_path / "empty.parquet"
    path.write_bytes(empty_file("completions"))
    with duckdb.connect() as connection:
        described = connection.execute(f"DESCRIBE FROM '{path}'").fetchall()
    types = {name: kind for name, kind, *_ in described}
    assert types["raw"] == types["tools"] == "JSON"
    assert types["raw_exact"] == "VARCHAR"
    assert types["created_at"] == "TIMESTAMP WITH TIME ZONE"
    assert types["metadata"] == "MAP(VARCHAR, VARCHAR)"
    assert types["finish_reasons"] == "VARCHAR[]"
