"""`chatlake doctor` checks the permissions of a lake's files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from chatlake.cli.checks import Check
from chatlake.cli.checks_access import access_checks
from chatlake.lake.lake import Lake
from chatlake.model.manifest import Manifest
from chatlake.storage.folder import Access
from tests import lake_rows as rows


def lake_with(place: Path, access: Access) -> Path:
    """Make a lake of one commit."""
    lake = Lake.open(place, access=access, create=True)
    with lake.lock():
        found = {("completions", rows.DAY): rows.columns("completions", [rows.completion("a")])}
        lake.commit(Manifest(added=lake.write_parts(found)))
    return place


def checked(place: Path, access: Access) -> list[Check]:
    """Return what doctor says."""
    return list(access_checks(place, access))


@pytest.mark.parametrize("access", ["private", "group"])
def test_a_lake_of_one_access_is_fine(tmp_path: Path, access: Access) -> None:
    """Nothing to say of the lake as chatlake writes it, its lock included."""
    (check,) = checked(lake_with(tmp_path / "lake", access), access)
    assert (check.level, check.detail) == ("ok", access)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [("private", "group", "the group cannot read"), ("group", "private", "others can read")],
)
def test_a_later_access_is_for_new_files_only_and_doctor_says_so(
    tmp_path: Path, before: Access, after: Access, told: str
) -> None:
    """The remedy is a command, and it helps."""
    place = lake_with(tmp_path / "it's a lake", before)

    (check,) = checked(place, after)

    assert check.level == "warning"
    assert told in check.detail
    subprocess.run(["sh", "-c", check.remedy], check=True)
    with Lake.open(place, access=after).lock():  # the lock goes back to its owner
        pass
    assert [check.level for check in checked(place, after)] == ["ok"]


@pytest.mark.sample(3)
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o702])
@pytest.mark.parametrize("inside", [".", "manifests", "completions"])
def test_a_lake_that_others_can_write_to_is_a_warning(
    tmp_path: Path, mode: int, inside: str
) -> None:
    """Anyone who can write there can change a backup and its hashes."""
    place = lake_with(tmp_path / "lake", "private")
    (place / inside).chmod(mode)

    found = checked(place, "private")

    assert "others can write" in found[0].detail
    subprocess.run(["sh", "-c", f"{found[0].remedy}; {found[-1].remedy}"], check=True)
    assert [check.level for check in checked(place, "private")] == ["ok"]
