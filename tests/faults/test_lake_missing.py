"""A missing lake: a new one is created with a note, and never where there was one before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatlake.config import Settings, load_settings
from chatlake.errors import LakeMissingError
from chatlake.lake.lake import Lake
from chatlake.simulator import Running, Scenario, running
from chatlake.storage.opening import storage_at
from tests.command_line import CommandLine, ended, start
from tests.support import KEY, NOW, backup, in_bucket, rows, write_config

Loss = Callable[[Path], object]


def _points_elsewhere(lake: Path) -> None:
    shutil.move(lake, lake.with_name("elsewhere"))
    lake.symlink_to("nowhere")


def _points_to_an_empty_folder(lake: Path) -> None:
    _points_elsewhere(lake)
    lake.unlink()
    lake.with_name("empty").mkdir()
    lake.symlink_to("empty")


def _is_emptied(lake: Path) -> None:
    shutil.rmtree(lake)
    lake.mkdir()


def _loses_its_manifests(lake: Path) -> None:
    shutil.rmtree(lake / "manifests")


def _loses_all_but_data(lake: Path) -> None:
    for name in ("manifests", "schema"):
        shutil.rmtree(lake / name)
    (lake / "catalog.duckdb").unlink()


def _loses_manifests_and_catalogue(lake: Path) -> None:
    shutil.rmtree(lake / "manifests")
    (lake / "catalog.duckdb").unlink()


LOSSES: dict[str, Loss] = {
    "deleted": shutil.rmtree,
    "not mounted": lambda lake: _is_emptied(lake.parent),
    "parent gone": lambda lake: shutil.rmtree(lake.parent),
    "dangling link": _points_elsewhere,
    "link to an empty folder": _points_to_an_empty_folder,
    "emptied": _is_emptied,
    "manifests gone": _loses_its_manifests,
    "manifests and catalogue gone": _loses_manifests_and_catalogue,
    "data alone": _loses_all_but_data,
}
SEEN_WITHOUT_A_NOTE = ("dangling link", "manifests gone", "data alone")


@pytest.fixture
def server() -> Iterator[Running]:
    """Serve a few completions."""
    with running(Scenario(completions=12, seed=3, now=NOW, api_key=KEY)) as server:
        yield server


@pytest.fixture
def config(server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Configure a lake below a folder of its own, and a folder for what is remembered."""
    monkeypatch.setenv("CHATLAKE_STATE", str(tmp_path / "state"))
    path = write_config(tmp_path, server.base_url)
    (tmp_path / "disk").mkdir()
    path.write_bytes(path.read_bytes().replace(b"lake: lake", b"lake: disk/lake"))
    return path


def _everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _without_state(folder: Path) -> None:
    shutil.rmtree(folder / "state")


@pytest.mark.sample(1)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_lake_that_was_there_is_not_begun_anew(
    chatlake: CommandLine, config: Path, loss: str
) -> None:
    """Whatever became of it, a backup changes nothing until `--new-lake`; `doctor` says the same."""
    first = chatlake("backup", "--json")
    lake = config.parent / "disk" / "lake"
    LOSSES[loss](lake)
    before = _everything(config.parent)

    for words in (("backup",), ("backup", "--dry-run"), ("backup", "--full"), ("backup", "--json")):
        refused = chatlake(*words)
        assert refused.code == 1, words
        assert "is missing" in refused.err
        assert "--new-lake" in refused.err
    looked = chatlake("doctor", "--json")
    assert _everything(config.parent) == before
    begun = chatlake("backup", "--new-lake", "--json")
    again = chatlake("backup", "--json")

    assert first.code == 0
    assert first.json["new_lake"] is True
    assert refused.json["error"]["kind"] == "lake_missing"
    (check,) = (check for check in looked.json if check["check"] == "lake")
    assert check["level"] == "error"
    assert "is missing" in check["detail"]
    assert begun.code == 0, begun.err
    assert begun.json["new_lake"] is True
    assert rows(load_settings(config), "SELECT count(*) FROM completions") == [(12,)]
    assert again.code == 0
    assert "new_lake" not in again.json


@pytest.mark.parametrize("loss", SEEN_WITHOUT_A_NOTE)
def test_what_is_left_tells_of_it_too(chatlake: CommandLine, config: Path, loss: str) -> None:
    """On another machine, where nothing is remembered, the place shows that a lake was there."""
    assert chatlake("backup").code == 0
    LOSSES[loss](config.parent / "disk" / "lake")
    _without_state(config.parent)

    refused = chatlake("backup")

    assert refused.code == 1
    assert "is missing" in refused.err


