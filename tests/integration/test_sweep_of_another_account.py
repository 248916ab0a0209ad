"""A source's name that comes to stand for another account: nothing is taken for deleted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine

from chatlake.backup.report import BackupReport
from chatlake.config import Settings
from tests.integration.test_backup_odd_sources import answering
from tests.support import backup, rows, settings_for

DAY = 86_400
FAST = {"max_attempts": 2, "timeout": "5s"}
OPTIONS = {"pace": FAST, "lookback": "1h", "full_sweep_every": None}
DELETED = "SELECT completion_id FROM completions WHERE deleted_at IS NOT NULL"
LONG_AGO = 1_600_000_000


class Account:
    """Completions by id, with their creation (UTC seconds); what is listed may change at any time."""

    def __init__(self, created: dict[str, int]) -> None:
        self.created = created

    def respond(self, path: str) -> tuple[int, Any]:
        """Answer the list, a completion and its messages as the service does."""
        parts = urlsplit(path)
        name = parts.path.removeprefix("/v1/chat/completions").strip("/")
        if name.removesuffix("/messages"):
            return self._one(name)
        asked = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        names = sorted(self.created, key=lambda name: (self.created[name], name))
        after = asked.get("after")
        if after is not None:
            if after not in self.created:
                return _not_found(after)
            names = names[names.index(after) + 1 :]
        limit = int(asked.get("limit", 20))
        page = [{"id": name, "created": self.created[name]} for name in names[:limit]]
        return 200, {"object": "list", "data": page, "has_more": len(names) > limit}

    def _one(self, name: str) -> tuple[int, Any]:
        name, _, is_messages = name.partition("/")
        if name not in self.created:
            return _not_found(name)
        if not is_messages:
            return 200, {"id": name, "created": self.created[name]}
        message = {"id": f"{name}-0", "role": "user", "content": "x", "content_parts": None}
        return 200, {"object": "list", "data": [message], "has_more": False}


def _not_found(name: str) -> tuple[int, Any]:
    return 404, {"error": {"message": f"Completion {name} not found", "code": "not_found"}}


def account(prefix: str, count: int, *, first: int, step: int = 60) -> Account:
    """Make an account with so many completions, one each `step` seconds from `first` on."""
    return Account({f"{prefix}{number:03}": first + step * number for number in range(count)})


@contextmanager
def source(folder: Path, of: Account, **more: Any) -> Iterator[Settings]:
    """Point the source of the lake in `folder` at an account."""
    with answering(of.respond) as base_url:
        yield settings_for(folder, base_url, **{**OPTIONS, **more})


def sweep(settings: Settings, times: int = 1) -> BackupReport:
    """List everything, so many times, and return the last report."""
    for _ in range(times):
        report = backup(settings, full=True)
        assert report.exit_code == 0
    return report


def marked(settings: Settings) -> set[str]:
    """Return what the lake says is deleted."""
    return {name for (name,) in rows(settings, DELETED)}


def stored(settings: Settings) -> set[str]:
    """Return what the lake holds."""
    return {name for (name,) in rows(settings, "SELECT completion_id FROM completions")}


NOW = int(time.time())


@pytest.mark.sample(2)
# With or without nights between: each account once, and the first both ways.
@pytest.mark.parametrize(
    ("before", "after", "nights"),
    [
        (account("a", 3, first=NOW - 3600), account("b", 1, first=NOW - 1800), 0),
        (account("a", 3, first=NOW - 3600), account("b", 1, first=NOW - 1800), 2),
        (account("a", 20, first=NOW - 9 * DAY, step=DAY // 3), account("b", 3, first=NOW - 60), 0),
        (account("a", 1, first=NOW - 3600), account("b", 250, first=NOW - 20 * DAY), 2),
        (account("a", 40, first=LONG_AGO), account("b", 40, first=LONG_AGO), 0),
        (account("a", 250, first=NOW - DAY), account("b", 120, first=NOW - DAY), 2),
        (account("a", 40, first=LONG_AGO), account("b", 40, first=LONG_AGO + 50 * DAY), 0),
    ],
    ids=[
        "a few",
        "a few, later",
        "an empty one",
        "one",
        "kept for ever",
        "same days",
        "kept, newer",
    ],
)
def test_sweeps_of_another_account_mark_nothing(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    *,
    before: Account,
    after: Account,
    nights: int,
) -> None:
    """However often it is listed, with nights between or none, all that was stored stays as it is."""
    with source(tmp_path, before) as settings:
        backup(settings)
        sweep(settings)
    with source(tmp_path, after) as settings:
        for _ in range(nights):
            assert backup(settings).exit_code == 0
        sweep(settings)
        assert "another account" in caplog.text
        report = sweep(settings, times=3)
        assert marked(settings) == set()
        assert stored(settings) == before.created.keys() | after.created.keys()

    assert report.sources[0].run.deleted == 0
    assert len(before.created) == 1 or f"{len(before.created)} completions" in caplog.text


def test_what_the_other_account_deletes_is_marked(tmp_path: Path) -> None:
    """The warning does not shut out the account that is listed now: its own deletions show."""
    first = account("a", 30, first=NOW - DAY)
    other = account("b", 30, first=NOW - DAY)
    with source(tmp_path, first) as settings:
        backup(settings)
    with source(tmp_path, other) as settings:
        sweep(settings, times=2)
        del other.created["b007"]
        sweep(settings, times=2)
        assert marked(settings) == {"b007"}


@pytest.mark.slow
def test_a_deletion_that_a_sweep_saw_before_counts_when_the_account_is_back(
    tmp_path: Path,
) -> None:
    """A sweep of another account does not count: those before and after it are two in a row."""
    first = account("a", 30, first=NOW - DAY)
    with source(tmp_path, first) as settings:
        backup(settings)
        del first.created["a003"]
        sweep(settings)
    with source(tmp_path, account("b", 5, first=NOW - DAY)) as settings:
        sweep(settings, times=2)
        assert marked(settings) == set()
    with source(tmp_path, first) as settings:
        sweep(settings)
        assert "a003" in marked(settings)
        assert not marked(settings) & first.created.keys()


@pytest.mark.slow
def test_a_lake_that_an_earlier_sweep_has_misjudged_is_not_marked(tmp_path: Path) -> None:
    """What a sweep remembered as missed is not marked by one without a witness."""
    first = account("a", 10, first=NOW - DAY)
    with source(tmp_path, first) as settings:
        backup(settings)
        shown = dict(first.created)
        for name in list(shown)[:9]:
            del first.created[name]  # as if it were another account that shares one
        sweep(settings)
    with source(tmp_path, account("b", 5, first=NOW - DAY)) as settings:
        sweep(settings, times=2)
        assert marked(settings) == set()


@pytest.mark.slow
def test_what_expired_in_a_long_pause_is_marked(tmp_path: Path) -> None:
    """Nothing that was stored is listed any more, all of it is older than `retention`: it is gone."""
    old = account("a", 30, first=NOW - 90 * DAY)
    with source(tmp_path, old) as settings:
        with _at(NOW - 89 * DAY):
            backup(settings)
        old.created = account("n", 30, first=NOW - 20 * DAY, step=DAY // 2).created
        sweep(settings)
        assert marked(settings) == set()
        sweep(settings)
        assert marked(settings) == set(account("a", 30, first=0).created)


def test_the_age_of_a_completion_counts_from_its_creation(tmp_path: Path) -> None:
    """First seen an hour ago, but created long ago: it has expired, and is marked as gone."""
    server = account("a", 5, first=NOW - 90 * DAY)
    with source(tmp_path, server) as settings:
        with _at(NOW - 3600):
            backup(settings)
        server.created = account("n", 3, first=NOW - 180).created
        sweep(settings, times=2)
        assert marked(settings) == set(account("a", 5, first=0).created)


@pytest.mark.slow
@pytest.mark.parametrize("retention", ["30d", "3650d"])
def test_what_expires_night_by_night_is_marked(tmp_path: Path, retention: str) -> None:
    """Each run meets what the one before stored, so `retention` is not even needed."""
    server = Account({})
    with source(tmp_path, server, retention=retention) as settings:
        for day in range(12):
            now = NOW - (12 - day) * DAY
            server.created = {
                f"d{day - age:02}-{hour}": now - age * DAY - hour * 3600
                for age in range(5)
                for hour in range(4)
            }
            with _at(now + 60):
                backup(settings, full=day % 2 == 1)
        expected = {name for name in stored(settings) if name < "d05"}
        assert marked(settings) == expected
        assert expected


@pytest.mark.slow
def test_everything_deleted_on_purpose_is_marked_once_it_would_have_expired(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Until then it looks like another account; the warning says what will happen."""
    server = account("a", 30, first=NOW - 40 * DAY)
    with source(tmp_path, server) as settings:
        with _at(NOW - 39 * DAY):
            backup(settings)
        server.created = {"n0": NOW - 38 * DAY}
        with _at(NOW - 37 * DAY):
            sweep(settings, times=2)
            assert marked(settings) == set()
            assert "retention" in caplog.text
        server.created = {"n0": NOW - 38 * DAY, "n1": NOW - 60}
        sweep(settings, times=2)
        assert marked(settings) == set(account("a", 30, first=0).created)


