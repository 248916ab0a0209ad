"""Sources with undocumented responses: odd ones are kept, broken ones are reported."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from chatlake import failpoints
from chatlake.bootstrap.backup import open_lake
from chatlake.config import load_settings
from chatlake.simulator import Faults, Scenario, running
from tests.command_line import ended, start
from tests.loopback_server import Handler, listening
from tests.support import NOW, backup, figures, rows, settings_for

FAST = {"max_attempts": 2, "timeout": "5s"}
Respond = Callable[[str], tuple[int, Any]]


def request_of(path: str) -> str:
    """Return the name that the server below gives to each request for a path."""
    return f"req_{hashlib.sha256(path.encode()).hexdigest()[:16]}"


@contextmanager
def answering(respond: Respond) -> Iterator[str]:
    """Serve what `respond` says for a path: (status, JSON value or bytes); yields the base URL."""

    class Responding(Handler):
        protocol_version = "HTTP/1.1"

        def reply(self) -> None:
            status, value = respond(self.path)
            body = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.respond(status, body, {"x-request-id": request_of(self.path)})

    with listening(Responding) as port:
        yield f"http://127.0.0.1:{port}/v1"


def listing(*completions: dict[str, Any]) -> Respond:
    """Answer the list with these, and every completion's messages with none."""

    def respond(path: str) -> tuple[int, Any]:
        data = [] if "/messages" in path or "after=" in path else list(completions)
        return 200, {"object": "list", "data": data, "has_more": False}

    return respond


@pytest.mark.sample(1)
@pytest.mark.parametrize("created", [None, "2020", -5, 1e30])
def test_a_completion_without_a_time_is_kept_and_hinders_nothing(
    tmp_path: Path, created: Any
) -> None:
    """It is stored with a NULL time beside the others, and later runs find it unchanged."""
    odd, plain = {"id": "odd", "created": created}, {"id": "plain", "created": NOW}
    with answering(listing(odd, plain)) as base_url:
        settings = settings_for(tmp_path, base_url)
        assert figures(backup(settings))["new"] == 2
        assert figures(backup(settings))["unchanged"] == 2
        assert figures(backup(settings, full=True))["unchanged"] == 2

    found = rows(settings, "SELECT completion_id, created_at IS NULL FROM completions ORDER BY 1")
    assert found == [("odd", True), ("plain", False)]


@pytest.mark.usefixtures("short_waits")
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((503, {"error": {"message": "overloaded"}}), 6),
        ((404, {"error": {"message": "no such route"}}), 6),
        ((200, b"<html>Sign in</html>"), 1),
        ((200, {"object": "list", "data": None}), 1),
        ((400, {"error": {"message": "invalid limit"}}), 1),
    ],
    ids=["503", "404", "html", "no data", "400"],
)
def test_a_list_that_cannot_be_fetched_is_no_incomplete_backup(
    tmp_path: Path, answer: tuple[int, Any], code: int
) -> None:
    """Exit code 3 is for named completions; a list that fails has a code of its own, and a hint."""
    with answering(lambda _path: answer) as base_url:
        report = backup(settings_for(tmp_path, base_url, pace=FAST))

    assert (report.exit_code, report.status) == (code, "failed")
    error = report.sources[0].error
    assert error is not None
    assert "list of completions" in error.message
    assert error.hint


def test_what_was_listed_before_the_list_broke_is_stored(tmp_path: Path) -> None:
    """A page that always fails ends the run; the pages before it are committed."""
    first = [{"id": f"c{number}", "created": NOW + number} for number in range(100)]

    def respond(path: str) -> tuple[int, Any]:
        if "/messages" in path:
            return 200, {"data": [], "has_more": False}
        if "after=" in path:
            return 500, {"error": {"message": "boom"}}
        return 200, {"data": first, "has_more": True}

    with answering(respond) as base_url:
        settings = settings_for(tmp_path, base_url, pace=FAST)
        report = backup(settings)

    assert report.exit_code == 6
    assert rows(settings, "SELECT count(*) FROM completions") == [(100,)]
    assert rows(settings, "SELECT status, new FROM runs") == [("failed", 100)]


