"""`chatlake verify`: what it says, its exit codes, its JSON."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from chatlake.lake import Lake, manifests
from chatlake.simulator import Scenario, running
from tests.command_line import CommandLine
from tests.support import KEY_VARIABLE, NOW, backup, settings_for


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Back up an account once, into a folder with its configuration."""
    folder = tmp_path_factory.mktemp("stored")
    with running(Scenario(completions=120, seed=9, now=NOW, image_share=0.2)) as server:
        backup(settings_for(folder, server.base_url))
    return folder


@pytest.fixture
def folder(stored: Path, tmp_path: Path) -> Path:
    """Copy it, to damage it."""
    shutil.copytree(stored, tmp_path / "copy")
    Lake.open(tmp_path / "copy" / "lake").ensure_catalog()
    return tmp_path / "copy"


@pytest.fixture
def chatlake(chatlake: CommandLine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Run commands where the lake is; without its source's key, which reading does not need."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv(KEY_VARIABLE)
    return chatlake


def damage(folder: Path) -> str:
    """Cut one byte off a data file; return its path in the lake."""
    path = Lake.open(folder / "lake").state.table_files("messages")[0].path
    file = folder / "lake" / path
    file.write_bytes(file.read_bytes()[:-1])
    return path


def test_a_sound_lake_is_one_line(chatlake: CommandLine, folder: Path) -> None:
    """Exit code 0, how many files and bytes, and nothing on standard error."""
    count = len(Lake.open(folder / "lake").state.files)

    done = chatlake("verify")

    assert (done.code, done.err) == (0, "")
    (line,) = done.out.splitlines()
    assert line.startswith(f"{count} files, ")
    assert "no damage" in line


def test_a_sound_lake_as_json(chatlake: CommandLine, folder: Path) -> None:
    """The figures are those of the manifest."""
    files = Lake.open(folder / "lake").state.files.values()

    document = chatlake("verify", "--json").json

    assert document["status"] == "sound"
    assert document["files"] == len(files)
    assert document["bytes"] == sum(file.bytes for file in files)
    assert document["rows"] == sum(file.rows for file in files)
    assert document["seconds"] >= 0
    assert document["subset"] is None
    assert document["findings"] == []
    assert "error" not in document


def test_damage_is_named_with_what_to_do(chatlake: CommandLine, folder: Path) -> None:
    """Exit code 7: file, problem and remedy on standard output, the sum on standard error."""
    path = damage(folder)

    done = chatlake("verify")

    assert done.code == 7
    assert f"{path}: has " in done.out
    assert "chatlake backup --full" in done.out
    assert "1 problem" in done.out.splitlines()[-1]
    assert "is damaged: 1 problem in 1 file" in done.err
    assert done.err.splitlines()[-1].startswith("hint: ")


def test_damage_as_json(chatlake: CommandLine, folder: Path) -> None:
    """The same findings, and the error in the form of every command."""
    path = damage(folder)

    done = chatlake("verify", "--json")

    assert done.code == 7
    assert done.json["status"] == "damaged"
    (finding,) = done.json["findings"]
    assert set(finding) == {"path", "kind", "problem", "remedy"}
    assert (finding["path"], finding["kind"]) == (path, "size")
    assert set(done.json["error"]) == {"kind", "message", "hint"}
    assert done.json["error"]["kind"] == "damaged"


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_lake_that_cannot_be_opened_is_verified(
    chatlake: CommandLine, folder: Path, words: tuple[str, ...]
) -> None:
    """A damaged manifest, at which other commands stop, is one finding among others."""
    path, manifest = damage(folder), manifests.manifest_path(1)
    (folder / "lake" / manifest).write_bytes(b"{}")
    shutil.copyfile(folder / "lake" / manifests.manifest_path(2), folder / "keep")
    assert chatlake("status").code == 7

    done = chatlake("verify", *words)

    assert done.code == 7
    assert manifest in done.out
    assert path not in done.out, "the only manifest that lists it is the damaged one"


def test_parts_cover_the_lake(chatlake: CommandLine, folder: Path) -> None:
    """`--subset K/N` reads an Nth of the files each time; N find what is damaged anywhere."""
    path = damage(folder)
    count = len(Lake.open(folder / "lake").state.files)

    done = [chatlake("verify", "--subset", f"{part}/4", "--json") for part in range(1, 5)]

    documents: list[dict[str, Any]] = [one.json for one in done]
    assert [document["subset"] for document in documents] == ["1/4", "2/4", "3/4", "4/4"]
    assert documents[0]["files"] == -(-count // 4)
    assert sum(document["files"] for document in documents) >= count
    assert path in {f["path"] for document in documents for f in document["findings"]}
    assert [one.code for one in done] == [7 if one["findings"] else 0 for one in documents]


def test_a_part_says_that_it_is_one(chatlake: CommandLine, folder: Path) -> None:
    """The line does not read as if all files had been read."""
    count = len(Lake.open(folder / "lake").state.files)

    done = chatlake("verify", "--subset", "2/4")

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{-(-count // 4)} of {count} files, ")


@pytest.mark.sample(1)
@pytest.mark.parametrize("subset", ["5/4", "0/4", "4", "x/y"])
def test_a_wrong_subset_is_wrong_usage(chatlake: CommandLine, subset: str) -> None:
    """Exit code 2, and what is expected."""
    done = chatlake("verify", "--subset", subset)

    assert (done.code, done.out) == (2, "")
    assert f"--subset {subset}" in done.err


def test_no_lake_and_a_newer_one(chatlake: CommandLine, folder: Path) -> None:
    """Exit codes 1 and 7, as in every other command."""
    newest = folder / "lake" / manifests.manifest_path(2)
    newest.write_bytes(b'{"format": 2}')
    done = chatlake("verify", "--json")
    assert (done.code, done.json["error"]["kind"]) == (7, "format")

    shutil.rmtree(folder / "lake")
    done = chatlake("verify", "--json")
    assert (done.code, done.json["error"]["kind"]) == (1, "no_lake")
    assert "chatlake backup" in done.err
    assert not (folder / "lake").exists()


def test_a_file_that_was_restored_is_sound_again(
    chatlake: CommandLine, stored: Path, folder: Path
) -> None:
    """Restored from a copy, as the remedy says."""
    path = damage(folder)
    assert chatlake("verify").code == 7

    shutil.copyfile(stored / "lake" / path, folder / "lake" / path)

    assert chatlake("verify").code == 0
