"""What `chatlake doctor` says about sources unlike OpenAI, and about doubtful configurations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from chatlake.config.schedules import longest_pause
from tests.command_line import CommandLine
from tests.integration.test_backup_odd_sources import answering
from tests.integration.test_sweep_of_another_account import DAY, NOW, Account, account, source
from tests.support import KEY, KEY_VARIABLE, backup, write_config

QUICK = {"max_attempts": 1}
Respond = Callable[[str], tuple[int, Any]]
Checks = dict[str, dict[str, Any]]


def _plain() -> Account:
    return account("c", 250, first=NOW - DAY, step=1)


def _asked(path: str) -> dict[str, str]:
    return {key: values[-1] for key, values in parse_qs(urlsplit(path).query).items()}


def _is_list(path: str) -> bool:
    return urlsplit(path).path == "/v1/chat/completions"


def _with_list(
    change: Callable[[dict[str, str], dict[str, Any]], tuple[int, Any] | None],
) -> Respond:
    """Serve a plain account whose lists `change` alters in place, or replaces."""
    plain = _plain()

    def respond(path: str) -> tuple[int, Any]:
        status, document = plain.respond(path)
        if not _is_list(path) or status != 200:
            return status, document
        return change(_asked(path), document) or (status, document)

    return respond


def _rows_with(created: Callable[[int], Any]) -> Respond:
    def change(_asked: dict[str, str], document: dict[str, Any]) -> None:
        for row in document["data"]:
            row["created"] = created(row["created"])

    return _with_list(change)


def _descending(path: str) -> tuple[int, Any]:
    if not _is_list(path):
        return _plain().respond(path)
    rows = [{"id": name, "created": at} for name, at in reversed(_plain().created.items())]
    names, after = [row["id"] for row in rows], _asked(path).get("after")
    rows = rows[names.index(after) + 1 :] if after else rows
    limit = int(_asked(path)["limit"])
    return 200, {"object": "list", "data": rows[:limit], "has_more": len(rows) > limit}


def _by_time(path: str) -> tuple[int, Any]:
    """Answer as older OGX does: what is later than the second of `after`; three share one."""
    times = {f"c{number:03}": NOW - DAY + number // 3 for number in range(250)}
    if not _is_list(path):
        return Account(times).respond(path)
    after, limit = _asked(path).get("after"), int(_asked(path)["limit"])
    rows = [{"id": n, "created": at} for n, at in times.items() if not after or at > times[after]]
    return 200, {"object": "list", "data": rows[:limit], "has_more": len(rows) > limit}


def _capped(asked: dict[str, str], document: dict[str, Any]) -> None:
    document["data"], document["has_more"] = document["data"][:20], True


def _refused(asked: dict[str, str], document: dict[str, Any]) -> tuple[int, Any] | None:
    if int(asked["limit"]) <= 50:
        return None
    return 400, {"error": {"message": "limit must be at most 50", "code": "invalid_value"}}


def _blind(asked: dict[str, str], document: dict[str, Any]) -> None:
    if "after" in asked:
        document.update(data=[], has_more=False)


def _stuck(asked: dict[str, str], document: dict[str, Any]) -> tuple[int, Any]:
    return _plain().respond("/v1/chat/completions?limit=100")


def _doubled(asked: dict[str, str], document: dict[str, Any]) -> None:
    document["data"][2] = document["data"][1]


def _odd_ids(asked: dict[str, str], document: dict[str, Any]) -> None:
    document["data"][-1]["id"] = "a/b ü"


def _malformed(asked: dict[str, str], document: dict[str, Any]) -> None:
    del document["data"][-1]["id"]


def _without_messages(status: int) -> Respond:
    def respond(path: str) -> tuple[int, Any]:
        if urlsplit(path).path.endswith("/messages"):
            return status, {"detail": "Not Found"}
        return _plain().respond(path)

    return respond


@contextmanager
def _served(folder: Path, respond: Respond, **more: Any) -> Iterator[None]:
    with answering(respond) as base_url:
        write_config(folder, base_url, **{"pace": QUICK, **more})
        yield


def _doctor(chatlake: CommandLine, code: int = 0) -> Checks:
    done = chatlake("doctor", "--json")
    assert done.code == code
    assert KEY not in done.out + done.err
    return {check["check"]: check for check in done.json}


def _warned(checks: Checks) -> dict[str, str]:
    return {name: check["detail"] for name, check in checks.items() if check["level"] == "warning"}


@pytest.mark.parametrize(
    ("respond", "check", "words"),
    [
        (_descending, "order", "newest first"),
        (_with_list(_capped), "limit", "20 rows"),
        (_with_list(_refused), "limit", "takes 50"),
        (_rows_with(lambda at: at * 1000), "time", "milliseconds"),
        (_rows_with(lambda at: at * 1_000_000), "time", "microseconds"),
        (_rows_with(lambda at: "2026-11-01T00:00:00Z"), "time", "a text"),
        (_rows_with(lambda at: None), "time", "not a usable time"),
        (_rows_with(lambda at: -1), "time", "not a usable time"),
        (_rows_with(lambda at: at + 3650 * DAY), "time", "in the future"),
        (_by_time, "cursor", "pages by time"),
        (_with_list(_blind), "cursor", "empty"),
        (_with_list(_stuck), "cursor", "ignores `after`"),
        (_with_list(_doubled), "ids", "1 id appears twice"),
        (_with_list(_odd_ids), "ids", "address"),
        (_with_list(_malformed), "rows", "cannot be read"),
        (_without_messages(404), "messages", "no route /messages"),
        (_without_messages(405), "messages", "no route /messages"),
        (_without_messages(501), "messages", "no route /messages"),
    ],
)
def test_a_habit_of_the_source_is_a_warning(
    chatlake: CommandLine, tmp_path: Path, respond: Respond, check: str, words: str
) -> None:
    """Each is named with what follows from it, and the exit code stays 0."""
    with _served(tmp_path, respond):
        checks = _doctor(chatlake)

    told = _warned(checks)
    assert words in told[f"openai: {check}"]
    assert set(told) <= {f"openai: {check}", "openai: cursor"}
    assert all(checks[name]["remedy"] for name in told)


def test_a_source_like_openai_gets_no_warning(chatlake: CommandLine, tmp_path: Path) -> None:
    """It is asked as a backup asks, and for no more than a page of each route and one after it."""
    asked: list[str] = []

    def respond(path: str) -> tuple[int, Any]:
        asked.append(path)
        return _plain().respond(path)

    with _served(tmp_path, respond):
        assert _warned(_doctor(chatlake)) == {}

    pages = [
        _asked(path) for path in asked if _is_list(path) or path.split("?")[0].endswith("/messages")
    ]
    assert len(asked) == 4
    assert all((page["limit"], page["order"]) == ("100", "asc") for page in pages)


def test_the_first_request_has_the_filters_of_a_backup(
    chatlake: CommandLine, tmp_path: Path
) -> None:
    """Model and metadata are sent as a backup sends them."""
    asked: list[str] = []

    def respond(path: str) -> tuple[int, Any]:
        asked.append(path)
        return _plain().respond(path)

    with _served(tmp_path, respond, select={"model": "m", "metadata": {"team": "x"}}):
        _doctor(chatlake)

    assert len(asked) >= 2
    assert all((_asked(p)["model"], _asked(p)["metadata[team]"]) == ("m", "x") for p in asked[:2])


@pytest.mark.parametrize(
    ("status", "words"), [(501, "stores no completions"), (410, "has retired stored completions")]
)
def test_a_source_that_can_never_answer_says_why(
    chatlake: CommandLine, tmp_path: Path, status: int, words: str
) -> None:
    """No store behind the route, or a service that has ended: exit code 5 and its own words."""
    with _served(tmp_path, lambda _path: (status, {"error": {"message": "gone"}})):
        check = _doctor(chatlake, code=5)["openai: list"]

    assert words in check["remedy"]


@pytest.mark.parametrize(
    ("more", "check", "words"),
    [
        ({"full_sweep_every": None}, "full_sweep_every", "only with --full"),
        ({"lookback": "0s"}, "lookback", "late"),
        ({"retention": "1h", "lookback": "2h"}, "retention", "below lookback"),
        ({"retention": "20h", "lookback": "1h"}, "retention", "interval (1 d"),
    ],
)
def test_a_doubtful_duration_is_a_warning(
    chatlake: CommandLine, tmp_path: Path, more: dict[str, Any], check: str, words: str
) -> None:
    """A valid configuration that loses something is named before it does."""
    with _served(tmp_path, _plain().respond, **more):
        checks = [c for c in chatlake("doctor", "--json").json if c["level"] == "warning"]

    assert {c["check"] for c in checks} == {f"openai: {check}"}
    assert any(words in c["detail"] for c in checks)


@pytest.mark.parametrize(
    ("cron", "hours"),
    [
        ("0 2 * * *", 24), ("0 */6 * * *", 6), ("0 2 * * 1", 168), ("0 2 1 * *", 744),
        ("30 2,14 * * MON-FRI", 60), ("0 2 1 * SUN", 168), ("0 0 1 JAN *", 8784), ("0 2 L * *", None),
    ],
)  # fmt: skip
def test_the_longest_pause_of_a_schedule(cron: str, hours: int | None) -> None:
    """Completions must outlive it; forms that only some schedulers know are not guessed."""
    pause = longest_pause(cron)
    assert (None if pause is None else pause.total_seconds() / 3600) == hours


def _two(folder: Path, first: dict[str, Any], second: dict[str, Any]) -> None:
    both = [
        {"name": name, "api_key": f"${{{KEY_VARIABLE}}}", "pace": QUICK, **more}
        for name, more in (("openai", first), ("other", second))
    ]
    document = {"version": 1, "lake": "lake", "sources": both}
    (folder / "chatlake.yaml").write_bytes(msgspec.yaml.encode(document))


@pytest.mark.parametrize(
    ("first", "second", "is_told"),
    [
        ({}, {}, True),
        ({}, {"slash": True}, True),
        ({}, {"api_key": "${CHATLAKE_SAME_KEY}"}, True),
        ({}, {"select": {"model": "m"}}, True),
        ({}, {"headers": {"X-Title": "y"}}, True),  # another request, the same completions
        ({"select": {"model": "m"}}, {"select": {"model": "n"}}, False),
    ],
)
def test_two_sources_that_are_one_account_are_told(
    chatlake: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    first: dict[str, Any],
    second: dict[str, Any],
    is_told: bool,
) -> None:
    """By address and key, or by the completions that both list; once, and without the key."""
    monkeypatch.setenv("CHATLAKE_SAME_KEY", KEY)

    def respond(path: str) -> tuple[int, Any]:
        model = _asked(path).get("model", "")
        plain = account(model or "c", 5, first=NOW - DAY)
        return plain.respond(path)

    with answering(respond) as base_url:
        slash = "/" if second.pop("slash", False) else ""
        _two(tmp_path, {"base_url": base_url, **first}, {"base_url": base_url + slash, **second})
        done = chatlake("doctor", "--json")

    told = [c for c in done.json if c["check"] == "other: account"]
    assert len(told) == is_told
    assert KEY not in done.out
    assert all("counted twice" in c["detail"] for c in told)


def test_another_account_under_the_same_name_is_told(chatlake: CommandLine, tmp_path: Path) -> None:
    """The newest completions of the lake are unknown there, and still should be there."""
    with source(tmp_path, account("a", 9, first=NOW - DAY), full_sweep_every="7d") as settings:
        backup(settings)
        assert _warned(_doctor(chatlake)) == {}
    with source(tmp_path, account("b", 9, first=NOW - DAY), full_sweep_every="7d"):
        assert "does not know" in _warned(_doctor(chatlake))["openai: account"]


def test_a_few_deletions_and_what_has_expired_are_no_other_account(
    chatlake: CommandLine, tmp_path: Path
) -> None:
    """One stored completion that is known is enough; those older than `retention` are not asked."""
    server = account("a", 9, first=NOW - DAY)
    with source(tmp_path, server, full_sweep_every="7d") as settings:
        backup(settings)
        del server.created["a008"], server.created["a007"]
        assert _warned(_doctor(chatlake)) == {}
    old = account("o", 9, first=NOW - 90 * DAY)
    with ExitStack() as stack:
        settings = stack.enter_context(source(tmp_path / "old", old, full_sweep_every="7d"))
        backup(settings)
        old.created = {"n": int(time.time()) - 60}
        done = chatlake("doctor", "--json", "--config", str(settings.path))
    assert [c for c in done.json if c["level"] == "warning"] == []


@pytest.mark.parametrize("same", [True, False])
def test_a_renamed_source_is_told(chatlake: CommandLine, tmp_path: Path, *, same: bool) -> None:
    """The lake holds a source that is not configured, and nothing of the one that is."""
    with source(tmp_path, account("a", 9, first=NOW - DAY)) as settings:
        backup(settings)
    now = account("a" if same else "z", 9, first=NOW - DAY)
    with source(tmp_path, now, name="renamed", full_sweep_every="7d"):
        detail = _warned(_doctor(chatlake))["renamed: name"]

    assert "9 completions" in detail
    assert ("of this account" in detail) is same
