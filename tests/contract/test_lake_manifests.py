"""Manifests: what was committed is loaded again, and damage is named, never passed over."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from chatlake.errors import CommitConflictError, LakeDamagedError, LakeFormatError
from chatlake.lake import checkpoints, manifests, sealed
from chatlake.model.manifest import (
    CHECKPOINT_EVERY,
    Cursor,
    Failure,
    LakeState,
    Manifest,
    PartFile,
    SourceRun,
)
from chatlake.model.new_fields import NewField
from chatlake.storage.memory import MemoryStorage
from chatlake.storage.rereading import RereadingStorage
from chatlake.verify.history import check_history

WHEN = "2026-01-02T03:04:05.000000Z"


def part(name: str) -> PartFile:
    """One listed file, which no storage need have."""
    path = f"completions/source=openai/created_date=2026-01-02/{name}.parquet"
    return PartFile("completions", path, 1, 2, "00", "openai", "2026-01-02", WHEN, WHEN)


def commit(storage: MemoryStorage, number: int, **more: object) -> Manifest:
    """Append one commit that adds the file of its number, with a checkpoint where one is due."""
    manifest = Manifest(number=number, added=[part(f"part-{number}")], **more)  # type: ignore[arg-type]
    read = manifests.append_commit(storage, manifest)
    if number % CHECKPOINT_EVERY == 0:
        checkpoints.ensure_checkpoint(storage, manifests.load_state(storage), chatlake="")
    return read


def store(commits: int) -> MemoryStorage:
    """Return a storage with so many commits."""
    storage = MemoryStorage()
    for number in range(1, commits + 1):
        commit(storage, number)
    return storage


def names(state: LakeState) -> list[str]:
    """Return the names of the listed files, in order of commit."""
    return [path.rpartition("/")[2].removesuffix(".parquet") for path in state.files]


def test_an_empty_place_has_state_zero() -> None:
    """Without manifests the number is 0 and nothing is listed."""
    state = manifests.load_state(MemoryStorage())
    assert state.number == 0
    assert state.files == {}


def test_everything_committed_is_loaded_again() -> None:
    """Files, cursors, runs and failures come back; removed files and resolved failures do not."""
    storage = MemoryStorage()
    run = SourceRun(run_id="r", source="openai", status="running", mode="full", started_at=WHEN)
    gaps = [
        Failure(source="openai", completion_id=key, reason="not_found", detail="") for key in "ab"
    ]
    commit(storage, 1, runs=[run], failures=gaps, cursors={"openai": Cursor("x", 1)})
    commit(storage, 2, removed=[part("part-1").path], resolved=[("openai", "a")])
    state = manifests.load_state(storage)
    assert state.number == 2
    assert names(state) == ["part-2"]
    assert state.cursors == {"openai": Cursor("x", 1)}
    assert state.runs == {("r", "openai"): run}
    assert list(state.failures) == [("openai", "b")]


def test_a_taken_number_is_a_conflict_that_changes_nothing() -> None:
    """The second commit of one number is refused, and the first one stays as it was."""
    storage = store(1)
    before = storage.read(manifests.manifest_path(1))
    with pytest.raises(CommitConflictError, match="first"):
        manifests.append_commit(storage, Manifest(number=1, run_id="other"))
    assert storage.read(manifests.manifest_path(1)) == before


def test_refresh_takes_in_what_others_committed() -> None:
    """A state loaded earlier catches up, over a checkpoint too."""
    storage = store(CHECKPOINT_EVERY - 1)
    state = manifests.load_state(storage)
    assert manifests.refresh_state(storage, state) is False
    commit(storage, CHECKPOINT_EVERY)
    commit(storage, CHECKPOINT_EVERY + 1)
    assert manifests.refresh_state(storage, state) is True
    assert names(state) == [f"part-{n}" for n in range(1, CHECKPOINT_EVERY + 2)]


def test_opening_reads_one_checkpoint_and_the_commits_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With 70 commits, opening reads checkpoint 64 and commits 65 to 70 only."""
    storage = store(70)
    read: list[str] = []
    original = storage.read

    def read_and_note(path: str) -> bytes:
        read.append(path)
        return original(path)

    monkeypatch.setattr(storage, "read", read_and_note)
    state = manifests.load_state(storage)
    assert read == [manifests.checkpoint_path(64)] + [
        manifests.manifest_path(n) for n in range(65, 71)
    ]
    assert names(state) == [f"part-{n}" for n in range(1, 71)]


