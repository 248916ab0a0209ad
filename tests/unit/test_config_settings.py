"""Settings: defaults, places, bounds, and what they compute."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from chatlake.config import Select, Settings, parse_settings
from chatlake.errors import UsageError


def _settings(
    lake: str = "lake", source: str = "", path: str = "/srv/conf/chatlake.yaml"
) -> Settings:
    return parse_settings(
        f"version: 1\nlake: {lake}\nsources:\n- name: openai\n  base_url: https://h/v1/\n"
        f"  api_key: ${{KEY}}\n{source}",
        Path(path),
    )


def test_defaults() -> None:
    """What the file leaves out has the documented default."""
    settings = _settings()
    source = settings.sources[0]
    assert source.base_url == "https://h/v1"
    assert (source.auth, source.images) == ("bearer", "store")
    assert (source.headers, source.query) == ({}, {})
    assert source.select == Select()
    assert (source.select.ids, source.select.ids_file, source.select.metadata) == ((), None, {})
    assert source.lookback == timedelta(hours=24)
    assert source.full_sweep_every == timedelta(days=7)
    assert source.retention == timedelta(days=30)
    pace = source.pace
    assert (pace.concurrency, pace.requests_per_minute, pace.max_attempts) == (32, None, 8)
    assert (pace.timeout, pace.give_up_after) == (timedelta(minutes=1), timedelta(minutes=15))
    assert (settings.schedule.cron, settings.schedule.timezone) == ("0 2 * * *", "UTC")
    assert settings.access == "private"
    runner = settings.runner
    assert (runner.kind, runner.workers, runner.batch_size) == ("threads", 2, 500)
    assert runner.address is None


def test_empty_sections_are_as_if_left_out() -> None:
    """A section whose entries are all commented out is the default."""
    source = "  select:\n  pace:\n  headers:\n  query:\nrunner:\n"
    assert _settings(source=source) == _settings()
    assert _settings(source="  select: {ids: , metadata: }\n") == _settings()


def test_null_turns_off() -> None:
    """`null` turns off the full sweep, and `0s` the lookback."""
    source = _settings(source="  full_sweep_every: null\n  lookback: 0s\n").sources[0]
    assert source.full_sweep_every is None
    assert source.lookback == timedelta(0)


@pytest.mark.parametrize(
    ("lake", "location"),
    [
        ("lake", "/srv/conf/lake"),
        ("../data/lake/", "/srv/data/lake"),
        ("/var/lake", "/var/lake"),
        ("~/lake", "/home/ada/lake"),
        ("'with space'", "/srv/conf/with space"),
        ("s3://bucket/lake/", "s3://bucket/lake"),
        ("gs://bucket", "gs://bucket"),
        ("az://container/a/b", "az://container/a/b"),
        ("${CHATLAKE_TEST_LAKE}/x", "s3://from-env/x"),
    ],
)
def test_lake_location(monkeypatch: pytest.MonkeyPatch, lake: str, location: str) -> None:
    """A folder is found from the configuration's own folder; an address stays."""
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("CHATLAKE_TEST_LAKE", "s3://from-env")
    assert _settings(lake).lake_location == location


def test_paths_start_from_the_given_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A linked configuration and one named from elsewhere mean the same places."""
    monkeypatch.chdir(tmp_path)
    settings = _settings(source="  select: {ids_file: ids.txt}\n", path="sub/chatlake.yaml")
    assert settings.path == tmp_path / "sub/chatlake.yaml"
    assert settings.lake_location == str(tmp_path / "sub/lake")
    assert settings.sources[0].select.ids_file == tmp_path / "sub/ids.txt"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T08:00", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("2026-01-31 08:00:30.5", datetime(2026, 1, 31, 8, 0, 30, 500_000, tzinfo=UTC)),
        ("2026-01-31T08:00:00Z", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("'2026-01-31T08:00:00+02:00'", datetime(2026, 1, 31, 6, tzinfo=UTC)),
    ],
)
def test_instants_are_utc(text: str, expected: datetime) -> None:
    """Dates are midnight UTC, times without offset are UTC, others are converted."""
    found = (
        _settings(source=f"  select:\n    created_after: {text}\n").sources[0].select.created_after
    )
    assert found == expected
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "cron",
    ["*/5 0-6 1,15 * *", "0 2 * * MON-FRI", "0 0 1 jan,JUL 7", "0 2 L * 5#2", " 0  2 * * * "],
)
def test_cron_forms(cron: str) -> None:
    """Ranges, lists, steps and names are cron expressions too."""
    assert _settings(source=f"schedule: {{cron: '{cron}'}}\n").schedule.cron == " ".join(
        cron.split()
    )


def test_settings_are_frozen() -> None:
    """Nothing can be changed after loading."""
    settings = _settings()
    with pytest.raises(ValidationError):
        settings.lake = "elsewhere"
    with pytest.raises(ValidationError):
        settings.sources[0].pace.concurrency = 1


def test_fingerprint_tells_widened_selections_apart() -> None:
    """The fingerprint is stable, blind to order and ids, and changes with every bound."""
    same = [
        Select(metadata={"a": "1", "b": "2"}, model="m"),
        Select(metadata={"b": "2", "a": "1"}, model="m", ids=("x",)),
    ]
    others = [
        Select(),
        Select(model="m"),
        Select(metadata={"a": "m"}),
        Select(created_after=datetime(2026, 1, 1, tzinfo=UTC)),
        Select(created_before=datetime(2026, 1, 1, tzinfo=UTC)),
    ]
    prints = [select.fingerprint() for select in (*same, *others)]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 6
    assert Select().fingerprint() == "7a725e432da38842"


def test_unknown_source_is_a_usage_error() -> None:
    """The error names the missing source, and those that exist."""
    settings = _settings()
    assert settings.source("openai") is settings.sources[0]
    with pytest.raises(
        UsageError, match=r"no source 'opanai' in .*did you mean 'openai'"
    ) as caught:
        settings.source("opanai")
    assert caught.value.hint == "Sources: openai."


def test_dump_is_what_people_write() -> None:
    """A dump shows durations, instants and references in the file's own words."""
    dump = _settings(source="  select: {created_after: 2026-01-31}\n").model_dump(mode="json")
    source = dump["sources"][0]
    assert (source["lookback"], source["api_key"]) == ("1d", "${KEY}")
    assert source["select"]["created_after"] == "2026-01-31T00:00:00Z"
