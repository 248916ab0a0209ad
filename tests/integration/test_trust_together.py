"""Redaction, `keep`, forgetting, comparing and copying, all together, in a folder and in a bucket."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatlake import failpoints
from chatlake.bootstrap.backup import open_lake
from chatlake.bootstrap.forgetting import Choice, forget_choice
from chatlake.bootstrap.maintenance import compact_lake, tidy_lake
from chatlake.config import Settings, load_settings
from chatlake.failpoints import FailPointError
from chatlake.lake.copying import copy_lake
from chatlake.lake.lake import Lake
from chatlake.verify.run import verify
from tests.command_line import CommandLine
from tests.forked import killed
from tests.lake_bytes import files_with
from tests.lake_writer import commit
from tests.moto_server import S3Server
from tests.planted import Planted, planted
from tests.support import KEY, KEY_VARIABLE, backup, in_bucket, rows, write_config

CARD, EMAIL, TEAM, NOTE = "4111111111111111", "jane.roe@example.com", "team-of-7431", "note-6512"
FORGOTTEN, EXPIRED, STAYS = "words-to-forget-1", "words-that-expire-1", "words-that-stay-1"
DAY_S = 86_400
RULES = {
    "patterns": ["card", "email"],
    "drop": ["metadata.note"],
    "hash": ["metadata.team"],
    "hash_key": "${HASH_KEY}",
}
GONE = "forget-me-in-a-bucket-1"


@pytest.fixture
def source() -> Iterator[Planted]:
    """Run a source with two completions a day, over three days, full of what is redacted."""
    today = int(time.time()) // DAY_S * DAY_S
    with planted() as source:
        for number in range(6):
            day = number // 2 - 2
            text = EXPIRED if day == -2 else FORGOTTEN if number == 3 else STAYS
            source.add(
                _json(
                    id=f"chatcmpl-{number}",
                    object="chat.completion",
                    created=today + day * DAY_S + number % 2,
                    model="m",
                    metadata={"team": f"{TEAM}-{number}", "note": f"{NOTE}-{number}"},
                    choices=[{"index": 0, "message": {"role": "assistant", "content": text}}],
                ),
                _json(id=f"m-{number}", role="user", content=f"{text}: {CARD}, {EMAIL}"),
            )
        yield source


def _json(**members: Any) -> bytes:
    return json.dumps(members).encode()


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.slow)])
def settings(
    request: pytest.FixtureRequest,
    source: Planted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    """Write a configuration with rules, in the current folder; the lake is there or in a bucket."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setenv("HASH_KEY", "k" * 16)
    monkeypatch.chdir(tmp_path)
    path = write_config(tmp_path, source.base_url, retention="3650d", redact=RULES)
    if request.param == "bucket":
        return in_bucket(path, request.getfixturevalue("s3_lake"))
    return load_settings(path)


def keep(settings: Settings, duration: str) -> Settings:
    """Set `keep`."""
    lines = settings.path.read_text().splitlines()
    lines = [line for line in lines if not line.startswith("keep:")] + [f"keep: {duration}", ""]
    settings.path.write_text("\n".join(lines))
    return load_settings(settings.path)


def test_a_lake_with_all_of_it(
    settings: Settings, source: Planted, chatlake: CommandLine, tmp_path: Path
) -> None:
    """Nothing that is redacted, forgotten or expired is in any byte; nothing comes back or is missed."""
    assert chatlake("backup").code == 0
    redacted = rows(settings, "SELECT redacted FROM runs")
    assert redacted == [({"card": 6, "dropped": 6, "email": 6, "hashed": 6},)]
    source.completions["chatcmpl-3"] = source.completions["chatcmpl-3"].replace(b"-1", b"-1 !")
    assert chatlake("backup", "--full", "--json").json["sources"][0]["changed"] == 1

    keep(settings, "1d")
    assert chatlake("forget", "--expired", "--yes").code == 0
    forgotten = chatlake("forget", "--metadata", f"team={TEAM}-3", "--yes", "--json")
    assert forgotten.json["completions"] == 1  # found by its hash
    assert chatlake("compact").code == 0
    assert chatlake("vacuum", "--older-than", "0s", "--yes").code == 0

    for words in ([], ["--full"], ["--full"]):
        (again,) = chatlake("backup", *words, "--json").json["sources"]
        assert (again["new"], again["changed"], again["deleted"]) == (0, 0, 0)
        assert again["listed"] == (3 if words else 2)  # without the expired and the forgotten
    compared = chatlake("verify", "--against-api", "--sample", "9", "--json")
    (found,) = compared.json["sources"]
    assert (compared.code, found["listed"], found["agreeing"]) == (0, 3, 3)
    assert (found["missing"], found["extra"], found["different"]) == ([], [], [])

    chatlake("export", "raw", "--output", "out.jsonl")
    chatlake("copy", str(tmp_path / "copy"))
    secrets = (CARD, EMAIL, TEAM, NOTE, FORGOTTEN, EXPIRED)
    for lake in (open_lake(settings), Lake.open(tmp_path / "copy")):
        assert files_with(lake, *secrets) == set()
        assert files_with(lake, STAYS)
        assert verify(lake).is_sound
    exported = Path("out.jsonl").read_text()
    assert [each for each in secrets if each in exported] == []
    assert exported.count("\n") == 3