@pytest.mark.sample(1)
@pytest.mark.parametrize("kept", ["a000", "a001", "a002"])
def test_one_that_is_left_bears_witness(tmp_path: Path, kept: str) -> None:
    """In a lake of three, two deletions are found: the third says that it is the same account."""
    server = account("a", 3, first=NOW - 3600)
    with source(tmp_path, server) as settings:
        backup(settings)
        everything = set(server.created)
        server.created = {kept: server.created[kept], "new": NOW - 60}
        sweep(settings, times=2)
        assert marked(settings) == everything - {kept}


@pytest.mark.slow
def test_a_first_backup_in_two_pieces_is_one_stretch(tmp_path: Path) -> None:
    """What an interrupted run stored may all be deleted: the run that continued knew it."""
    server = account("a", 10, first=NOW - DAY)
    with source(tmp_path, server) as settings:
        backup(settings)
        server.created |= account("later", 10, first=NOW - 3600).created
        backup(settings)
        first = [name for name in server.created if name.startswith("a")]
        for name in first:
            del server.created[name]
        sweep(settings, times=2)
        assert marked(settings) == set(first)


@pytest.mark.slow
def test_completions_without_a_time_are_judged_by_when_they_were_seen(tmp_path: Path) -> None:
    """Without a `created` they are no older than their first sight: another account marks none."""
    first, other = Account({"x": -1, "y": -1}), Account({"z": -1})
    with source(tmp_path, first) as settings:
        backup(settings)
    with source(tmp_path, other) as settings:
        sweep(settings, times=3)
        assert marked(settings) == set()


def _at(moment: int) -> Any:
    return time_machine.travel(moment, tick=True)
