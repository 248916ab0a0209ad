"""`--subset K/N`: the files checked longest ago, so that N verifications cover all."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chatlake.errors import UsageError
from chatlake.lake import Lake
from chatlake.lake.sealed import seal
from chatlake.model.manifest import Manifest, PartFile
from chatlake.storage.memory import MemoryStorage
from chatlake.verify.record import RECORD, Record, Subset, choose
from tests import lake_rows as rows
from tests.faults.verify_lakes import check_storage, commit, only, paths


def files(count: int, first: int = 0) -> list[PartFile]:
    """Return files that a manifest might list."""
    made = []
    for number in range(first, first + count):
        date = f"2026-01-{number % 28 + 1:02}"
        path = f"messages/source=openai/created_date={date}/part-{number}.parquet"
        made.append(PartFile("messages", path, 1, 1, "", "openai", date, "", ""))
    return made


def after(record: Record | None, listed: list[PartFile], chosen: list[PartFile]) -> Record:
    """Return the record after a verification that found nothing."""
    paths = {file.path for file in chosen}
    return (record or Record()).updated(1, [file.path for file in listed], paths, set())


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3", "1/3/5", ""])
def test_what_is_no_subset_is_refused(text: str) -> None:
    """Exit code 2, with what is expected."""
    with pytest.raises(UsageError) as caught:
        Subset.parse(text)
    assert "--subset" in caught.value.message
    assert str(Subset.parse("03/31")) == "3/31"


@pytest.mark.parametrize(("count", "of"), [(30, 30), (31, 30), (7, 3), (2, 5), (100, 1)])
def test_every_verification_checks_its_share_and_n_of_them_all(count: int, of: int) -> None:
    """One Nth of the files, rounded up, never those that were checked more recently."""
    listed = files(count)
    record: Record | None = None
    seen: list[str] = []
    for part in range(1, of + 1):
        chosen = choose(listed, Subset(part, of), record)
        assert len(chosen) == -(-count // of)
        seen += [file.path for file in chosen]
        record = after(record, listed, chosen)

    assert set(seen) == {file.path for file in listed}


@pytest.mark.parametrize("seed", range(5))
def test_n_of_them_cover_every_file_while_others_come_and_go(seed: int) -> None:
    """Whatever K is: each file that stays for N verifications is checked in them."""
    dice = random.Random(seed)
    of = dice.randint(2, 9)
    listed, made = files(40), 40
    record: Record | None = None
    unchecked = {file.path: 0 for file in listed}
    for _ in range(6 * of):
        chosen = choose(listed, Subset(dice.randint(1, of), of), record)
        assert len(chosen) >= -(-len(listed) // of)
        record = after(record, listed, chosen)
        for file in chosen:
            unchecked[file.path] = 0
        came = files(dice.randint(0, 30), made)
        made += len(came)
        listed += came
        unchecked = {f.path: unchecked.get(f.path, -1) + 1 for f in listed}
        assert max(unchecked.values()) <= of, "a file waits for longer than N verifications"


def test_files_that_go_leave_the_record() -> None:
    """It holds only listed files, so it does not grow without end."""
    record = after(None, files(10), files(10))

    assert set(after(record, files(3), []).checked) == {file.path for file in files(3)}


def test_damaged_files_stay_so_until_they_are_checked_again() -> None:
    """A verification that was interrupted before it came to them does not clear them."""
    listed = [file.path for file in files(4)]
    record = Record().updated(1, listed, listed, listed[:2])

    after_interruption = record.updated(1, listed, listed[:1], [])

    assert record.damaged == listed[:2]
    assert after_interruption.damaged == listed[1:2]
    assert record.updated(1, listed[2:], [], []).damaged == []


def test_without_a_record_each_part_is_another_slice() -> None:
    """Even if nothing can be written, N parts cover every file."""
    listed = files(20)
    chosen = [choose(listed, Subset(part, 6), None) for part in range(1, 7)]

    assert {file.path for some in chosen for file in some} == {file.path for file in listed}


def test_times_grow_although_the_clock_goes_back() -> None:
    """What was checked last is last in the queue, also with a date in the future before it."""
    listed = files(4)
    record = Record(checked={file.path: datetime(2126, 1, 1, tzinfo=UTC) for file in listed})
    for _ in range(2):
        chosen = choose(listed, Subset(1, 2), record)
        record = after(record, listed, chosen)

    assert len(set(record.checked.values())) == 2


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b'{"number":9,"checked":{},"damaged":[]}',
        seal(b'{"number":9}').replace(b"9", b"8"),
        seal(b'{"checked":3}'),
        seal(b'{"checked":{"messages/x":"yesterday"}}'),
        seal(b'{"checked":{"messages/x":"2026-01-01T00:00:00"}}'),
    ],
)
def test_a_record_that_cannot_be_read_is_none(text: bytes) -> None:
    """An unreadable record counts as none, and the next verification writes it again."""
    lake = Lake(MemoryStorage())
    commit(lake, {"completions": [rows.completion("a", message_count=0)]})
    lake.storage.replace(RECORD, text)

    assert check_storage(lake.storage, "1/1").files == 1
    assert Record.load(lake.storage) is not None


def test_a_lake_is_covered_part_by_part_also_while_it_grows() -> None:
    """On a lake: N verifications read every file, those that came meanwhile too."""
    lake = Lake(MemoryStorage())
    for key in "abcdefghij":
        commit(lake, {"completions": [rows.completion(key, message_count=0)]})
    whole = {path: lake.storage.read(path) for path in lake.state.files}
    for path, data in whole.items():
        lake.storage.replace(path, data[:-1] + b"x")

    found: set[str] = set()
    for part in range(1, 6):
        report = check_storage(lake.storage, f"{part}/5")
        assert report.files >= 2
        found |= paths(report)
        commit(lake, {"completions": [rows.completion(f"new-{part}", message_count=0)]})

    assert found == set(whole)


def test_a_damaged_file_is_checked_every_time_until_it_is_whole() -> None:
    """A part of another night does not call the lake sound again."""
    lake = Lake(MemoryStorage())
    for key in "abcdef":
        commit(lake, {"completions": [rows.completion(key, message_count=0)]})
    path = min(lake.state.files)
    data = lake.storage.read(path)
    lake.storage.replace(path, data[:-1])

    for part in range(1, 4):
        assert only(check_storage(lake.storage, f"{part}/3")).path == path
    lake.storage.replace(path, data)
    assert check_storage(lake.storage, "1/3").findings == []


def test_a_subset_compares_the_whole_partition(tmp_path: Path) -> None:
    """Rows of the chosen files are compared with those of files that are not chosen."""
    lake = Lake(MemoryStorage())
    message = rows.message("a", 0, part_count=0)
    commit(lake, {"completions": [rows.completion("a", message_count=2)], "messages": [message]})

    report = check_storage(lake.storage, "1/2")

    assert report.files == 1
    assert only(report).kind == "count"


def test_a_whole_verification_is_remembered_too() -> None:
    """The next part begins with what came after it."""
    lake = Lake(MemoryStorage())
    for key in "abcd":
        commit(lake, {"completions": [rows.completion(key, message_count=0)]})
    check_storage(lake.storage)
    (new,) = commit(lake, {"completions": [rows.completion("e", message_count=0)]})
    lake.commit(Manifest())

    lake.storage.replace(new.path, b"")

    assert paths(check_storage(lake.storage, "1/4")) == {new.path}