@pytest.mark.usefixtures("short_waits")
def test_a_gap_stays_named_while_the_list_shows_its_completion(tmp_path: Path) -> None:
    """That its own id is unknown one night closes nothing: once the source answers, it is filled."""
    odd, plain = {"id": "odd", "created": NOW - 864_000}, {"id": "plain", "created": NOW}
    broken = True

    def respond(path: str) -> tuple[int, Any]:
        if broken and "/odd" in path:
            return 404, {"error": {"message": "Completion odd not found", "code": "not_found"}}
        if "/odd/messages" in path:
            return 200, {"data": [{"id": "odd-0", "role": "user", "content": "x"}]}
        if "/messages" in path:
            return 200, {"data": []}
        if path.partition("?")[0].endswith("/odd"):
            return 200, odd
        listed = [odd, plain] if "after" not in path else [plain] if "after=odd" in path else []
        return 200, {"object": "list", "data": listed, "has_more": False}

    with answering(respond) as base_url:
        settings = settings_for(tmp_path, base_url, pace=FAST, lookback="1h", full_sweep_every=None)
        assert backup(settings).exit_code == 3
        for attempts in (2, 3):
            report = backup(settings)
            assert report.exit_code == 3
            assert [failure.completion_id for failure in report.sources[0].failures] == ["odd"]
            assert figures(report)["failed"] == 1
            assert rows(settings, "SELECT completion_id, attempts FROM failures") == [
                ("odd", attempts)
            ]
        broken = False
        assert backup(settings).exit_code == 0

    assert rows(settings, "FROM failures") == []
    assert rows(settings, "SELECT content FROM messages") == [("x",)]


@pytest.mark.usefixtures("short_waits")
def test_a_gap_closes_once_a_list_lacks_its_completion_too(tmp_path: Path) -> None:
    """Deleted before its messages came: a list that does not reach it says nothing, a full one does."""
    with running(Scenario(completions=40, seed=2, days=6, now=NOW), Faults(missing=0.1)) as server:
        settings = settings_for(tmp_path, server.base_url, lookback="1h", full_sweep_every=None)
        gaps = server.missing_ids()
        assert backup(settings).exit_code == 3
        server.set_faults()
        for completion_id in gaps:
            server.delete(completion_id)

        incremental = backup(settings)
        assert incremental.exit_code == 3
        assert figures(incremental)["failed"] == len(gaps)
        full = backup(settings, full=True)

    assert full.exit_code == 0
    assert figures(full)["listed"] == figures(full)["unchanged"] == 40 - len(gaps)
    assert rows(settings, "FROM failures") == []
    assert rows(settings, "SELECT count(*) FROM completions") == [(40,)]


@pytest.mark.usefixtures("short_waits")
def test_an_empty_account_closes_no_gap(tmp_path: Path) -> None:
    """A key of another project knows no id and lists nothing: the gaps stay named."""
    options: dict[str, Any] = {"full_sweep_every": None, "pace": FAST}
    with running(Scenario(completions=30, seed=2, now=NOW), Faults(missing=0.1)) as server:
        backup(settings_for(tmp_path, server.base_url, **options))
        gaps = set(server.missing_ids())
    with running(Scenario(completions=0, now=NOW)) as empty:
        settings = settings_for(tmp_path, empty.base_url, **options)
        report = backup(settings, full=True)

    assert gaps
    assert report.exit_code == 3
    assert {name for (name,) in rows(settings, "SELECT completion_id FROM failures")} == gaps


def test_a_metadata_filter_that_the_service_ignores_still_holds(tmp_path: Path) -> None:
    """What lacks the pair, or has no metadata at all, is not selected."""
    team = [{"team": "a"}, {"team": "b"}, {"other": "a"}, {}, None, {"team": "a", "x": "y"}]
    found = [
        {"id": f"c{number}", "created": NOW, "metadata": pairs} for number, pairs in enumerate(team)
    ]
    with answering(listing(*found, {"id": "none", "created": NOW})) as base_url:
        settings = settings_for(tmp_path, base_url, select={"metadata": {"team": "a"}})
        backup(settings)

    stored = rows(settings, "SELECT completion_id FROM completions ORDER BY 1")
    assert stored == [("c0",), ("c5",)]


def test_every_request_is_counted(tmp_path: Path) -> None:
    """Connections that the server closes cost requests that the figures show."""
    with running(Scenario(completions=120, seed=8, now=NOW)) as server:
        server.set_faults(Faults(reset=7))
        settings = settings_for(tmp_path, server.base_url)
        run = backup(settings).sources[0].run
        asked = server.stats()["total"]

    assert run.retries > 0
    assert run.requests == asked


def test_no_embedded_image_stays_where_references_are_wanted(tmp_path: Path) -> None:
    """With `images: reference` not even an image that cannot be put back stays in `raw`."""
    url = "data:image/png;base64,iVBORw0K\nGgo="
    message = {"id": "c-0", "role": "user", "content": "", "content_parts": [
        {"type": "image_url", "text": None, "image_url": {"url": url, "detail": None}}]}  # fmt: skip

    def respond(path: str) -> tuple[int, Any]:
        data = [message] if "/messages" in path else [{"id": "c", "created": NOW}]
        return 200, {"data": data, "has_more": False}

    with answering(respond) as base_url:
        settings = settings_for(tmp_path, base_url, images="reference")
        backup(settings)

    raws = "SELECT raw::VARCHAR FROM messages UNION ALL SELECT raw::VARCHAR FROM content_parts"
    assert not [raw for (raw,) in rows(settings, raws) if "iVBORw0K" in raw]
    assert rows(settings, "SELECT image_bytes, image_sha256 IS NULL FROM image_parts") == [
        (8, False)
    ]