def test_new_fields_add_up_over_commits_and_checkpoints() -> None:
    """Counts add up, the first example stays, and one that was taken away makes room for another."""
    storage = MemoryStorage()
    entry = NewField(
        source="openai", field="mood", completion_id="first", run_id="run-1",
        first_seen_at="2026-01-02T00:00:00.000000Z", completions=2,
    )  # fmt: skip
    later = msgspec.structs.replace(entry, completion_id="later", run_id="run-2", completions=3)
    for number in range(1, 35):
        added = {1: [entry], 2: [later], 33: [entry.without_example], 34: [later]}.get(number, [])
        manifests.append_commit(storage, Manifest(number=number, new_fields=added))
        checkpoints.ensure_checkpoint(storage, manifests.load_state(storage), chatlake="")
        known = manifests.load_state(storage).new_fields.get(("openai", "mood"))
        assert known is not None
        expected = ("first", 2) if number == 1 else ("first", 5)
        expected = {33: ("", 5), 34: ("later", 8)}.get(number, expected)
        assert (known.completion_id, known.completions) == expected
        assert (known.run_id, known.first_seen_at) == ("run-1", entry.first_seen_at)


def test_any_changed_byte_of_a_manifest_is_noticed() -> None:
    """Whichever byte of a commit is changed, opening fails with exit code 7 and names the file."""
    storage = store(1)
    path = manifests.manifest_path(1)
    text = storage.read(path)
    for position in range(len(text)):
        changed = bytearray(text)
        changed[position] ^= 1
        storage.replace(path, bytes(changed))
        with pytest.raises((LakeDamagedError, LakeFormatError), match="000000000001") as caught:
            manifests.load_state(storage)
        assert caught.value.exit_code == 7


@pytest.mark.parametrize("keep", [0, 1, 50, -1])
def test_a_truncated_manifest_is_named(keep: int) -> None:
    """A commit that is cut anywhere is damage, named by its path."""
    storage = store(3)
    path = manifests.manifest_path(2)
    storage.replace(path, storage.read(path)[:keep])
    with pytest.raises(LakeDamagedError, match=path):
        manifests.load_state(storage)


def test_a_missing_manifest_is_named() -> None:
    """A gap in the numbers is damage, named by the path that should be there."""
    storage = store(3)
    storage.delete(manifests.manifest_path(2))
    with pytest.raises(LakeDamagedError, match=f"{manifests.manifest_path(2)} is missing"):
        manifests.load_state(storage)


def test_a_manifest_under_another_s_name_is_damage() -> None:
    """A commit that was copied over another one is noticed."""
    storage = store(2)
    storage.replace(manifests.manifest_path(2), storage.read(manifests.manifest_path(1)))
    with pytest.raises(LakeDamagedError, match="contains number 1"):
        manifests.load_state(storage)


def test_a_damaged_checkpoint_does_no_harm_while_the_commits_are_there() -> None:
    """Opening falls back to the older checkpoint, or to the first commit."""
    storage = store(70)
    for number in (64, 32):
        path = manifests.checkpoint_path(number)
        storage.replace(path, storage.read(path)[:99])
        assert names(manifests.load_state(storage)) == [f"part-{n}" for n in range(1, 71)]


def test_a_damaged_checkpoint_that_is_needed_is_named() -> None:
    """Where the commits before it are gone, the damaged checkpoint is the error."""
    storage = store(40)
    storage.delete(manifests.manifest_path(5))
    path = manifests.checkpoint_path(32)
    storage.replace(path, b"{}")
    with pytest.raises(LakeDamagedError, match=path):
        manifests.load_state(storage)


def test_lost_checkpoints_are_written_anew_from_the_commits() -> None:
    """Any missing checkpoint is restored as it was, apart from its time."""
    storage = store(100)
    for number in (32, 96):
        storage.delete(manifests.checkpoint_path(number))

    checkpoints.restore_checkpoints(storage, newest=100, chatlake="test")

    assert damaged(storage) == []
    for number in (32, 64, 96):
        told = json.loads(storage.read(manifests.checkpoint_path(number)))
        stems = [Path(file["path"]).stem for file in told["files"]]
        assert stems == [f"part-{n}" for n in range(1, number + 1)]


def test_a_lost_checkpoint_is_restored_from_an_older_one() -> None:
    """After a lost commit, the checkpoint that still has its files is where it continues."""
    storage = store(70)
    storage.delete(manifests.manifest_path(10))
    storage.delete(manifests.checkpoint_path(64))

    checkpoints.restore_checkpoints(storage, newest=70, chatlake="test")

    restored = json.loads(storage.read(manifests.checkpoint_path(64)))
    stems = [Path(file["path"]).stem for file in restored["files"]]
    assert stems == [f"part-{n}" for n in range(1, 65)]


