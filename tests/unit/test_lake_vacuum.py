"""What a vacuum removes: nothing that any state of the last days lists, or may come to list."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from chatlake import failpoints
from chatlake.errors import LakeDamagedError, LakeUnwritableError
from chatlake.lake import Lake, manifests
from chatlake.lake.compacting import compact
from chatlake.lake.files.replaced import replaced_path
from chatlake.lake.vacuum import find_unlisted, remove
from chatlake.model.manifest import Manifest
from tests import lake_rows
from tests.lake_rows import write

WEEK = timedelta(days=7)
DAY = timedelta(days=1)
NOW = datetime(2026, 3, 20, 4, tzinfo=UTC)


def write_at(lake: Lake, key: str, moment: datetime) -> str:
    """Write a part file that nothing lists, as at a time; return its path."""
    file = write(lake.storage, "completions", [lake_rows.completion(key)])
    set_time(lake, file.path, moment)
    return file.path


def set_time(lake: Lake, path: str, moment: datetime) -> None:
    """Set the time of a file's last change."""
    os.utime(Path(lake.location) / path, (moment.timestamp(), moment.timestamp()))


def commit_at(lake: Lake, moment: datetime, manifest: Manifest) -> None:
    """Commit as at a time."""
    with time_machine.travel(moment, tick=False):
        lake.commit(manifest)
    set_time(lake, manifests.manifest_path(manifest.number), moment)


def replaced_at(lake: Lake, moment: datetime) -> set[str]:
    """Commit two files of a month ago, and at a time what they are merged into."""
    with lake.lock():
        before = set(lake.state.files)
        for key in "ab":
            file = write(lake.storage, "completions", [lake_rows.completion(f"{key}{moment}")])
            set_time(lake, file.path, NOW - 30 * DAY)
            commit_at(lake, NOW - 30 * DAY, Manifest(added=[file]))
        old = set(lake.state.files) - before
    with lake.lock():
        with time_machine.travel(moment, tick=False):
            compact(lake, "run")
        set_time(lake, manifests.manifest_path(lake.state.number), moment)
    return {replaced_path(path) for path in old}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake without a catalogue to keep: this is about files."""
    return Lake.open(tmp_path / "lake", create=True)


def removable(lake: Lake, older_than: timedelta = WEEK) -> set[str]:
    """Return the paths that may go."""
    return {file.path for file in find_unlisted(lake, older_than, NOW).removable}


def test_orphans_of_killed_runs_go_when_they_are_old(lake: Lake) -> None:
    """Part files and temporary ones that nothing lists; young ones may yet be committed."""
    old, young = (write_at(lake, key, NOW - age) for key, age in (("a", 8 * DAY), ("b", 6 * DAY)))
    temporary = "manifests/_000000000001.json.x.tmp"
    lake.storage.replace(temporary, b"cut")
    set_time(lake, temporary, NOW - 8 * DAY)
    found = find_unlisted(lake, WEEK, NOW)
    assert {file.path for file in found.removable} == {old, temporary}
    assert [file.path for file in found.kept] == [young]


def test_what_was_replaced_lately_stays_for_its_readers(lake: Lake) -> None:
    """The age that counts is that of the commit that removed it, however old the file is."""
    old = replaced_at(lake, NOW - 6 * DAY)
    assert removable(lake) == set()
    assert removable(lake, 5 * DAY) == old


def test_what_was_replaced_long_ago_goes(lake: Lake) -> None:
    """It goes even if later commits have removed other files since."""
    old = replaced_at(lake, NOW - 8 * DAY)
    young = replaced_at(lake, NOW - 2 * DAY) - old
    assert old
    assert young
    assert removable(lake) >= old
    assert removable(lake).isdisjoint(young)


def test_what_is_listed_never_goes(lake: Lake) -> None:
    """Even with an age of 0, only unlisted files are removed."""
    replaced_at(lake, NOW - 8 * DAY)
    listed = set(lake.state.files)
    with lake.lock():
        remove(lake.storage, find_unlisted(lake, timedelta(0), NOW).removable)
    assert lake.missing_files() == []
    assert set(Lake.open(lake.location).state.files) == listed
    assert list(lake.leftovers()) == []


def test_times_to_come_are_kept(lake: Lake) -> None:
    """A clock that was ahead, when a file was written or when it was replaced, removes nothing."""
    write_at(lake, "a", NOW + DAY)
    replaced_at(lake, NOW + DAY)
    assert removable(lake, timedelta(0)) == set()


@pytest.mark.parametrize("wrong", ["manifest", "file"])
def test_one_clock_that_was_behind_does_not_shorten_the_time_of_readers(
    lake: Lake, wrong: str
) -> None:
    """Of a commit's own time and its file's time, the later one counts."""
    with lake.lock():
        replaced = write_at(lake, "a", NOW - 30 * DAY)
        # As by a clock that stood in 1970 for some commits after this one.
        moment, long_ago = NOW - DAY, datetime(1970, 1, 2, tzinfo=UTC)
        commit_at(lake, moment, Manifest(removed=[replaced]))
        commit_at(lake, long_ago, Manifest())
        number = lake.state.number
        if wrong == "manifest":
            set_time(lake, manifests.manifest_path(number), moment)
        assert removable(lake) == set()


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_without_a_manifest_that_may_tell_nothing_goes(lake: Lake, damage: str) -> None:
    """A damaged or missing one of the last days: an error that names it, rather than a guess."""
    with lake.lock():
        for _ in range(3):
            commit_at(lake, NOW - DAY, Manifest())
    path = manifests.manifest_path(2)
    place = Path(lake.location) / path
    if damage == "missing":
        place.unlink()
    else:
        place.write_bytes(place.read_bytes().replace(b"}", b" }"))
        set_time(lake, path, NOW - DAY)
    with pytest.raises(LakeDamagedError, match=path):
        find_unlisted(lake, WEEK, NOW)


def test_what_is_not_ours_stays(lake: Lake) -> None:
    """Somebody's notes between the files are nobody's leftovers."""
    lake.storage.replace("completions/notes.txt", b"mine")
    set_time(lake, "completions/notes.txt", NOW - 30 * DAY)
    found = find_unlisted(lake, timedelta(0), NOW)
    assert (found.removable, found.kept) == ([], [])


def test_folders_left_empty_go_too(lake: Lake) -> None:
    """A partition that lost its last file leaves no folder, and one that meanwhile went is fine."""
    path = write_at(lake, "a", NOW - 8 * DAY)
    found = find_unlisted(lake, WEEK, NOW).removable
    assert [file.path for file in remove(lake.storage, [*found, *found])] == [path, path]
    assert not (Path(lake.location) / "completions").exists()
    assert Path(lake.location).is_dir()


def test_an_error_says_where_files_cannot_be_removed(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only place: LakeUnwritableError; what went before it stays gone."""
    for key in "ab":
        write_at(lake, key, NOW - 8 * DAY)
    refused = PermissionError(13, "Permission denied")
    files = find_unlisted(lake, WEEK, NOW).removable
    with failpoints.active("vacuum.removed", KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        remove(lake.storage, files)

    def refuse(*_: object, **__: object) -> None:
        raise refused

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(LakeUnwritableError, match="Permission denied"):
        remove(lake.storage, files)
    assert len(list(lake.leftovers())) == 1
