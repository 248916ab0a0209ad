"""What a receipt says of files that cannot be read."""

from __future__ import annotations

import pytest

from chatlake.lake import Lake
from chatlake.lake.forgetting import forget
from chatlake.model.manifest import Manifest
from chatlake.storage.memory import MemoryStorage
from tests import lake_rows


@pytest.mark.parametrize(("table", "erased"), [("messages", True), ("images", False)])
def test_only_files_that_are_erased_count_as_unreadable(table: str, erased: bool) -> None:
    """A damaged file of images stays, and is not counted, if the completion has no images."""
    lake = Lake(MemoryStorage())
    stored = lake_rows.columns("completions", [lake_rows.completion("stored")])
    lake.commit(Manifest(added=lake.write_parts({("completions", lake_rows.DAY): stored})))
    path = f"{table}/{lake_rows.DAY.folder}/part-of-a-killed-writer.parquet"
    lake.storage.create(path, b"cut off")
    receipt = forget(lake, {lake_rows.DAY: ["stored"]}, run_id="run-2")
    assert receipt is not None
    assert (path in receipt.erased, receipt.unreadable) == (erased, int(erased))