def test_a_checkpoint_is_never_guessed() -> None:
    """After a damaged commit, only an older intact checkpoint gives the state: else none is
    written.
    """
    storage = store(70)
    storage.delete(manifests.manifest_path(40))
    for number in (32, 64):
        storage.delete(manifests.checkpoint_path(number))

    checkpoints.restore_checkpoints(storage, newest=70, chatlake="test")

    assert storage.size(manifests.checkpoint_path(32)) is not None
    assert storage.size(manifests.checkpoint_path(64)) is None


def test_a_commit_after_one_that_has_gone_is_refused() -> None:
    """If somebody took the lake away in the meantime, nothing unreadable is written."""
    storage = store(3)
    storage.delete(manifests.manifest_path(3))
    with pytest.raises(LakeDamagedError, match=f"{manifests.manifest_path(3)} was removed"):
        manifests.append_commit(storage, Manifest(number=4))
    assert storage.size(manifests.manifest_path(4)) is None


def test_a_manifest_of_another_shape_is_damage() -> None:
    """Its own hash is right, but what it says cannot be read."""
    storage = store(1)
    path = manifests.manifest_path(2)
    storage.replace(path, sealed.seal(b'{"format":1,"number":2,"added":5}'))
    with pytest.raises(LakeDamagedError, match=f"{path} is damaged"):
        manifests.load_state(storage)


def test_a_manifest_without_a_time_is_damage_to_vacuum() -> None:
    """Vacuum cannot know since when the files that it removed are unlisted."""
    with pytest.raises(LakeDamagedError, match="has no creation time"):
        manifests.removed_since(store(2), datetime.now(UTC))


def test_the_head_is_the_newest_commit() -> None:
    """Its hash is that of the manifest's file, or of the checkpoint if the manifest is gone."""
    storage = store(33)
    assert manifests.read_head(MemoryStorage(), 0) is None
    for number in (32, 33):
        head = manifests.read_head(storage, number)
        text = storage.read(manifests.manifest_path(number))
        assert head is not None
        assert (head.number, head.sha256) == (number, hashlib.sha256(text).hexdigest())
        storage.delete(manifests.manifest_path(number))
    head = manifests.read_head(storage, 32)
    text = storage.read(manifests.checkpoint_path(32))
    assert head is not None
    assert head.sha256 == hashlib.sha256(text).hexdigest()
    with pytest.raises(LakeDamagedError, match=f"{manifests.manifest_path(33)} is missing"):
        manifests.read_head(storage, 33)


def test_a_newer_format_says_upgrade() -> None:
    """A commit or checkpoint of a later format, however built, is refused with that advice."""
    for path in (manifests.manifest_path(33), manifests.checkpoint_path(32)):
        storage = store(32)
        storage.replace(path, b'{"format": 2, "number": [], "shape": "unknown"}')
        with pytest.raises(LakeFormatError, match="format 2") as caught:
            manifests.load_state(storage)
        assert caught.value.hint == "Upgrade chatlake."


def test_unknown_keys_are_tolerated() -> None:
    """A later version of the same format may add keys: they are ignored."""
    storage = store(1)
    path = manifests.manifest_path(2)
    document = {"format": 1, "number": 2, "added": [], "novelty": {"x": 1}}
    storage.replace(path, sealed.seal(json.dumps(document, separators=(",", ":")).encode()))
    assert manifests.load_state(storage).number == 2


def damaged(storage: MemoryStorage) -> list[str]:
    """Return the paths of the findings that `verify` has of the manifests and checkpoints."""
    found = check_history(RereadingStorage(storage, lambda _: None)).findings
    return [finding.path for finding in found]


def test_every_old_manifest_is_verified_too() -> None:
    """Files that opening does not read are still checked: each bad file gives one finding."""
    storage = store(40)
    assert damaged(storage) == []
    storage.delete(manifests.manifest_path(3))
    storage.replace(manifests.manifest_path(7), b"")
    assert manifests.load_state(storage).number == 40
    assert damaged(storage) == [manifests.manifest_path(3), manifests.manifest_path(7)]


def test_a_checkpoint_that_nobody_needs_is_verified_too() -> None:
    """Opening reads neither it nor the commits before a later one, yet `verify` names it."""
    storage = store(2 * CHECKPOINT_EVERY)
    path = manifests.checkpoint_path(CHECKPOINT_EVERY)
    storage.replace(path, b"{}")
    assert damaged(storage) == [path]