def test_a_first_backup_says_that_it_begins_a_lake(chatlake: CommandLine, config: Path) -> None:
    """It needs no option and says that it creates the lake; the second one does not."""
    assert "created a new lake at" in chatlake("backup").out
    assert "new lake" not in chatlake("backup").out
    assert config.exists()


def test_a_first_backup_that_was_killed_goes_on(config: Path) -> None:
    """Files that a first backup left before its first commit do not count as a lost lake."""
    killed = start(config.parent, "backup", env={"CHATLAKE_FAILPOINT": "commit.started:kill"})
    assert ended(killed).code == -9
    assert list((config.parent / "disk" / "lake").rglob("completions/**/*.parquet"))

    assert ended(start(config.parent, "backup")).code == 0


def test_a_configuration_written_anew_may_begin_anew(chatlake: CommandLine, config: Path) -> None:
    """A folder that was removed with its configuration and made again is not a lost lake."""
    assert chatlake("backup").code == 0
    text = config.read_bytes()
    shutil.rmtree(config.parent / "disk")
    config.unlink()
    config.write_bytes(text)

    assert chatlake("backup").code == 0


def test_a_lake_that_was_moved_goes_on(chatlake: CommandLine, config: Path) -> None:
    """Moved back, copied to another place or reached by a link, it is the lake that it was."""
    assert chatlake("backup").code == 0
    lake = config.parent / "disk" / "lake"
    lake.rename(config.parent / "moved")
    lake.symlink_to(config.parent / "moved")
    linked = chatlake("backup", "--json")
    shutil.copytree(config.parent / "moved", config.parent / "copy")
    other = config.with_name("other.yaml")
    other.write_bytes(config.read_bytes().replace(b"disk/lake", b"copy"))
    copied = chatlake("backup", "--config", "other.yaml", "--json")

    for done in (linked, copied):
        assert done.code == 0
        assert "new_lake" not in done.json
        assert done.json["sources"][0]["new"] == 0


def test_two_configurations_with_one_lake(chatlake: CommandLine, config: Path) -> None:
    """If the lake of one configuration goes missing, a backup with the other one notices it."""
    config.with_name("other.yaml").write_bytes(config.read_bytes())
    assert chatlake("backup").code == 0
    shutil.rmtree(config.parent / "disk" / "lake")

    assert chatlake("backup", "--config", "other.yaml").code == 1


@pytest.mark.parametrize("kind", ["a file", "below a file", "not its own JSON"])
def test_a_state_that_cannot_be_kept_hinders_nothing(
    chatlake: CommandLine, config: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """If nothing can be remembered, a backup runs as if there were nothing to remember."""
    state = config.parent / "state"
    if kind == "not its own JSON":
        assert chatlake("backup").code == 0
        (note,) = (state / "lakes").iterdir()
        note.write_bytes(b"{")
        shutil.rmtree(config.parent / "disk" / "lake")
    else:
        state.write_text("")
    if kind == "below a file":
        monkeypatch.setenv("CHATLAKE_STATE", str(state / "deeper"))

    assert chatlake("backup").code == 0


def test_notes_of_configurations_that_are_gone_go(chatlake: CommandLine, config: Path) -> None:
    """What is remembered does not grow with every lake that there ever was."""
    other = config.with_name("other.yaml")
    other.write_bytes(config.read_bytes().replace(b"disk/lake", b"second"))
    assert chatlake("backup", "--config", "other.yaml").code == 0
    other.unlink()

    assert chatlake("backup").code == 0

    assert len(list((config.parent / "state" / "lakes").iterdir())) == 1


@pytest.mark.slow
def test_a_bucket_whose_prefix_was_emptied(config: Path, s3_lake: str) -> None:
    """A backup notices that a lake in a bucket was emptied, as in a folder."""
    settings: Settings = in_bucket(_with_plain_lake(config), s3_lake)
    assert backup(settings).new_lake
    storage = storage_at(s3_lake)
    for file in list(storage.list()):
        storage.delete(file.path)

    with pytest.raises(LakeMissingError, match="is missing"):
        backup(settings)

    assert list(storage.list()) == []
    assert backup(settings, new_lake=True).exit_code == 0
    assert Lake.open(s3_lake).state.number > 0


def _with_plain_lake(config: Path) -> Path:
    config.write_bytes(config.read_bytes().replace(b"disk/lake", b"lake"))
    os.utime(config)
    return config