def test_a_longer_keep_brings_back_what_expired_and_nothing_that_was_forgotten(
    settings: Settings, chatlake: CommandLine
) -> None:
    """The comparison names what the lake would keep now; a full backup fetches it, redacted."""
    keep(settings, "1d")
    chatlake("backup")
    chatlake("forget", "--id", "chatcmpl-3", "--yes")
    keep(settings, "9d")
    compared = chatlake("verify", "--against-api", "--json")
    (found,) = compared.json["sources"]
    assert (compared.code, found["missing"]) == (3, ["chatcmpl-0", "chatcmpl-1"])

    (again,) = chatlake("backup", "--full", "--json").json["sources"]
    assert (again["listed"], again["new"]) == (5, 2)
    assert files_with(open_lake(settings), CARD, FORGOTTEN) == set()
    assert chatlake("verify", "--against-api", "--sample", "9").code == 0


def test_ids_that_are_too_old_or_forgotten(
    settings: Settings, tmp_path: Path, chatlake: CommandLine
) -> None:
    """In a selection of ids too they are neither fetched nor missed."""
    (tmp_path / "ids").write_text("\n".join(f"chatcmpl-{number}" for number in range(6)))
    text = settings.path.read_text().replace("openai", "openai\n  select: {ids_file: ids}", 1)
    settings.path.write_text(text)
    keep(settings, "1d")
    done = chatlake("backup", "--json")
    (first,) = done.json["sources"]
    assert (first["new"], first["failed"]) == (4, 0)
    assert "ids left out, because they are older than `keep`: 2" in done.err
    chatlake("forget", "--id", "chatcmpl-3", "--yes")

    (again,) = chatlake("backup", "--json").json["sources"]
    assert (again["new"], again["failed"]) == (0, 0)
    compared = chatlake("verify", "--against-api", "--sample", "9", "--json")
    (found,) = compared.json["sources"]
    assert (compared.code, found["listed"], found["agreeing"]) == (0, 3, 3)
    assert found["missing"] == found["unknown"] == found["extra"] == []


@pytest.mark.parametrize("settings", ["folder"], indirect=True)
def test_what_a_known_value_became(
    settings: Settings, chatlake: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`redact --hash` prints what the lake has, or says that the value was dropped."""
    backup(settings)
    said = chatlake("redact", "--hash", f"{TEAM}-3").out.strip()
    assert said.startswith("hash:")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{TEAM}-3\n"))
    assert chatlake("redact", "--hash", "-", "--json").json == {"hashes": {"openai": said}}
    query = "SELECT completion_id FROM completions WHERE metadata['team'] = "
    assert rows(settings, f"{query}'{said}'") == [("chatcmpl-3",)]

    done = chatlake("forget", "--metadata", f"note={NOTE}-3", "--yes")
    assert done.code == 0
    assert "Nothing to forget" in done.out
    assert "`redact` leaves no value of metadata.note in the lake" in done.err
    assert chatlake("redact", "--hash", "x", "--dry-run").code == 2


@pytest.mark.slow
@pytest.mark.parametrize("point", ["manifest.written", "forget.committed"])
def test_a_forgetting_that_is_killed_in_a_bucket(s3: S3Server, s3_lake: str, point: str) -> None:
    """Before the commit nothing has changed; after it the next writer ends what was begun."""
    lake = Lake.open(s3_lake, create=True)
    for key in (STAYS, GONE):
        with lake.lock():
            commit(lake, key)
    compact_lake(lake)
    killed(s3_lake, "--forget", GONE, at=point, environment={**os.environ, **s3.environment})

    after = Lake.open(s3_lake)
    is_committed = bool(after.state.forgotten)
    with after.connect() as connection:
        shown = connection.execute("SELECT DISTINCT completion_id FROM messages").fetchall()
    assert ((GONE,) in shown) is not is_committed
    assert verify(after).findings == []
    if is_committed:
        tidy_lake(after)
    else:
        assert forget_choice(after, Choice((GONE,)), reason="asked") is not None
    assert files_with(after, GONE) == set()
    assert verify(Lake.open(s3_lake)).findings == []


@pytest.mark.slow
def test_a_copy_to_a_bucket_that_is_stopped(tmp_path: Path, s3_lake: str) -> None:
    """It shows the commit before or the one after; the next copy ends it, forgetting included."""
    lake, there = Lake.open(tmp_path / "lake", create=True), Lake.open(s3_lake, create=True)
    for key in (STAYS, GONE):
        with lake.lock():
            commit(lake, key)
    copy_lake(lake, there, run_id="1")
    forget_choice(lake, Choice((GONE,)), reason="asked")
    with pytest.raises(FailPointError), failpoints.active("manifest.linked"):
        copy_lake(lake, Lake.open(s3_lake), run_id="2")

    stopped = Lake.open(s3_lake)
    with stopped.connect() as connection:
        shown = connection.execute("SELECT DISTINCT completion_id FROM messages ORDER BY 1")
        assert shown.fetchall() in ([(GONE,), (STAYS,)], [(STAYS,)])
    copy_lake(lake, Lake.open(s3_lake), run_id="3")
    assert files_with(stopped, GONE) == set()
    assert verify(Lake.open(s3_lake)).findings == []
    assert Lake.open(s3_lake).state.number == lake.state.number
