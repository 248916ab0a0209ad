"""`verify --against-api`: the lake compared with its source, and every difference reported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatlake.backup.ports import CompletionApi
from chatlake.bootstrap.backup import open_lake
from chatlake.model.objects import Completion
from chatlake.simulator import Faults, Running, Scenario, running
from chatlake.verify import source as source_module
from tests.command_line import CommandLine
from tests.faults.forged import forge_row, link_again
from tests.support import NOW, backup, settings_for


@pytest.fixture
def server() -> Iterator[Running]:
    """Run an account of twenty completions."""
    with running(Scenario(completions=20, seed=11, days=3, now=NOW, image_share=0.2)) as server:
        yield server


@pytest.fixture
def chatlake_there(server: Running, tmp_path: Path, chatlake: CommandLine) -> CommandLine:
    """Back up the account, in the folder where the commands run."""
    backup(settings_for(tmp_path, server.base_url, retention="3650d"))
    return chatlake


def compared(chatlake: CommandLine, *more: str) -> tuple[int, dict[str, Any]]:
    """Run the command; return its exit code and what it says of the one source."""
    done = chatlake("verify", "--against-api", "--json", *more)
    (source,) = json.loads(done.out)["sources"]
    return done.code, source


def test_a_source_that_is_all_there(chatlake_there: CommandLine) -> None:
    """Everything agrees, and the whole sample is equal by value."""
    code, source = compared(chatlake_there, "--sample", "20", "--seed", "1")

    assert code == 0
    assert (source["listed"], source["agreeing"], len(source["sampled"])) == (20, 20, 20)
    ids = ("missing", "incomplete", "changed", "newer", "extra", "different", "kept", "unfetched")
    assert [source[name] for name in ids] == [[]] * len(ids)


def test_a_source_that_was_changed_since(
    server: Running, chatlake_there: CommandLine, tmp_path: Path
) -> None:
    """Edited, deleted and new completions are named, each as what it is; exit code 3."""
    ids = server.ids()
    for number in (5, 15):
        server.edit(ids[number], {"edited": "yes"})
    server.delete(ids[7])
    server.grow(4)
    new = set(server.ids()) - set(ids)

    code, source = compared(chatlake_there)

    assert code == 3
    assert set(source["changed"]) == {ids[5], ids[15]}
    assert source["extra"] == [ids[7]]
    assert set(source["newer"] + source["missing"]) == new
    assert source["agreeing"] == 17
    assert source["different"] == []


def test_a_completion_that_was_taken_out_of_the_lake(
    chatlake_there: CommandLine, server: Running, tmp_path: Path
) -> None:
    """A row that a forger removed is missing, though the lake itself is in order."""
    lake = open_lake(settings_for(tmp_path, server.base_url, retention="3650d"))
    file = lake.state.table_files("completions")[0]
    gone: list[str] = []

    def rename(row: dict[str, Any]) -> dict[str, Any]:
        gone.append(row["completion_id"])
        return row | {"completion_id": "chatcmpl-forged"}

    assert forge_row(Path(lake.location), file, rename)
    link_again(Path(lake.location))

    done = chatlake_there("verify", "--against-api", "--json")

    (source,) = json.loads(done.out)["sources"]
    assert done.code == 7
    assert source["missing"] == gone
    assert source["extra"] == ["chatcmpl-forged"]


@pytest.mark.parametrize("text", ["assistant", "user"])
def test_a_message_that_was_changed_behind_chatlake_s_back(
    chatlake_there: CommandLine, server: Running, tmp_path: Path, text: str
) -> None:
    """Raw and columns agree, every hash is right, the list does not show it: the sample does."""
    lake = open_lake(settings_for(tmp_path, server.base_url, retention="3650d"))
    files = lake.state.table_files("messages")  # in no certain order of days
    forged: list[str] = []

    def change(row: dict[str, Any]) -> dict[str, Any] | None:
        if row["role"] != text or row["name"] is not None or row["direction"] != "input":
            return None
        raw = json.loads(row["raw"])
        if raw.get("content_parts"):
            return None  # written again, its parts would differ from the rows of the parts
        forged.append(row["completion_id"])
        return row | {"name": "forged", "raw": json.dumps(raw | {"name": "forged"})}

    assert any(forge_row(Path(lake.location), file, change) for file in files)
    link_again(Path(lake.location))
    assert chatlake_there("verify").code == 0

    code, source = compared(chatlake_there, "--sample", "20")

    assert code == 7
    assert source["different"] == forged
    done = chatlake_there("verify", "--against-api", "--sample", "20")
    assert forged[0] in done.out
    assert "1 completion in the lake differs from what the source sends" in done.err


def test_the_same_seed_chooses_the_same_sample(chatlake_there: CommandLine) -> None:
    """An auditor can repeat it; another seed looks elsewhere."""
    chosen = [
        set(compared(chatlake_there, "--sample", "5", "--seed", seed)[1]["sampled"])
        for seed in ("42", "42", "43")
    ]
    assert chosen[0] == chosen[1] != chosen[2]
    assert len(chosen[0]) == 5


def test_what_expired_is_not_missing(
    server: Running, tmp_path: Path, chatlake: CommandLine
) -> None:
    """The source has dropped what is older than its retention: exit code 0, and a number."""
    backup(settings_for(tmp_path, server.base_url, retention="1d"))
    for completion_id in server.ids()[:10]:
        server.delete(completion_id)

    code, source = compared(chatlake)

    assert code == 0
    assert (source["expired"], source["extra"]) == (10, [])


def test_a_selection_of_ids(server: Running, tmp_path: Path, chatlake: CommandLine) -> None:
    """Each id is requested: what changed, came or went there is named, and what is no gap is not."""
    ids = server.ids()
    gone, edited, forgotten, late = ids[3], ids[9], ids[14], ids[19]
    path = tmp_path / "ids.txt"
    path.write_text("\n".join([*ids[:19], "chatcmpl-of-nobody"]))
    settings = settings_for(
        tmp_path, server.base_url, retention="3650d", select={"ids_file": "ids.txt"}
    )
    backup(settings)
    assert chatlake("forget", "--id", forgotten, "--yes").code == 0
    server.delete(gone)
    code, source = compared(chatlake, "--sample", "20")
    assert (code, source["listed"], source["agreeing"]) == (0, 19, 17)
    assert (source["extra"], source["unknown"]) == ([gone], ["chatcmpl-of-nobody"])
    assert len(source["sampled"]) == 17

    server.edit(edited, {"edited": "yes"})
    path.write_text("\n".join(ids[:20]))
    code, source = compared(chatlake, "--sample", "20")
    assert (code, source["changed"], source["missing"]) == (3, [edited], [late])
    assert (source["different"], source["unfetched"], source["unknown"]) == ([], [], [])


def test_a_completion_that_is_edited_while_it_is_compared(
    chatlake_there: CommandLine, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the list and the sample it has changed at the source: a change, no damage."""
    edited = server.ids()[5]
    fetch = source_module.get_completion

    async def edit_first(api: CompletionApi, completion_id: str) -> Completion:
        server.edit(edited, {"edited": "yes"})
        return await fetch(api, completion_id)

    monkeypatch.setattr(source_module, "get_completion", edit_first)
    code, source = compared(chatlake_there, "--sample", "20")
    assert (code, source["changed"], source["different"]) == (3, [edited], [])
    assert source["agreeing"] == 19


def test_options_of_the_comparison_alone(chatlake_there: CommandLine) -> None:
    """--source and --seed say nothing without it; an unknown source is named."""
    assert chatlake_there("verify", "--seed", "1").code == 2
    done = chatlake_there("verify", "--against-api", "--source", "nobody")
    assert done.code == 2
    assert "nobody" in done.err


@pytest.mark.parametrize("by_id", [False, True], ids=["sample", "ids"])
def test_a_refusal_ends_it_by_its_own_code(
    server: Running, chatlake_there: CommandLine, tmp_path: Path, *, by_id: bool
) -> None:
    """A key that lapses meanwhile is one error, though many requests meet it at once."""
    if by_id:
        settings_for(tmp_path, server.base_url, select={"ids": server.ids()[:9]})
    server.set_faults(Faults(error_401=1, routes="get"))

    done = chatlake_there("verify", "--against-api", "--sample", "9")

    assert done.code == 5
    assert "401" in done.err
    assert "unexpected" not in done.err
