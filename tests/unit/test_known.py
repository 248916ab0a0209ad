"""What a run remembers of the lake: what is stored, what is in hand, and only a few days of it."""

from __future__ import annotations

import pytest

from chatlake.backup.known import Known, KnownCompletions, KnownImages
from chatlake.backup.lake_port import StoredVersion
from chatlake.lake import Lake
from chatlake.model.manifest import Manifest
from chatlake.model.partitions import Partition
from chatlake.storage.memory import MemoryStorage
from tests import lake_rows

DAYS = [Partition("openai", f"2026-02-0{day}") for day in range(1, 6)]


class CountedLake(Lake):
    """A lake in memory that notes for which partitions it was read."""

    def __init__(self) -> None:
        super().__init__(MemoryStorage())
        self.read: list[Partition] = []

    def stored_versions(self, partition: Partition) -> dict[str, StoredVersion]:
        """Note the partition."""
        self.read.append(partition)
        return super().stored_versions(partition)

    def stored_images(self, partition: Partition) -> set[str]:
        """Note the partition."""
        self.read.append(partition)
        return super().stored_images(partition)


@pytest.fixture
def lake() -> CountedLake:
    """A lake with one completion."""
    lake = CountedLake()
    rows = {("completions", lake_rows.DAY): lake_rows.columns(
        "completions", [lake_rows.completion("stored")]
    )}  # fmt: skip
    lake.commit(Manifest(added=lake.write_parts(rows)))
    return lake


def test_a_stored_completion_is_known_with_its_version(lake: CountedLake) -> None:
    """Its digest decides whether it has changed; one that is not stored has no version."""
    known = KnownCompletions(lake)
    found = known.take(lake_rows.DAY, "stored")
    assert found.version == lake.stored_versions(lake_rows.DAY)["stored"]
    assert known.take(lake_rows.DAY, "new") == Known(None, in_hand=False)


def test_a_completion_is_taken_in_hand_once(lake: CountedLake) -> None:
    """A second listing of it is recognised, stored or new, and the lake is read once."""
    known = KnownCompletions(lake)
    for name in ("stored", "new"):
        assert not known.take(lake_rows.DAY, name).in_hand
        assert known.take(lake_rows.DAY, name).in_hand
    assert lake.read == [lake_rows.DAY]
    assert all(entry.in_hand for entry in known.entries(lake_rows.DAY).values())


def test_only_the_newest_three_days_stay(lake: CountedLake) -> None:
    """Older ones are forgotten once they are settled, and each is noted with its entries."""
    known = KnownCompletions(lake)
    forgotten: list[tuple[Partition, set[str]]] = []
    known.on_forget(lambda partition, entries: forgotten.append((partition, set(entries))))
    for day in DAYS:
        known.take(day, f"of-{day.created_date}")
        known.settle([day])
    assert known.loaded() == DAYS[2:]
    assert forgotten == [(day, {f"of-{day.created_date}"}) for day in DAYS[:2]]


def test_a_day_with_a_completion_in_hand_stays(lake: CountedLake) -> None:
    """However many later days were used: it is forgotten when the last one is settled."""
    known = KnownCompletions(lake)
    for name in ("slow", "slower"):
        known.take(DAYS[0], name)
    for day in DAYS[1:]:
        known.take(day, "quick")
        known.settle([day])
    known.settle([DAYS[0]])
    assert DAYS[0] in known.loaded()
    known.settle([DAYS[0]])
    assert known.loaded() == DAYS[2:]


def test_a_day_that_is_only_looked_at_is_not_kept(lake: CountedLake) -> None:
    """A sweep compares old days one by one, and memory must not grow with them."""
    known = KnownCompletions(lake)
    assert set(known.stored(lake_rows.DAY)) == {"stored"}
    assert known.loaded() == []


def test_images_of_three_days_are_remembered(lake: CountedLake) -> None:
    """What a run adds to a day stays known until three later days were used."""
    known = KnownImages(lake)
    for day in DAYS[:3]:
        known.of(day).add("hash")
    assert all(known.of(day) == {"hash"} for day in DAYS[:3])
    assert lake.read == DAYS[:3]
    known.of(DAYS[3])
    assert known.of(DAYS[1]) == {"hash"}
    assert known.of(DAYS[0]) == set()
    assert lake.read == [*DAYS[:4], DAYS[0]]
