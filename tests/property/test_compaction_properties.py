"""Compaction changes no row of any table, whatever the rows and however they were committed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatlake.lake import Lake
from chatlake.lake.compacting import compact
from chatlake.lake.files import parts
from chatlake.lake.files.parts import open_part
from chatlake.lake.files.schema import JSON, SCHEMAS, TIME
from chatlake.model.manifest import Manifest
from chatlake.model.partitions import Partition
from chatlake.storage.memory import MemoryStorage
from tests.support import examples

DAYS = [Partition("openai", "2026-01-02"), Partition("openai", "2026-01-03")]
Content = dict[tuple[str, Partition], list[dict[str, Any]]]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
json_texts = st.sampled_from(["{}", '{"a":1.0}', r'"\\ud83d"', '"😀"', "null", "[1,2e3]"])
START, END = datetime(1970, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001 - hypothesis adds the zone
times = st.datetimes(START, END, timezones=st.just(UTC))
VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): texts | st.just(r'{"t":"\ud83d"}'),
    JSON: json_texts,
    TIME: times,
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.binary(16): st.binary(min_size=16, max_size=16),
    pa.binary(): st.binary(max_size=40),
    pa.list_(pa.string()): st.lists(st.none() | texts, max_size=3),
    pa.list_(pa.int32()): st.lists(st.integers(0, 9), max_size=3),
    pa.map_(pa.string(), pa.string()): st.dictionaries(texts, texts, max_size=3).map(
        lambda found: list(found.items())
    ),
}


@st.composite
def flushes(draw: st.DrawFn) -> list[tuple[str, Partition, dict[str, list[Any]]]]:
    """Draw what some commits add: rows of one table and day each."""
    drawn = []
    for _ in range(draw(st.integers(2, 7))):
        table = draw(st.sampled_from(list(SCHEMAS)))
        size = draw(st.integers(1, 4))
        columns = {
            field.name: draw(st.lists(st.none() | VALUES[field.type], min_size=size, max_size=size))
            for field in SCHEMAS[table]
        }
        drawn.append((table, draw(st.sampled_from(DAYS)), columns))
    return drawn


def content(lake: Lake) -> Content:
    """Return the rows of each table and day, in the order of their files."""
    found: Content = {}
    for file in lake.state.files.values():
        with open_part(lake.storage, file.path) as part:
            rows = part.read().to_pylist()
        assert len(rows) == file.rows
        found.setdefault((file.table, file.partition), []).extend(rows)
    return found


# Threads that other tests of this process have left may use `random` while values are drawn.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
@settings(max_examples=examples(25))
@given(flushes(), st.booleans())
def test_every_row_of_every_table_stays_as_it_is(
    added: list[tuple[str, Partition, dict[str, list[Any]]]], tiny_groups: bool
) -> None:
    """Values, NULLs, odd texts, bytes and the order of the rows: equal before and after."""
    lake = Lake(MemoryStorage())
    with lake.lock(), mock.patch.object(parts, "MAX_GROUP_ROWS", 3 if tiny_groups else 50_000):
        for table, day, columns in added:
            lake.commit(Manifest(added=lake.write_parts({(table, day): columns})))
        before, number = content(lake), lake.state.number
        report = compact(lake, "run")
        assert content(lake) == before
        assert len(lake.state.files) == len(before)
        assert lake.state.number == number + bool(report.merged)
        assert Lake(lake.storage).state.files == lake.state.files
        assert compact(lake, "run").merged == 0
