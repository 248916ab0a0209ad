"""`chatlake report`: what it says of lakes of every kind, as JSON and as a page."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from chatlake.lake import Lake
from chatlake.model.manifest import Failure
from chatlake.verify.record import Record
from chatlake.verify.run import verify
from tests.command_line import CommandLine, Ended
from tests.reading_lake import completion, reply, store
from tests.support import KEY, KEY_VARIABLE, backup, write_config
from tests.web.report_lakes import (
    COUNT,
    MISSED,
    TODAY,
    UNPRICED,
    Nights,
    configured,
    live_through,
    serving,
)

HOSTILE = "<script>alert(1)</script>[x](javascript:alert(1)) \u202egnp.exe"


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    """Live through nights with a missing one, a gap, a deletion, a change and an unpriced model."""
    with serving() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, KEY)
        yield live_through(server, tmp_path_factory.mktemp("nights"))


def report(chatlake: CommandLine, config: str | Path, *words: str) -> Ended:
    """Run `chatlake report` five hours after the last night."""
    with time_machine.travel(TODAY + timedelta(hours=5), tick=True):
        return chatlake("report", "--config", str(config), *words)


def document(chatlake: CommandLine, config: str | Path, *words: str) -> Any:
    """Return the report as JSON."""
    done = report(chatlake, config, "--json", *words)
    assert done.code == 0, done.err
    return done.json


def headlines(found: Any) -> list[str]:
    """Return the headlines of a report's findings."""
    return [finding["headline"] for finding in found["verdict"]["findings"]]


@pytest.mark.slow
def test_a_source_that_fell_silent_is_a_note_of_its_own(
    chatlake: CommandLine, nights: Nights
) -> None:
    """It is reported with its time, not as an implausible time, and the lake counts as whole."""
    text = nights.settings.path.read_text()
    config = nights.settings.path.with_name("impatient.yaml")
    config.write_text(
        re.sub(r"^( *)lookback:", r"\1silent_after: 1s\n\1lookback:", text, flags=re.MULTILINE)
    )
    found, usual = document(chatlake, config), document(chatlake, nights.config)

    (told,) = [each for each in found["verdict"]["findings"] if "nothing new" in each["headline"]]
    assert told["headline"] == "openai has had nothing new"
    assert told["text"].startswith("nothing new for ")
    assert set(headlines(found)) - set(headlines(usual)) == {told["headline"]}
    assert found["verdict"]["level"] == usual["verdict"]["level"]


def test_all_that_befell_the_lake_is_found(chatlake: CommandLine, nights: Nights) -> None:
    """The missing night, the gap, the deletion and the unpriced model, each with its name."""
    found = document(chatlake, nights.config)
    missed = (TODAY - timedelta(days=MISSED)).date()
    assert headlines(found) == [
        "1 day without a backup",
        "1 gap: a completion not completely stored",
        "1 completion deleted at the source",
        "1 model without a price",
        "The files were never verified",
    ]
    assert found["verdict"]["level"] == "warn"
    assert found["days_without_backup"] == [missed.isoformat()]
    assert [gap["completion_id"] for gap in found["gaps"]] == [nights.gap]
    assert found["gaps"][0]["reason"] == "rejected"
    assert found["gaps"][0]["request_id"].startswith("req_")
    assert [one["completion_id"] for one in found["changes"]["deleted"]] == [nights.deleted]
    assert [one["completion_id"] for one in found["changes"]["changed"]] == [nights.changed]
    assert found["usage"]["models_without_price"] == [UNPRICED]


def test_the_sums_hold_and_equal_what_other_commands_say(
    chatlake: CommandLine, nights: Nights
) -> None:
    """Listed = whole + gaps; stored = present + deleted; figures as in status and the views."""
    found = document(chatlake, nights.config)
    sums = found["reconciliation"]
    assert sums["listed"] == COUNT == sums["stored_whole"] + sums["gaps"]
    assert sums["stored"] == sums["stored_whole"] + sums["stored_in_part"]
    assert sums["stored"] == sums["present"] + sums["deleted"]
    assert (sums["gaps"], sums["deleted"]) == (1, 1)
    assert all(figure["agrees"] for figure in sums["figures"])
    status = chatlake("status", "--config", nights.config, "--json").json["sources"][0]
    values = {figure["name"]: figure["value"] for figure in sums["figures"]}
    assert values["completions"] == status["completions"]
    assert values["messages"] == status["messages"]
    assert values["content parts"] == status["content_parts"]
    assert values["images"] == status["images"]
    query = "SELECT sum(completions) AS c, sum(messages) AS m, sum(images) AS i FROM daily_usage"
    views = chatlake("sql", query, "--config", nights.config, "--json").json[0]
    assert [int(views[key]) for key in "cmi"] == [
        values["completions"], values["messages"], values["image parts"],
    ]  # fmt: skip


