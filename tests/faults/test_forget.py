"""`forget`: no byte of a text is left in any file, whatever happens, and no backup brings it back."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatlake.bootstrap.backup import open_lake
from chatlake.bootstrap.forgetting import Choice, forget_choice
from chatlake.bootstrap.maintenance import compact_lake, tidy_lake
from chatlake.config import Settings
from chatlake.errors import NotInLakeError
from chatlake.lake import Lake
from chatlake.simulator import Running, Scenario, running
from chatlake.verify.run import verify
from tests.command_line import CommandLine
from tests.forked import killed
from tests.lake_bytes import files_with
from tests.lake_writer import commit
from tests.support import KEY, KEY_VARIABLE, NOW, backup, figures, rows, settings_for, write_config

GONE, STAYS = "forget-me-74312", "stays-with-us-1"
POINTS = [
    "part.written", "part.renamed", "forget.rewritten", "commit.started", "manifest.written",
    "manifest.linked", "commit.applied", "forget.committed", "catalog.written",
    "catalog.swapped", "tidying.started", "tidying.erased", "tidying.ended",
]  # fmt: skip
SHOWN = "SELECT completion_id FROM messages ORDER BY ALL"


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a lake with the completion to forget in a listed file and in a replaced one."""
    lake = Lake.open(tmp_path_factory.mktemp("merged") / "lake", create=True)
    for key in (STAYS, GONE):
        with lake.lock():
            commit(lake, key)
    compact_lake(lake)
    return Path(lake.location)


