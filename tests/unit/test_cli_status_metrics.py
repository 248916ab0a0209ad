"""`chatlake status --format openmetrics`: valid for both readers, and true."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_classic

from chatlake.cli.status_facts import StatusFacts, gather
from chatlake.cli.status_metrics import metrics_text
from chatlake.config import Settings
from chatlake.model.forgotten import Forgetting
from chatlake.model.manifest import (
    Failure,
    LakeState,
    Manifest,
    PartFile,
    SourceRun,
    format_time,
)
from chatlake.verify.record import Record

NOW = datetime(2026, 1, 31, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
SETTINGS = Settings.model_validate(
    {
        "version": 1,
        "lake": "lake",
        "sources": [
            {"name": name, "base_url": "https://x/v1", "api_key": "${KEY}", "silent_after": "1h"}
            for name in ("a", "never")
        ],
    }
)


def part(table: str, rows: int, source: str = "a") -> PartFile:
    """Return a file of this many rows."""
    at = format_time(NOW - 5 * HOUR)
    return PartFile(
        table=table, path=f"{table}/{source}", rows=rows, bytes=1000, sha256="", source=source,
        created_date="2026-01-31", min_created_at=at, max_created_at=at,
    )  # fmt: skip


def run(status: str, ago: timedelta, **figures: int) -> SourceRun:
    """Return a run of source a."""
    at = format_time(NOW - ago)
    return SourceRun(
        run_id=at, source="a", status=status, mode="full", started_at=at, finished_at=at,
        seconds=12.5, **figures,
    )  # fmt: skip


def facts(manifest: Manifest | None = None) -> StatusFacts:
    """Return what is known of a lake with this commit."""
    state = LakeState()
    if manifest is not None:
        state.apply(manifest)
    return gather(state, SETTINGS, None, NOW)


STORED = Manifest(
    number=7,
    added=[part("completions", 40), part("messages", 90), part("completions", 3, 'old"\\\n')],
    runs=[
        run("complete", 4 * HOUR, listed=40, new=40),
        run("incomplete", HOUR, listed=2, failed=1),
    ],
    failures=[Failure(source="a", completion_id="c", reason="not_found", detail="")],
    forgotten=[Forgetting(at="", run_id="", completions=2), Forgetting(at="", run_id="")],
)


def values(families: list[Metric]) -> dict[tuple[str, ...], float]:
    """Return each sample's value by its name and the values of its labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def read(text: str) -> list[Metric]:
    """Read the text as strictly as OpenMetrics is."""
    return list(openmetrics.text_string_to_metric_families(text))


def test_it_says_what_the_lake_holds_and_how_the_last_run_ended() -> None:
    """Each figure once, by source; what is not known has no sample."""
    known = facts(STORED)
    known.note_verification(
        Record(checked={"completions/a": NOW - HOUR, "messages/a": None}, damaged=["messages/a"]),
        [file.path for file in STORED.added],
    )
    found = values(read(metrics_text(known)))

    expected = {
        ("chatlake_commit",): 7,
        ("chatlake_completions", "a"): 40,
        ("chatlake_messages", "a"): 90,
        ("chatlake_stored_bytes", "a"): 2000,
        ("chatlake_open_gaps", "a"): 1,
        ("chatlake_last_complete_age_seconds", "a"): 4 * 3600,
        ("chatlake_last_complete_timestamp_seconds", "a"): (NOW - 4 * HOUR).timestamp(),
        ("chatlake_last_complete_timestamp_seconds", "never"): 0,
        ("chatlake_expires_seconds", "a"): 30 * 86_400 - 3600,
        ("chatlake_silent", "a"): 1,
        ("chatlake_silent", "never"): 0,
        ("chatlake_last_run_failed", "a"): 1,
        ("chatlake_last_run_listed", "a"): 2,
        ("chatlake_last_run_duration_seconds", "a"): 12.5,
        ("chatlake_last_run_status", "a", "incomplete"): 1,
        ("chatlake_last_run_status", "a", "complete"): 0,
        ("chatlake_forgotten_completions",): 2,
        ("chatlake_verify_newest_timestamp_seconds",): (NOW - HOUR).timestamp(),
        ("chatlake_verify_unchecked_files",): 2,
        ("chatlake_verify_damaged_files",): 1,
    }
    assert {key: found[key] for key in expected} == expected
    assert ("chatlake_last_complete_age_seconds", "never") not in found


def test_every_metric_is_explained_and_has_its_unit() -> None:
    """Type, help and unit as OpenMetrics asks; all gauges, so that node_exporter reads them too."""
    families = read(metrics_text(facts(STORED)))
    assert len(families) > 25
    for family in families:
        assert family.type == "gauge", family.name
        assert family.documentation.endswith("."), family.name
        ending = family.name.rpartition("_")[2]
        assert family.unit == (ending if ending in {"seconds", "bytes"} else ""), family.name


def test_both_formats_read_the_same() -> None:
    """The classic text format, which the textfile collector reads, has the same samples."""
    text = metrics_text(facts(STORED))
    assert text.endswith("\n# EOF\n")
    assert values(read(text)) == values(list(read_classic(text)))
    assert ("chatlake_completions", 'old"\\\n') in values(read(text))


def test_an_empty_lake_has_metrics_too() -> None:
    """Nothing was backed up yet: zeros and a time of 0, no invalid text."""
    found = values(read(metrics_text(facts())))
    assert found["chatlake_last_complete_timestamp_seconds", "a"] == 0
    assert not [key for key in found if key[0].startswith(("chatlake_last_run", "chatlake_verify"))]
