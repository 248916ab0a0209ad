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


@pytest.mark.parametrize("others_use_it", [False, True])
def test_an_image_that_only_a_killed_writer_knew_is_erased(others_use_it: bool) -> None:
    """Its rows refer to the image, although no listed row does; a listed one keeps its own copy."""
    lake = Lake(MemoryStorage())
    image = lake_rows.image(b"picture")
    seen = [lake_rows.part("other", 0, image_sha256=image["sha256"])] if others_use_it else []
    stored = {
        "completions": [lake_rows.completion("stored"), lake_rows.completion("other")],
        "content_parts": [lake_rows.part("stored", 0), *seen],
        "images": [image] if others_use_it else [],
    }
    lake.commit(
        Manifest(added=[lake_rows.write(lake.storage, *each) for each in stored.items() if each[1]])
    )
    parts = [lake_rows.part("stored", 0, image_sha256=image["sha256"])]
    unlisted = [
        lake_rows.write(lake.storage, "content_parts", parts).path,
        lake_rows.write(lake.storage, "images", [image]).path,
    ]
    receipt = forget(lake, {lake_rows.DAY: ["stored"]}, run_id="run-2")
    assert receipt is not None
    assert set(unlisted) & set(receipt.erased) == set(unlisted[: 1 if others_use_it else 2])
    assert len(lake.stored_images(lake_rows.DAY)) == others_use_it
