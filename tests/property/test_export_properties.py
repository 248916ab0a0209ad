"""Whatever an API sends: through flattening, Parquet, DuckDB and `export raw` it comes out the same."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from chatlake.backup.rows import RowBuffer
from chatlake.exports.raw import export_raw
from chatlake.lake import Lake
from chatlake.model.manifest import Manifest
from chatlake.model.partitions import Partition
from chatlake.verify.run import verify
from tests.flat import exact, rows_of
from tests.property.test_flatten_properties import completions, distinct, messages
from tests.support import examples

conversations = st.tuples(completions, messages.map(distinct))


# Many conversations in each example, for the lake costs more than they do. Shrinking is left to the
# properties of flattening alone, which are quick.
@settings(max_examples=examples(5), phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(conversations, min_size=1, max_size=25))
def test_what_was_sent_is_exported(sent: list[tuple[str, list[str]]]) -> None:
    """Every JSON value of every completion and message, odd ones too; and the lake is sound."""
    buffer = RowBuffer(keep_images=True)
    for number, (completion, inputs) in enumerate(sent):
        rows = rows_of(completion, inputs)
        created = rows.completion["created_at"]
        seconds = 0 if created is None else created // 1_000_000
        # All have the same id: each is of a source of its own.
        buffer.add(Partition.of(f"source-{number:02}", seconds), rows.flat)
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.open(Path(folder) / "lake", create=True)
        with lake.lock("test"):
            lake.commit(Manifest(run_id="test", added=lake.write_parts(buffer.columns())))
        export_raw(lake, Path(folder) / "raw.jsonl")
        found = [exact(line) for line in (Path(folder) / "raw.jsonl").read_bytes().splitlines()]
        assert verify(lake).findings == []

    expected = [
        {"completion": exact(completion), "messages": [exact(text) for text in inputs]}
        for completion, inputs in sent
    ]
    assert sorted(map(repr, found)) == sorted(map(repr, expected))