def test_tokens_and_dollars_equal_the_views(chatlake: CommandLine, nights: Nights) -> None:
    """By day and model as by metadata: the same tokens, and the dollars of the view costs."""
    usage = document(chatlake, nights.config)["usage"]
    query = (
        "SELECT sum(prompt_tokens + completion_tokens)::BIGINT AS tokens, sum(dollars) AS dollars,"
        " count(*) FILTER (dollars IS NULL) AS unpriced FROM costs"
    )
    views = chatlake("sql", query, "--config", nights.config, "--json").json[0]
    days = usage["by_day_and_model"]
    assert sum(one["total_tokens"] for one in days) == int(views["tokens"]) > 0
    assert sum(one["dollars"] or 0 for one in days) == pytest.approx(float(views["dollars"]))
    assert sum(one["unpriced"] for one in days) == int(views["unpriced"]) > 0
    assert usage["metadata_key"] == "team"
    groups = [*usage["by_value"], usage["unlabelled"]]
    assert sum(one["total_tokens"] for one in groups) == int(views["tokens"])
    assert usage["unlabelled"]["completions"] > 0


def test_a_month_limits_usage_and_calendar(chatlake: CommandLine, nights: Nights) -> None:
    """Days of other months are neither counted nor shown; what is missing stays named."""
    found = document(chatlake, nights.config, "--month", "2025-09")
    assert {one["day"][:7] for one in found["usage"]["by_day_and_model"]} == {"2025-09"}
    assert [day["day"] for day in found["calendar"]][::29] == ["2025-09-01", "2025-09-30"]
    assert found["days_without_backup"] == []
    assert len(found["gaps"]) == 1
    assert found["reconciliation"]["listed"] == COUNT


def test_the_fingerprint_is_that_of_the_newest_manifest(
    chatlake: CommandLine, nights: Nights
) -> None:
    """Its file hashed by hand gives the same first twelve digits."""
    found = document(chatlake, nights.config)
    newest = max((Path(nights.settings.lake_location) / "manifests").glob("0*.json"))
    assert int(newest.stem) == found["commit"]
    assert found["fingerprint"] == hashlib.sha256(newest.read_bytes()).hexdigest()[:12]


def test_the_page_names_all_and_loads_nothing(
    chatlake: CommandLine, nights: Nights, tmp_path: Path
) -> None:
    """One file with a policy that allows its own style alone: no script, no address to load."""
    done = report(chatlake, nights.config)
    assert (done.code, done.out) == (0, "")
    assert "Report written to chatlake-report.html" in done.err
    page = (tmp_path / "chatlake-report.html").read_text()
    for named in (nights.gap, nights.deleted, nights.changed, UNPRICED, "✕", "req_"):
        assert named in page
    assert "default-src 'none'; style-src 'sha256-" in page.replace("&#39;", "'")
    assert re.findall(r"<script|<link|<img|@import|url\(|\ssrc=|\sstyle=|\son\w+=", page) == []
    assert set(re.findall(r'href="([^"#]*)', page)) == {""}
    assert not list(tmp_path.glob("*.tmp"))


def test_the_page_goes_to_standard_output(chatlake: CommandLine, nights: Nights) -> None:
    """With `--output -` it is all that is written there."""
    done = report(chatlake, nights.config, "--output", "-")
    assert done.code == 0
    assert done.out.lstrip().startswith("<!doctype html>")
    assert done.out.rstrip().endswith("</html>")


def test_an_empty_lake_has_a_page(chatlake: CommandLine, tmp_path: Path) -> None:
    """Before the first backup it says so, with no figure made up."""
    config = write_config(tmp_path, "http://127.0.0.1:9/v1")
    Lake.open(tmp_path / "lake", create=True)
    found = document(chatlake, config)
    assert found["verdict"]["headline"] == "Nothing is backed up yet"
    assert headlines(found) == ["No backup of openai has run yet"]
    assert (found["commit"], found["fingerprint"]) == (0, "")
    assert report(chatlake, config).code == 0
    assert "No backup has run yet" in (tmp_path / "chatlake-report.html").read_text()


def test_a_lake_after_one_backup_and_after_another(chatlake: CommandLine, tmp_path: Path) -> None:
    """All is well after the first; the second, which changes nothing, changes no count."""
    with serving() as server:
        settings = configured(server, tmp_path)
        with time_machine.travel(TODAY, tick=False):
            backup(settings)
        first = document(chatlake, settings.path)
        with time_machine.travel(TODAY + timedelta(hours=1), tick=False):
            backup(settings)
        second = document(chatlake, settings.path)
    assert first["verdict"]["headline"] == "Everything is backed up"
    assert f"all {COUNT} completions" in first["verdict"]["sentence"]
    assert second["reconciliation"] == first["reconciliation"]
    assert second["runs"][0]["new"] == 0
    assert second["fingerprint"] != first["fingerprint"]


