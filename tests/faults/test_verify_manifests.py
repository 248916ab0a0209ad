"""Manifests, checkpoints, the catalogue, the empty files: each altered or lost one is named."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chatlake.lake import Lake, manifests, sealed
from chatlake.lake.catalog.opening import CATALOG, empty_path
from chatlake.model.manifest import CHECKPOINT_EVERY, Manifest
from chatlake.storage.folder import LocalStorage
from chatlake.verify.findings import VerifyReport
from chatlake.verify.run import storage_of
from tests.faults.verify_lakes import (
    back_up,
    change,
    check,
    check_storage,
    copy,
    file_of,
    only,
    paths,
)

pytestmark = pytest.mark.slow

NEWEST = CHECKPOINT_EVERY + 2
CHECKPOINT = manifests.checkpoint_path(CHECKPOINT_EVERY)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Back up an account once."""
    return back_up(tmp_path_factory.mktemp("whole"), completions=40, days=1)


@pytest.fixture
def lake(whole: Path, tmp_path: Path) -> Path:
    """Copy the lake, to damage it."""
    return copy(whole, tmp_path)


def look(lake: Path) -> VerifyReport:
    """Verify a lake that may be too damaged to be opened."""
    return check_storage(storage_of(str(lake)))


def edited(data: bytes, **changes: Any) -> bytes:
    """Return a manifest with other values and the right hash."""
    document = {**json.loads(data), **changes}
    del document["sha256"]
    return sealed.seal(json.dumps(document, separators=(",", ":")).encode())


