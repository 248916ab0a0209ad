"""A source that refuses: for now, for long, or for good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatlake.simulator import Faults, Running, Scenario, running
from tests.command_line import CommandLine
from tests.faults.source_runs import (
    REQUESTS,
    SMALL,
    VirtualTime,
    backup_in,
    check_equal,
    check_incomplete,
    check_sound,
)
from tests.support import NOW, rows, settings_for, write_config

ONE_AT_A_TIME = {"concurrency": 1}


@pytest.fixture
def server() -> Iterator[Running]:
    """Serve few completions."""
    with running(SMALL) as server:
        yield server


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("style", "seconds", "waited"),
    [
        ("none", 0.0, 0.5 + 1 + 2),  # its own waits, as short as they may be
        ("seconds", 33.0, 3 * 33.0),
        ("fraction", 33.25, 3 * 33.25),
        ("ms", 33_250 / 1000, 3 * 33.25),
        ("date", 33.0, 3 * 33.0),
    ],
)
def test_a_429_is_waited_for_as_long_as_it_says(
    server: Running, tmp_path: Path, style: Any, seconds: float, waited: float
) -> None:
    """Whatever the spelling of Retry-After, and without one: all is stored, exit code 0."""
    time = VirtualTime()
    settings = settings_for(tmp_path, server.base_url, pace=ONE_AT_A_TIME)
    server.set_faults(
        Faults(error_429=1, at_most=3, retry_after=style, retry_after_seconds=seconds)
    )
    began = time.now

    report = backup_in(time, settings)

    assert report.exit_code == 0
    run = report.sources[0].run
    assert (run.rate_limited, run.retries, run.requests) == (3, 3, REQUESTS + 3)
    # An HTTP date has whole seconds, and each pause adds the slower pace after a refusal.
    assert waited - 3 * (style == "date") <= time.now - began <= waited + 12
    check_equal(settings, server)


def test_a_429_that_asks_for_more_than_give_up_after_ends_the_run_soon(
    server: Running, chatlake: CommandLine, tmp_path: Path
) -> None:
    """Exit code 6 without a wait; what came before stays, and the requested time is named."""
    pace = {"concurrency": 1, "give_up_after": "60s"}
    settings = settings_for(tmp_path, server.base_url, pace=pace)
    server.set_faults(Faults(error_429=6, retry_after="seconds", retry_after_seconds=7200))

    done = chatlake("backup", "--json")

    assert done.code == 6
    assert server.stats()["total"] == 6
    assert "error: openai: the service keeps failing: " in done.err
    assert "asks to wait 7200 s" in done.err
    assert "hint: Run again later" in done.err
    assert "give_up_after" in done.json["error"]["hint"]
    assert "Everything else was stored" not in done.err
    held = check_sound(settings, server)
    assert len(held.whole) == done.json["sources"][0]["new"] > 0
    server.set_faults(None)
    assert chatlake("backup").code == 0
    check_equal(settings, server)


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        ("quota", "Raise the quota"),
        ("error_401", "Check the key"),
        ("error_403", "read permission"),
    ],
)
def test_a_refusal_for_good_in_the_middle_ends_the_run_at_once(
    server: Running, tmp_path: Path, fault: str, remedy: str
) -> None:
    """Exit code 5 with the remedy, once the list is refused too; what was fetched is committed."""
    settings = settings_for(tmp_path, server.base_url, pace=ONE_AT_A_TIME)
    # One answer that is to be asked for again gives the moment from which all are refused.
    server.set_faults(Faults(error_503=7, at_most=1))
    time = VirtualTime(on_wait=lambda: server.set_faults(Faults(**{fault: 1})))

    report = backup_in(time, settings)

    assert (report.exit_code, report.status) == (5, "failed")
    error = report.sources[0].error
    assert error is not None
    assert remedy in error.hint
    assert server.stats()["total"] == 7 + 2  # the request again, and the list
    held = check_sound(settings, server)
    run = report.sources[0].run
    assert len(held.whole) == run.new > 0
    assert (run.failed, held.named) == (0, set())
    assert rows(settings, "SELECT status FROM runs") == [("failed",)]
    server.set_faults(None)
    assert backup_in(VirtualTime(), settings).exit_code == 0
    check_equal(settings, server)


@pytest.mark.sample(1)
@pytest.mark.parametrize("fault", ["quota", "error_401", "error_403"])
def test_a_refusal_that_passes_is_one_completions(
    server: Running, tmp_path: Path, fault: str
) -> None:
    """While the list answers, a refusal in the middle is a named failure, and the run continues."""
    settings = settings_for(tmp_path, server.base_url, pace=ONE_AT_A_TIME)
    server.set_faults(Faults(**{fault: 8}, at_most=1))

    report = backup_in(VirtualTime(), settings)

    check_incomplete(report, settings, server)
    assert report.sources[0].run.failed == 1
    assert backup_in(VirtualTime(), settings).exit_code == 0
    check_equal(settings, server)


def test_an_account_without_the_list_is_told_of_ids(chatlake: CommandLine, tmp_path: Path) -> None:
    """405 on the list: exit code 5 after one request, with the hint that then works."""
    with running(Scenario(completions=5, now=NOW, list_status=405)) as server:
        settings = settings_for(tmp_path, server.base_url)
        refused = chatlake("backup", "--json")
        asked = server.stats()["total"]
        (tmp_path / "ids.txt").write_text("\n".join(server.ids()))
        given = chatlake("backup", "--ids-file", "ids.txt")

        assert (refused.code, asked) == (5, 1)
        assert refused.json["error"]["kind"] == "not_supported"
        assert "--ids-file" in refused.json["error"]["hint"]
        assert given.code == 0
        check_equal(settings, server)


@pytest.mark.sample(1)
@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_storm_of_503_of_a_minute_is_survived(tmp_path: Path, concurrency: int) -> None:
    """Every request that meets it is asked again until it is over: nothing fails, all is stored."""
    time = VirtualTime()
    # Ten requests a second, so that the storm breaks when about half of them are answered.
    pace = {"concurrency": concurrency, "requests_per_minute": 600}
    storm = Faults(outage_after=0.8, outage_seconds=60)
    with running(SMALL, storm, clock=time.clock) as server:
        settings = settings_for(tmp_path, server.base_url, pace=pace)

        report = backup_in(time, settings)

        statuses = server.stats()["statuses"]
        assert report.exit_code == 0
        assert statuses["200"] == REQUESTS
        assert statuses["503"] == report.sources[0].run.retries >= 7
        assert all("503" in why for _, why in time.waits)
        check_equal(settings, server)


@pytest.mark.slow
def test_a_storm_of_503_without_an_end_leaves_what_was_stored(tmp_path: Path) -> None:
    """The service is given up in bounded time: exit code 6, and the next run completes."""
    time = VirtualTime()
    pace = {"concurrency": 2, "requests_per_minute": 600}
    storm = Faults(outage_after=0.8, outage_seconds=1e9)
    with running(SMALL, storm, clock=time.clock) as server:
        settings = settings_for(tmp_path, server.base_url, pace=pace)

        report = backup_in(time, settings)

        assert (report.exit_code, report.status) == (6, "failed")
        assert time.now - 1000 < 900
        held = check_sound(settings, server)
        assert len(held.whole) == report.sources[0].run.new > 0
        server.set_faults(None)
        assert backup_in(time, settings).exit_code == 0
        check_equal(settings, server)


def test_a_list_that_is_limited_for_long_says_when_to_come_again(
    server: Running, chatlake: CommandLine, tmp_path: Path
) -> None:
    """A first 429 that asks for too long: exit code 6 after one request, with the time."""
    write_config(tmp_path, server.base_url, pace={"give_up_after": "60s"})
    server.set_faults(Faults(error_429=1, retry_after="seconds", retry_after_seconds=7200))

    done = chatlake("backup")

    assert done.code == 6
    assert server.stats()["total"] == 1
    assert "asks to wait 7200 s" in done.err
    assert "hint: Run again later" in done.err