@pytest.fixture(scope="module")
def made(merged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make such a lake with files of a killed run, too."""
    place = tmp_path_factory.mktemp("made") / "lake"
    shutil.copytree(merged, place)
    killed(str(place), f"{GONE}-too", at="commit.started", environment=os.environ)
    return place


@pytest.fixture
def lake(made: Path, tmp_path: Path) -> Lake:
    """A lake with the completion to forget in a listed file, a replaced one, and a killed run's."""
    write_config(tmp_path, "http://127.0.0.1:1/v1")
    return Lake.open(shutil.copytree(made, tmp_path / "lake"))


def shown(lake: Lake) -> list[tuple[Any, ...]]:
    """Ask the views whose messages there are."""
    with Lake.open(lake.location).connect() as connection:
        return connection.execute(SHOWN).fetchall()


def test_nothing_is_left_in_any_file(lake: Lake) -> None:
    """Listed files, replaced ones and a killed run's; the others' rows stay as they are."""
    assert len(files_with(lake, GONE)) > 3
    report = forget_choice(lake, Choice((GONE,)), reason="asked")
    assert report is not None
    assert (report.receipt.completions, report.receipt.messages) == (1, 2)
    assert {path for path in files_with(lake, GONE) if f"{GONE}-too" not in path} == files_with(
        lake, f"{GONE}-too"
    )
    assert shown(lake) == [(STAYS,), (STAYS,)]
    assert verify(Lake.open(lake.location)).findings == []


@pytest.mark.sample(4)
@pytest.mark.parametrize("point", POINTS)
def test_killed_at(merged: Path, tmp_path: Path, point: str) -> None:
    """Before the commit nothing has changed; after it the next writer ends what was begun."""
    lake = Lake.open(shutil.copytree(merged, tmp_path / "lake"))
    before = shown(lake)
    killed(lake.location, "--forget", GONE, at=point, environment=os.environ)

    after = Lake.open(lake.location)
    is_committed = bool(after.state.forgotten)
    assert shown(after) == [row for row in before if not is_committed or row[0] != GONE]
    assert verify(after).findings == []
    if is_committed:
        tidy_lake(after)
    else:
        assert forget_choice(after, Choice((GONE,)), reason="asked") is not None
    assert files_with(after, GONE) == set()
    assert shown(after) == [(STAYS,), (STAYS,)]
    assert verify(Lake.open(lake.location)).findings == []


def test_the_receipt_has_no_content_and_names_nobody(lake: Lake) -> None:
    """Counts, hashes, files, time and reason; the id cannot be read from it."""
    report = forget_choice(lake, Choice((GONE,)), reason="request 17")
    assert report is not None
    text = Path(report.path).read_text()
    receipt = json.loads(text)
    assert GONE not in text
    assert receipt["reason"] == "request 17"
    assert receipt["erased"]["completions"] == 1
    assert len(receipt["completion_hashes"]) == 1
    assert len(receipt["files"]) == receipt["erased"]["files"] > 2
    state = Lake.open(lake.location).state
    assert state.forgotten.has("openai", GONE)
    assert not state.forgotten.has("openai", STAYS)
    assert not state.forgotten.has("azure", GONE)


def test_the_hashes_survive_a_checkpoint(lake: Lake) -> None:
    """The list of receipts is part of the state, not of the newest commits alone."""
    forget_choice(lake, Choice((GONE,)), reason="")
    from chatlake.model.manifest import CHECKPOINT_EVERY, Manifest

    with lake.lock():
        while lake.state.number < CHECKPOINT_EVERY + 1:
            lake.commit(Manifest())
    for number in range(1, CHECKPOINT_EVERY):
        (Path(lake.location) / f"manifests/{number:012}.json").unlink()
    assert Lake.open(lake.location).state.forgotten.has("openai", GONE)


def test_unknown_ids_are_named_and_nothing_changes(lake: Lake) -> None:
    """One id of two is unknown: neither is forgotten."""
    number = lake.state.number
    with pytest.raises(NotInLakeError, match="never-heard-of"):
        forget_choice(lake, Choice((GONE, "never-heard-of")), reason="")
    assert Lake.open(lake.location).state.number == number


def test_a_source_that_does_not_exist(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, chatlake: CommandLine
) -> None:
    """A mistyped source is a usage error, and not "nothing to forget"."""
    monkeypatch.chdir(Path(lake.location).parent)
    for words in (("--id", GONE), ("--metadata", "a=b"), ("--where", "true")):
        done = chatlake("forget", *words, "--source", "opnai", "--yes")
        assert done.code == 2
        assert "--source 'opnai': there is no such source" in done.err


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Running, Settings]]:
    """An account backed up over some runs: changed completions, images, files that were merged."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.chdir(tmp_path)
    scenario = Scenario(completions=60, seed=17, days=2, now=NOW, image_share=0.5)
    with running(scenario) as server:
        settings = settings_for(tmp_path, server.base_url)
        backup(settings)
        for number in range(10, 30):
            server.edit(server.ids()[number], {"customer": f"c-{number}"})
        backup(settings, full=True)
        yield server, settings


def of(settings: Settings, completion_id: str) -> list[str]:
    """Return texts that only this completion has: of its objects, and images as bytes in hex."""
    texts = rows(
        settings,
        f"""
        WITH texts AS (SELECT completion_id, unnest(string_split(text, '\n')) AS text FROM messages)
        SELECT text FROM texts GROUP BY text
        HAVING length(text) > 20 AND bool_and(completion_id = '{completion_id}')
        """,
    )
    return [completion_id, *(text for (text,) in texts)]


def test_a_backup_does_not_bring_it_back(
    account: tuple[Running, Settings], chatlake: CommandLine
) -> None:
    """Changed completions with images, older versions and replaced files; then three more runs."""
    server, settings = account
    lake = open_lake(settings)
    compact_lake(lake)
    images = rows(
        settings,
        """
        SELECT any_value(p.completion_id), i.data FROM images i JOIN content_parts p
        ON p.image_sha256 = i.sha256 AND p.source = i.source AND p.created_date = i.created_date
        GROUP BY i.sha256, i.data HAVING count(DISTINCT p.completion_id) = 1
        """,
    )
    assert images
    edited = [server.ids()[number] for number in (10, 20)]
    with_image, data = images[0]
    chosen = list(dict.fromkeys([*edited, with_image]))
    texts = [text for each in chosen for text in of(settings, each)]
    assert files_with(lake, *texts)
    before = rows(settings, "SELECT completion_id, raw::VARCHAR FROM messages ORDER BY ALL")

    done = chatlake("forget", *(word for each in chosen for word in ("--id", each)), "--yes")

    assert done.code == 0, done.err
    manifests = {f"manifests/{number:012}.json" for number in range(1, 40)}
    assert files_with(lake, *texts, data) - manifests == set()
    assert files_with(lake, *set(texts) - set(chosen)) == set(), "not even there"
    left = [row for row in before if row[0] not in chosen]
    asked = "SELECT completion_id, raw::VARCHAR FROM messages ORDER BY ALL"
    assert rows(settings, asked) == left
    for full in (False, True, True):
        report = backup(settings, full=full)
        assert report.status == "complete"
        counted = figures(report)
        assert counted["new"] == counted["changed"] == counted["failed"] == 0
    assert backup(settings, ids=[chosen[0], server.ids()[0]]).exit_code == 0
    assert rows(settings, asked) == left
    assert rows(settings, "SELECT count(*) FROM completions WHERE deleted_at IS NOT NULL") == [(0,)]
    assert verify(open_lake(settings)).findings == []
    assert files_with(lake, *texts, data) - manifests == set()


def test_by_metadata_and_by_condition(
    account: tuple[Running, Settings], chatlake: CommandLine
) -> None:
    """All pairs must match; a condition selects among the completions; --dry-run changes nothing."""
    server, settings = account
    ids = server.ids()
    dry = json.loads(chatlake("forget", "--metadata", "customer=c-12", "--dry-run", "--json").out)
    assert dry["completion_ids"] == [ids[12]]
    assert chatlake("forget", "--metadata", "customer=c-12", "--metadata", "x=y", "--yes").code == 0
    assert rows(settings, "SELECT count(*) FROM completions") == [(60,)]
    assert chatlake("forget", "--metadata", "customer=c-12", "--yes").code == 0
    condition = f"completion_id IN ('{ids[1]}', '{ids[2]}')"
    document = json.loads(chatlake("forget", "--where", condition, "--yes", "--json").out)
    assert (document["selected"], document["completions"]) == (2, 2)
    assert rows(settings, "SELECT count(*) FROM completions") == [(57,)]
    assert len(open_lake(settings).state.forgotten.receipts) == 2


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--id", "a", "--where", "true"),
        ("--metadata", "novalue"),
        ("--where", "not sql at all"),
        ("--where", "true"),  # without --yes, and nobody to ask
    ],
)
def test_what_is_refused(lake: Lake, chatlake: CommandLine, words: tuple[str, ...]) -> None:
    """Exit code 2, and nothing is changed."""
    number = lake.state.number
    assert chatlake("forget", *words).code == 2
    assert Lake.open(lake.location).state.number == number


def test_a_catalogue_that_was_open_before(
    account: tuple[Running, Settings], chatlake: CommandLine
) -> None:
    """Views that are opened again no longer show it."""
    _, settings = account
    lake = open_lake(settings)
    with lake.connect() as reader:
        some = reader.execute("SELECT completion_id FROM completions LIMIT 1").fetchone()
    assert some is not None
    assert chatlake("forget", "--id", some[0], "--yes").code == 0
    assert rows(settings, f"FROM completions WHERE completion_id = '{some[0]}'") == []