def test_a_killed_run_is_named_by_the_next(tmp_path: Path) -> None:
    """The ledger shows a run that never ended as interrupted once another run holds the lock."""
    with running(Scenario(completions=30, seed=2, now=NOW)) as server:
        settings = settings_for(tmp_path, server.base_url)
        killed = start(tmp_path, "backup", env={failpoints.VARIABLE: "commit.started:kill:2"})
        assert ended(killed).code == -signal.SIGKILL
        assert rows(settings, "SELECT status FROM runs") == [("running",)]
        backup(settings)

    statuses = rows(settings, "SELECT status FROM runs ORDER BY started_at")
    assert statuses == [("interrupted",), ("complete",)]


def test_a_dry_run_of_ids_tells_what_is_stored(tmp_path: Path) -> None:
    """Asked for by id, what the lake holds unchanged is not new."""
    with running(Scenario(completions=20, seed=2, now=NOW)) as server:
        settings = settings_for(tmp_path, server.base_url)
        ids = server.ids()
        backup(settings, ids=ids[:5])
        report = backup(settings, ids=[*ids[:6], "nobody"], dry_run=True)

    assert figures(report) == {
        "listed": 7, "new": 1, "changed": 0, "unchanged": 5, "failed": 1,
    }  # fmt: skip


def test_a_moved_lake_works_again_after_any_command(tmp_path: Path) -> None:
    """Opening a lake at its new place is enough: its catalogue is written again."""
    with running(Scenario(completions=20, seed=2, now=NOW)) as server:
        backup(settings_for(tmp_path / "old", server.base_url))
    shutil.move(tmp_path / "old", tmp_path / "new")
    settings = load_settings(tmp_path / "new" / "chatlake.yaml")

    open_lake(settings)

    catalog = Path(settings.lake_location) / "catalog.duckdb"
    with duckdb.connect(str(catalog), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM completions").fetchone() == (20,)


def test_the_failure_of_one_source_does_not_stop_the_others(tmp_path: Path) -> None:
    """The others are backed up whole, and the exit code is that of the failure."""
    with running(Scenario(completions=40, seed=6, now=NOW)) as server:
        path = tmp_path / "chatlake.yaml"
        sources = [
            {"name": name, "base_url": base_url, "api_key": "${CHATLAKE_TEST_KEY}", "pace": FAST}
            for name, base_url in (
                ("gone", "http://127.0.0.1:1/v1"),
                ("first", server.base_url),
                ("second", server.base_url),
            )
        ]
        path.write_text(json.dumps({"version": 1, "lake": "lake", "sources": sources}))
        settings = load_settings(path)
        report = backup(settings)

    assert report.exit_code == 6
    assert report.status == "incomplete"
    stored = rows(settings, "SELECT source, count(*) FROM completions GROUP BY 1 ORDER BY 1")
    assert stored == [("first", 40), ("second", 40)]
    assert rows(settings, "SELECT status FROM runs WHERE source = 'gone'") == [("failed",)]


@pytest.mark.slow
def test_a_very_long_conversation_and_a_very_large_message_are_stored(tmp_path: Path) -> None:
    """5,000 messages in 50 pages, one of them with 30 MB of text, come back whole."""
    count, large = 5000, "x" * 30_000_000

    def respond(path: str) -> tuple[int, Any]:
        if "/messages" not in path:
            data = [] if "after=" in path else [{"id": "long", "created": NOW}]
            return 200, {"data": data, "has_more": False}
        start = int(path.partition("after=long-")[2].partition("&")[0] or -1) + 1
        page = range(start, min(start + 100, count))
        data = [
            {"id": f"long-{n}", "role": "user", "content": large if n == 777 else f"message {n}"}
            for n in page
        ]
        return 200, {"data": data, "has_more": page.stop < count}

    with answering(respond) as base_url:
        settings = settings_for(tmp_path, base_url)
        report = backup(settings)

    assert report.exit_code == 0
    found = rows(
        settings,
        "SELECT count(*), count(DISTINCT message_index), max(length(content)) FROM messages",
    )
    assert found == [(count, count, len(large))]
    assert rows(settings, "SELECT message_count FROM completions") == [(count,)]
