"""Responses that break off, come too slowly, or break the API's rules are never trusted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatlake.config import Settings
from chatlake.simulator import Faults, Running, running
from tests.faults.source_runs import (
    REQUESTS,
    SMALL,
    VirtualTime,
    backup_in,
    check_equal,
    check_incomplete,
    check_sound,
)
from tests.support import figures, rows, settings_for

PAGES = dataclasses.replace(SMALL, completions=130)
ATTEMPTS = 4
ONE_AT_A_TIME = {"concurrency": 1, "max_attempts": ATTEMPTS}
UNREADABLE = ("truncated", "invalid_json", "wrong_types", "html_200", "empty_page")
REFUSED = ("error_500", "error_502", "error_503")


@pytest.fixture
def time() -> VirtualTime:
    """Let waits cost no time."""
    return VirtualTime()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """Serve few completions, or those that the test asks for."""
    with running(getattr(request, "param", SMALL)) as server:
        yield server


@pytest.fixture
def settings(server: Running, tmp_path: Path) -> Settings:
    """Ask for one thing at a time, so that it is known which request meets the fault."""
    return settings_for(tmp_path, server.base_url, pace=ONE_AT_A_TIME)


@pytest.mark.sample(2)
@pytest.mark.parametrize("fault", ["reset", *UNREADABLE, *REFUSED])
def test_a_fault_that_passes_costs_nothing_but_requests(
    server: Running, settings: Settings, time: VirtualTime, fault: str
) -> None:
    """The list, then messages, meet it three times each: asked again, the lake is equal."""
    times = ATTEMPTS - 1
    server.set_faults(Faults(**{fault: 1}, routes="list", at_most=times))

    def go_on_to_messages() -> None:
        if len(time.waits) == times:
            server.set_faults(Faults(**{fault: 1}, routes="messages", at_most=times))

    time.on_wait = go_on_to_messages
    report = backup_in(time, settings)

    assert report.exit_code == 0
    run = report.sources[0].run
    assert run.retries == len(time.waits) == 2 * times
    assert run.requests == server.stats()["total"] == REQUESTS + 2 * times
    check_equal(settings, server)


@pytest.mark.sample(1)
@pytest.mark.parametrize("server", [PAGES], indirect=True)
@pytest.mark.parametrize("route", ["list", "messages"])
def test_a_page_that_repeats_is_asked_for_again(
    server: Running, settings: Settings, time: VirtualTime, route: str
) -> None:
    """A first page in the place of a later one is neither stored twice nor taken for the end."""
    server.set_faults(Faults(repeated_page=1, routes=route, at_most=ATTEMPTS))

    report = backup_in(time, settings)

    assert report.exit_code == 0
    # After the first page, the request continues from its last item, and only then it repeats.
    assert report.sources[0].run.retries == ATTEMPTS - 1
    check_equal(settings, server)


@pytest.mark.sample(1)
@pytest.mark.parametrize("server", [PAGES], indirect=True)
@pytest.mark.parametrize("route", ["list", "messages"])
def test_a_page_that_repeats_uses_up_no_attempt(
    server: Running, tmp_path: Path, time: VirtualTime, route: str
) -> None:
    """Even if HTTP faults may not be retried, a repeated page is requested again."""
    pace = ONE_AT_A_TIME | {"max_attempts": 1}
    settings = settings_for(tmp_path, server.base_url, pace=pace)
    server.set_faults(Faults(repeated_page=1, routes=route, at_most=ATTEMPTS))

    report = backup_in(time, settings)

    assert report.exit_code == 0
    run = report.sources[0].run
    assert run.retries == len(time.waits) == ATTEMPTS - 1
    assert run.requests == server.stats()["total"]
    assert run.rate_limited == 0
    check_equal(settings, server)


@pytest.mark.sample(1)
@pytest.mark.parametrize("server", [PAGES], indirect=True)
@pytest.mark.parametrize("route", ["list", "messages"])
def test_pages_that_overlap_double_nothing(
    server: Running, settings: Settings, time: VirtualTime, route: str
) -> None:
    """What two pages hold is stored and counted once, without another request."""
    server.set_faults(Faults(overlapping_page=1, routes=route))

    report = backup_in(time, settings)

    assert report.exit_code == 0
    assert server.stats()["faults"]["overlapping_page"] > 0
    assert report.sources[0].run.retries == 0
    assert figures(report)["listed"] == len(server.ids())
    check_equal(settings, server)


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("fault", "reason", "told"),
    [
        ("truncated", "invalid_response", "Not enough data"),
        ("invalid_json", "invalid_response", "JSON"),
        ("wrong_types", "invalid_response", "Expected `array`"),
        ("html_200", "invalid_response", "JSON"),
        ("empty_page", "invalid_response", "an empty page and says there is more"),
        ("repeated_page", "invalid_response", "repeats the page"),
        ("error_503", "retries_exhausted", "503"),
    ],
)
def test_messages_that_stay_faulty_are_a_named_failure(
    server: Running, settings: Settings, fault: str, reason: str, told: str
) -> None:
    """Exit code 3: one completion without messages, named with reason; a later run closes it."""
    time = VirtualTime()
    at_most = ATTEMPTS + (fault == "repeated_page")  # the first is asked on from its last item
    server.set_faults(Faults(**{fault: 1}, routes="messages", at_most=at_most))

    report = backup_in(time, settings)

    held = check_incomplete(report, settings, server)
    assert len(held.gaps) == 1
    ((found, detail, request_id),) = rows(
        settings, "SELECT reason, detail, request_id FROM failures"
    )
    assert found == reason
    assert told in detail
    assert request_id.startswith("req_")
    server.set_faults(None)
    assert backup_in(time, settings).exit_code == 0
    check_equal(settings, server)


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("server", "fault", "code"),
    [
        (SMALL, "truncated", 1),
        (SMALL, "wrong_types", 1),
        (SMALL, "empty_page", 1),
        (PAGES, "repeated_page", 1),
        (SMALL, "reset", 6),
    ],
    indirect=["server"],
    ids=["truncated", "wrong types", "empty page", "repeated page", "reset"],
)
def test_a_list_that_stays_faulty_ends_the_run_without_a_loss(
    server: Running, settings: Settings, time: VirtualTime, fault: str, code: int
) -> None:
    """It is never taken for the end of the list: what was stored stays, the next run completes."""
    backup_in(time, settings)
    new = set(server.grow(5))
    server.set_faults(Faults(**{fault: 1}, routes="list"))

    report = backup_in(time, settings, full=True)

    assert (report.exit_code, report.status) == (code, "failed")
    error = report.sources[0].error
    assert error is not None
    assert error.hint
    assert check_sound(settings, server).whole == set(server.ids()) - new
    assert rows(settings, "SELECT count(deleted_at) FROM completions") == [(0,)]
    server.set_faults(None)
    assert backup_in(time, settings).exit_code == 0
    check_equal(settings, server)


@pytest.mark.slow
def test_a_source_that_resets_every_connection_is_unreachable(
    server: Running, settings: Settings, time: VirtualTime
) -> None:
    """Exit code 6 after the attempts of one request, not of every completion."""
    server.set_faults(Faults(reset=1))

    report = backup_in(time, settings)

    assert report.exit_code == 6
    assert server.stats()["requests"] == {"list": ATTEMPTS}
    server.set_faults(None)
    assert backup_in(time, settings).exit_code == 0
    check_equal(settings, server)


@pytest.mark.slow
def test_messages_that_are_all_reset_are_named_while_the_list_answers(
    server: Running, settings: Settings, time: VirtualTime
) -> None:
    """The source is there: completions and replies are kept, and the next run gets the rest."""
    server.set_faults(Faults(reset=1, routes="messages"))

    report = backup_in(time, settings)

    held = check_incomplete(report, settings, server)
    assert held.gaps == set(server.ids())
    server.set_faults(None)
    assert backup_in(time, settings).exit_code == 0
    check_equal(settings, server)


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("fault", "pause", "route"),
    [
        ("drip", 0.05, "list"),
        ("drip", 0.05, "messages"),
        ("slow", 1.0, "messages"),
        ("hang", 0, "messages"),
    ],
)
def test_a_body_that_is_too_slow_is_asked_for_again(
    server: Running, tmp_path: Path, fault: str, pause: float, route: str
) -> None:
    """The timeout is that of the whole answer: bytes that keep coming do not prolong it."""
    time = VirtualTime()
    settings = settings_for(tmp_path, server.base_url, pace=ONE_AT_A_TIME | {"timeout": "500ms"})
    server.set_faults(Faults(**{fault: 1}, slow_seconds=pause, routes=route, at_most=1))

    report = backup_in(time, settings)

    assert report.exit_code == 0
    assert [why.partition(": ")[2] for _, why in time.waits] == [
        "no complete response within 0.5 s"
    ]
    check_equal(settings, server)


@pytest.mark.slow
def test_a_body_that_drips_for_ever_is_a_named_failure(
    server: Running, tmp_path: Path, time: VirtualTime
) -> None:
    """The run ends after the attempts, and names the completion and the timeout."""
    pace = {"concurrency": 1, "timeout": "500ms", "max_attempts": 2}
    settings = settings_for(tmp_path, server.base_url, pace=pace)
    server.set_faults(Faults(drip=1, slow_seconds=0.05, routes="messages", at_most=2))

    report = backup_in(time, settings)

    check_incomplete(report, settings, server)
    ((reason, detail),) = rows(settings, "SELECT reason, detail FROM failures")
    assert reason == "retries_exhausted"
    assert "no complete response within 0.5 s" in detail
    server.set_faults(None)
    assert backup_in(time, settings).exit_code == 0
    check_equal(settings, server)