def test_what_was_forgotten_is_told(chatlake: CommandLine, tmp_path: Path) -> None:
    """The verdict does not claim completions that were erased; the page and `status` count them."""
    config = write_config(tmp_path, "http://127.0.0.1:9/v1")
    lake = Lake.open(tmp_path / "lake", create=True)
    for number in range(3):
        store(lake, [(completion(f"chatcmpl-{number}", f"2026-02-0{number + 1}T10:00"), [])])
    words = ("forget", "--id", "chatcmpl-1", "--yes", "--config", str(config))
    assert chatlake(*words).code == 0

    found = document_at(chatlake, config, datetime.now(UTC))
    sentence = found["verdict"]["sentence"]
    assert "all 2 completions that the source ever listed, except 1 forgotten one" in sentence
    assert (found["reconciliation"]["listed"], found["reconciliation"]["forgotten"]) == (2, 1)
    page = tmp_path / "page.html"
    assert chatlake("report", "--config", str(config), "--output", str(page)).code == 0
    assert "1 completion was forgotten" in page.read_text()
    shown = chatlake("status", "--config", str(config))
    assert "1 completion forgotten for good" in shown.out
    assert chatlake("status", "--config", str(config), "--json").json["forgotten"] == 1


def test_a_verification_is_told(chatlake: CommandLine, tmp_path: Path) -> None:
    """Checked files count for 31 days; a damaged one changes the verdict."""
    config = write_config(tmp_path, "http://127.0.0.1:9/v1")
    lake = Lake.open(tmp_path / "lake", create=True)
    store(lake, [(completion("chatcmpl-1", "2026-02-01T10:00"), [])])
    verify(lake)
    now = document_at(chatlake, config, datetime.now(UTC))
    assert now["verification"]["recent"] == now["verification"]["files"] > 0
    later = document_at(chatlake, config, datetime.now(UTC) + timedelta(days=32))
    assert later["verification"]["recent"] == 0
    record, path = Record.load(lake.storage), next(iter(lake.state.files))
    assert record is not None
    record.updated(lake.state.number, lake.state.files, [], [path]).save(lake.storage)
    hurt = document_at(chatlake, config, datetime.now(UTC))
    assert hurt["verdict"]["level"] == "bad"
    assert headlines(hurt)[0] == "1 file damaged"
    assert hurt["verification"]["damaged"] == [path]


def document_at(chatlake: CommandLine, config: Path, now: datetime) -> Any:
    """Return the report as JSON, of another time."""
    with time_machine.travel(now, tick=True):
        done = chatlake("report", "--json", "--config", str(config))
    assert done.code == 0, done.err
    return done.json


def test_hostile_content_is_text(chatlake: CommandLine, tmp_path: Path) -> None:
    """Models, metadata, ids, reasons and finish reasons of strangers act nowhere."""
    config = write_config(tmp_path, "http://127.0.0.1:9/v1")
    store(
        Lake.open(tmp_path / "lake", create=True),
        [
            (
                completion("chatcmpl-1", "2026-02-01T10:00",
                           reply(finish_reason=HOSTILE), model=HOSTILE,
                           metadata={HOSTILE: HOSTILE}),
                [],
            )
        ],
        failures=[Failure(source="openai", completion_id=HOSTILE, reason=HOSTILE, detail=HOSTILE,
                          request_id=HOSTILE)],
    )  # fmt: skip
    assert chatlake("report", "--config", str(config)).code == 0
    page = (tmp_path / "chatlake-report.html").read_text()
    assert "<script" not in page
    assert "javascript:" not in "".join(re.findall(r'href="[^"]*"', page))
    assert "\u202e" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 7
    assert "⟨U+202E⟩" in page


@pytest.mark.parametrize("month", ["2026", "2026-13", "2026-1", "january", "2026-01-01"])
def test_what_is_no_month_is_refused(chatlake: CommandLine, tmp_path: Path, month: str) -> None:
    """One line says what is expected."""
    config = write_config(tmp_path, "http://127.0.0.1:9/v1")
    done = chatlake("report", "--month", month, "--config", str(config))
    assert done.code == 2
    assert f"--month {month}: expected YYYY-MM" in done.err


def test_a_place_that_cannot_be_written_is_named(
    chatlake: CommandLine, nights: Nights, tmp_path: Path
) -> None:
    """An older report stays as it was."""
    done = report(chatlake, nights.config, "--output", str(tmp_path / "no" / "where.html"))
    assert done.code == 2
    assert "cannot write to" in done.err


def test_the_document_is_json_without_surprises(chatlake: CommandLine, nights: Nights) -> None:
    """Everything on standard output is one document."""
    done = report(chatlake, nights.config, "--json")
    assert json.loads(done.out)["month"] is None
