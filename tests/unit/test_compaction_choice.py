"""Which files are merged: few are left, and no byte is written again and again."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from itertools import count

import pytest

from chatlake.model.compaction import OPEN_RATIO, TARGET_BYTES, choose
from chatlake.model.manifest import LakeState, Manifest, PartFile
from chatlake.model.partitions import Partition

TODAY = date(2026, 3, 10)
OVER = date(2026, 2, 1)
KIB, MIB = 1 << 10, 1 << 20
# What a file of a table has besides its rows: schema, column chunks, bloom filters.
FIXED = 10 * KIB
_numbers = count()


def part(
    octets: int, day: date = TODAY, table: str = "messages", source: str = "openai"
) -> PartFile:
    """Return a file of a size."""
    partition = Partition(source, day.isoformat())
    return PartFile(
        table=table, path=f"{table}/{partition.folder}/part-{next(_numbers)}.parquet", rows=1,
        bytes=octets, sha256="", source=source, created_date=partition.created_date,
        min_created_at="", max_created_at="",
    )  # fmt: skip


def state_of(*files: PartFile) -> LakeState:
    """Return a lake's state with these files."""
    state = LakeState()
    state.apply(Manifest(number=1, added=list(files)))
    return state


def chosen(*files: PartFile, today: date | None = TODAY) -> list[list[int]]:
    """Return, for each merge, the places of its files among `files`."""
    merges = choose(state_of(*files), today)
    return [[files.index(file) for file in merge.files] for merge in merges]


def test_small_files_of_a_size_become_one() -> None:
    """Nine files that commits left are one merge, in the order of the commits."""
    assert chosen(*(part(30 * KIB) for _ in range(9))) == [list(range(9))]


def test_a_file_alone_is_left_alone() -> None:
    """A single file is not rewritten."""
    assert chosen(part(KIB)) == []
    assert chosen(part(KIB), today=None) == []


def test_tables_and_partitions_are_never_mixed() -> None:
    """A merge has files of one table, source and day."""
    files = [
        part(KIB), part(KIB, OVER), part(KIB, table="images"), part(KIB, source="azure"),
    ]  # fmt: skip
    assert chosen(*files) == []
    assert chosen(*files, part(KIB, OVER)) == [[1, 4]]


def test_a_table_that_this_version_does_not_know_is_left_alone() -> None:
    """A later version of the format may have one."""
    assert chosen(part(KIB, table="later"), part(KIB, table="later"), today=None) == []


@pytest.mark.parametrize("today", [TODAY, None])
def test_a_file_of_half_the_target_is_never_rewritten(today: date | None) -> None:
    """Neither by a run nor by the command, whatever files are added."""
    full, *small = part(TARGET_BYTES // 2), part(60 * MIB), part(60 * MIB)
    assert chosen(full, *small, today=today) == [[1, 2]]


def test_a_large_file_waits_until_enough_came_beside_it() -> None:
    """One small file more does not rewrite what was just compacted."""
    large = part(OPEN_RATIO * 3 * MIB)
    assert chosen(large, part(MIB)) == []
    assert chosen(large, part(MIB), part(MIB)) == [[1, 2]]
    assert chosen(large, part(MIB), part(MIB), part(MIB)) == [[0, 1, 2, 3]]


def test_a_day_that_is_over_is_merged_for_good() -> None:
    """What waits while the day may still grow is one file when it cannot."""
    night, day = 40 * KIB, 400 * KIB
    for ago, merges in ((0, []), (1, []), (2, [[0, 1]])):
        on = TODAY - timedelta(days=ago)
        assert chosen(part(night, on), part(day, on)) == merges


def test_a_late_row_does_not_rewrite_a_large_day() -> None:
    """A day that is over waits, too, where a merge would rewrite far more than came."""
    assert chosen(part(50 * MIB, OVER), part(20 * KIB, OVER)) == []


def test_the_command_merges_all_small_files() -> None:
    """Without a date no file waits for others."""
    assert chosen(part(50 * MIB), part(20 * KIB), today=None) == [[0, 1]]


def test_no_merge_exceeds_the_target() -> None:
    """Many files become several merges, each of at most 128 MiB."""
    files = [part(50 * MIB) for _ in range(5)]
    assert chosen(*files, today=None) == [[0, 1], [2, 3]]
    exact = [part(32 * MIB) for _ in range(5)]
    assert chosen(*exact, today=None) == [[0, 1, 2, 3]]
    one_more = [part(32 * MIB) for _ in range(3)]
    assert chosen(part(32 * MIB + 1), *one_more, today=None) == [[0, 1, 2]]


def grown(state: LakeState, today: date, files: list[PartFile]) -> tuple[int, int]:
    """Commit a run's files and merge as its end does; return the bytes fetched and rewritten."""
    state.apply(Manifest(number=state.number + 1, added=files))
    rewritten = 0
    while merges := choose(state, today):
        for merge in merges:
            # The rows stay, of what files have besides only one is left.
            octets = merge.bytes - FIXED * (len(merge.files) - 1)
            one = part(octets, date.fromisoformat(merge.partition.created_date))
            removed = [file.path for file in merge.files]
            state.apply(Manifest(number=state.number + 1, added=[one], removed=removed))
            rewritten += octets
    return sum(file.bytes for file in files), rewritten


def test_a_year_of_nights_leaves_a_file_a_day() -> None:
    """500 completions a night, with late rows of two days: far below 1,000 files, written twice."""
    state, fetched, rewritten = LakeState(), 0, 0
    row = 2 * KIB
    for night in range(365):
        today = TODAY + timedelta(days=night)
        yesterday = today - timedelta(days=1)
        files = [part(FIXED + 458 * row, yesterday), part(FIXED + 42 * row, today)]
        files += [part(FIXED + 2 * row, yesterday), part(FIXED + row, today - timedelta(days=2))]
        came, again = grown(state, today, files)
        fetched, rewritten = fetched + came, rewritten + again
    assert len(state.files) < 400
    assert rewritten < 1.2 * fetched


@pytest.mark.parametrize("runs_a_day", [24, 288])
@pytest.mark.parametrize("day_bytes", [MIB, 300 * MIB])
def test_frequent_runs_rewrite_a_byte_a_few_times(runs_a_day: int, day_bytes: int) -> None:
    """Hourly or every five minutes: at most 8 small files a day meanwhile, one or two at its end."""
    state, fetched, rewritten = LakeState(), 0, 0
    for day in range(4):
        today = TODAY + timedelta(days=day)
        for _ in range(runs_a_day):
            came, again = grown(state, today, [part(FIXED + day_bytes // runs_a_day, today)])
            fetched, rewritten = fetched + came, rewritten + again
            small = Counter(
                file.created_date for file in state.files.values() if file.bytes < TARGET_BYTES // 2
            )
            assert max(small.values(), default=0) <= 8
    assert small[TODAY.isoformat()] <= 2
    assert rewritten < 8 * fetched