def flipped(data: bytes) -> bytes:
    """Return the text with one bit changed."""
    position = random.Random(len(data)).randrange(len(data))
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    "how", [flipped, lambda data: data[:-1], lambda data: data[: len(data) // 2], lambda _: b""]
)
@pytest.mark.parametrize(
    "path", [manifests.manifest_path(number) for number in (1, 2, NEWEST)] + [CHECKPOINT]
)
def test_an_altered_manifest(lake: Path, path: str, how: Callable[[bytes], bytes]) -> None:
    """Flipped, cut or empty, old or newest, needed to open the lake or not: it alone is named."""
    change(lake / path, how)

    finding = only(look(lake))

    assert finding.path == path
    assert finding.kind in {"altered", "unreadable"}
    told = "writes it again" if path == CHECKPOINT else "from a copy"
    assert told in finding.remedy


@pytest.mark.parametrize("number", [1, 5, CHECKPOINT_EVERY, NEWEST - 1, NEWEST])
def test_a_deleted_manifest(lake: Path, number: int) -> None:
    """A hole in the numbers is named; for the newest one the catalogue is the witness."""
    path = manifests.manifest_path(number)
    (lake / path).unlink()

    finding = only(look(lake))

    assert (finding.path, finding.kind) == (path, "missing")


def test_a_deleted_newest_manifest_is_remembered_without_a_catalogue(lake: Path) -> None:
    """An earlier verification has seen it."""
    check(lake)
    (lake / CATALOG).unlink()
    (lake / manifests.manifest_path(NEWEST)).unlink()

    report = check(lake)

    assert only(report).path == manifests.manifest_path(NEWEST)
    assert "verified.json" in only(report).problem
    assert only(check(lake)).path == manifests.manifest_path(NEWEST), "it is forgotten"


def test_all_manifests_deleted(lake: Path) -> None:
    """A lake without its manifests is not empty: each missing one is named."""
    shutil.rmtree(lake / "manifests")

    expected = {manifests.manifest_path(number) for number in range(1, NEWEST + 1)}
    assert paths(look(lake)) == expected


def test_a_deleted_checkpoint(lake: Path) -> None:
    """It is named, nothing is lost, and the next run that writes brings it back."""
    (lake / CHECKPOINT).unlink()

    finding = only(check(lake))

    assert (finding.path, finding.kind) == (CHECKPOINT, "missing")
    assert "Nothing is lost" in finding.remedy
    with Lake.open(lake).lock():
        pass
    assert check(lake).findings == []


@pytest.mark.parametrize("how", [Path.unlink, lambda path: path.write_bytes(b"{}")])
def test_a_checkpoint_that_nothing_else_tells(lake: Path, how: Callable[[Path], object]) -> None:
    """If an earlier commit is lost as well, the finding does not claim that nothing is lost."""
    first = manifests.manifest_path(1)
    (lake / first).unlink()
    how(lake / CHECKPOINT)

    found = {finding.path: finding.remedy for finding in look(lake).findings}

    assert found.keys() == {first, CHECKPOINT}
    assert all("from a copy" in remedy for remedy in found.values())


def test_the_checkpoint_of_the_newest_commit_may_be_to_come(tmp_path: Path) -> None:
    """A run killed between the two leaves it to the next run: that is not damage."""
    lake = Lake.open(tmp_path / "lake", create=True)
    with lake.lock():
        while lake.state.number < CHECKPOINT_EVERY:
            lake.commit(Manifest())
    (tmp_path / "lake" / CHECKPOINT).unlink()

    assert check(tmp_path / "lake").findings == []


def test_a_checkpoint_that_contradicts_the_manifests(lake: Path) -> None:
    """Its own hash is right, and it lists one file less."""
    files = json.loads((lake / CHECKPOINT).read_bytes())["files"]
    change(lake / CHECKPOINT, lambda data: edited(data, files=files[1:]))

    finding = only(check(lake))

    assert (finding.path, finding.kind) == (CHECKPOINT, "contradiction")
    (lake / CHECKPOINT).unlink()
    with Lake.open(lake).lock():
        pass
    assert check(lake).findings == []


def test_a_checkpoint_that_tells_of_other_fields(lake: Path) -> None:
    """Its own hash is right, and it remembers a field that no commit has met."""
    field = {
        "source": "openai", "field": "mood", "completion_id": "chatcmpl-1", "run_id": "run-1",
        "first_seen_at": "2026-01-02T00:00:00.000000Z", "completions": 1,
    }  # fmt: skip
    change(lake / CHECKPOINT, lambda data: edited(data, new_fields=[field]))

    finding = only(check(lake))

    assert (finding.path, finding.kind) == (CHECKPOINT, "contradiction")


def test_a_manifest_under_another_s_name(lake: Path) -> None:
    """An older manifest copied over a newer one is misplaced."""
    path = manifests.manifest_path(NEWEST)
    shutil.copyfile(lake / manifests.manifest_path(1), lake / path)

    finding = only(look(lake))

    assert (finding.path, finding.kind) == (path, "misplaced")


def test_an_old_manifest_of_a_newer_format(lake: Path) -> None:
    """One that opening does not need says upgrade, as any."""
    path = manifests.manifest_path(3)
    (lake / path).write_bytes(b'{"format": 2}')

    finding = only(check(lake))

    assert (finding.path, finding.kind) == (path, "format")
    assert finding.remedy == "Upgrade chatlake."


def test_a_manifest_that_was_edited_with_the_right_hash(lake: Path) -> None:
    """What it says of a file is not true of the file: the file is named."""
    path = manifests.manifest_path(NEWEST)
    state = Lake.open(lake).state
    files = [state.table_files(table)[0] for table in ("completions", "messages")]
    added = [json.loads(msgspec.json.encode(file)) for file in files]
    added[0]["rows"] += 1
    added[-1]["min_created_at"] = "2001-01-01T00:00:00.000000Z"
    change(lake / path, lambda data: edited(data, added=added))

    report = check(lake)

    assert {finding.kind for finding in report.findings} == {"rows", "range"}
    assert paths(report) == {added[0]["path"], added[-1]["path"]}


def test_data_files_are_checked_although_a_manifest_is_damaged(lake: Path) -> None:
    """What the other manifests list is read; a missing file is not a finding."""
    change(lake / manifests.manifest_path(NEWEST), lambda data: data[:-1])
    damaged, gone = file_of_all(lake)[:2]
    change(lake / damaged, lambda data: data + b"x")
    (lake / gone).unlink()

    report = look(lake)

    assert paths(report) == {manifests.manifest_path(NEWEST), damaged}
    assert any("unknown" in note for note in report.notes)


def file_of_all(lake: Path) -> list[str]:
    """Return what the manifests before the newest list and none of them has replaced."""
    found = [
        entry["path"]
        for number in range(1, NEWEST)
        for entry in json.loads((lake / manifests.manifest_path(number)).read_bytes())["added"]
    ]
    return [path for path in found if (lake / path).exists()]


@pytest.mark.parametrize("seed", range(8))
def test_a_flipped_bit_in_the_catalogue(whole: Path, tmp_path: Path, seed: int) -> None:
    """Wherever it is: the catalogue is derived, so the remedy is to delete it."""
    storage = LocalStorage(tmp_path)
    data = bytearray((whole / CATALOG).read_bytes())
    data[random.Random(seed).randrange(len(data))] ^= 1 << seed
    storage.replace(CATALOG, bytes(data))

    finding = only(check_storage(storage))

    assert (finding.path, finding.kind) == (CATALOG, "unreadable")
    assert "Delete it" in finding.remedy


def test_a_deleted_catalogue_is_a_note(lake: Path) -> None:
    """The next command writes it again, and nothing is lost."""
    (lake / CATALOG).unlink()

    report = check(lake)

    assert report.findings == []
    assert report.notes == [f"{CATALOG} is missing; the next command writes it again"]


def test_an_older_catalogue_is_a_note(lake: Path) -> None:
    """A killed run leaves a catalogue that is stale but whole."""
    opened = Lake.open(lake)
    opened.storage.create(
        manifests.manifest_path(NEWEST + 1),
        sealed.seal(b'{"format":1,"number":%d}' % (NEWEST + 1)),
    )

    report = check(lake)

    assert report.findings == []
    assert f"shows commit {NEWEST} " in report.notes[0]


def test_a_damaged_catalogue_hides_no_other_damage(lake: Path) -> None:
    """The data files are still checked."""
    (lake / CATALOG).write_bytes(b"no database")
    path = file_of(lake, "images").path
    (lake / path).write_bytes(b"")

    assert paths(check(lake)) == {CATALOG, path}


def test_a_catalogue_that_shows_other_files(lake: Path) -> None:
    """A list that changed under the catalogue is found: it would answer with other rows."""
    file = file_of(lake, "messages")
    path = manifests.manifest_path(NEWEST)
    change(lake / path, lambda data: edited(data, removed=[file.path]))

    report = check(lake)

    assert (report.findings[0].path, report.findings[0].kind) == (CATALOG, "contradiction")
    assert "1 file too many, 0 too few" in report.findings[0].problem


def test_the_catalogue_of_another_lake(lake: Path, tmp_path: Path) -> None:
    """Named as foreign; its higher number is no sign of a lost manifest."""
    other = Lake.open(tmp_path / "other", create=True)
    with other.lock():
        other.commit(Manifest(added=other.write_parts(rows_of_another_lake())))
        while other.state.number < NEWEST + 5:
            other.commit(Manifest())
    shutil.copyfile(tmp_path / "other" / CATALOG, lake / CATALOG)

    finding = only(check(lake))

    assert (finding.path, finding.kind) == (CATALOG, "contradiction")
    assert "another lake" in finding.problem


def rows_of_another_lake() -> dict[Any, Any]:
    """Return one completion that is nowhere else."""
    from tests import lake_rows as rows

    one = [rows.completion("other", message_count=0)]
    return {("completions", rows.DAY): rows.columns("completions", one)}


def test_a_lake_that_was_moved_and_lost_its_newest_manifest(lake: Path, tmp_path: Path) -> None:
    """The catalogue of the place before is a witness too, when it shows files of this lake."""
    (lake / manifests.manifest_path(NEWEST)).unlink()
    lake.rename(tmp_path / "elsewhere")

    assert only(check(tmp_path / "elsewhere")).path == manifests.manifest_path(NEWEST)


@pytest.mark.sample(1)
@pytest.mark.parametrize("table", ["completions", "missed"])
def test_the_file_without_rows(lake: Path, table: str) -> None:
    """Altered, cut or of another table, it is named; gone, only where the views need it."""
    path = empty_path(table)
    data = (lake / path).read_bytes()
    other = (lake / empty_path("images")).read_bytes()

    for changed in (flipped(data), data[:-5], b"", other):
        (lake / path).write_bytes(changed)
        assert only(check(lake)).path == path
    (lake / path).unlink()
    assert paths(check(lake)) == ({path} if table == "completions" else set())


def test_an_empty_lake_is_sound(tmp_path: Path) -> None:
    """Before the first commit nothing can be wrong."""
    Lake.open(tmp_path / "lake", create=True)

    report = check(tmp_path / "lake")

    assert (report.findings, report.notes, report.files) == ([], [], 0)
    assert check_storage(LocalStorage(tmp_path / "lake"), "1/3").files == 0
