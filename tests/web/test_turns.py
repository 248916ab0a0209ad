"""The other turns of a conversation, found among hashes that are kept in memory for some days."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pytest

from chatlake.lake import Lake
from chatlake.web.browse import turns
from chatlake.web.browse.catalogue import Catalogue, Session
from chatlake.web.browse.turns import days_around, read_days, turns_around
from tests.reading_lake import completion, reply, store

DAYS = [date(2026, 2, day) for day in (1, 2, 3)]
ASKED = {"role": "user", "content": "Hello there"}


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    """Open a lake with one conversation over two midnights, and one other completion each day."""
    lake = Lake.open(tmp_path / "lake", create=True)
    said: list[dict[str, str]] = [ASKED]
    conversations = []
    for day in DAYS:
        answer = f"Answer of {day}"
        conversations.append((completion(f"talk-{day.day}", f"{day}T10:00", reply(answer)), said))
        conversations.append((completion(f"other-{day.day}", f"{day}T11:00"), [ASKED]))
        said = [
            *said,
            {"role": "assistant", "content": answer},
            {"role": "user", "content": "Go on"},
        ]
    store(lake, conversations)
    opened = Catalogue(lake)
    yield opened
    opened.close()


def around(catalogue: Catalogue, day: date) -> tuple[list[str], list[str]]:
    """Return the ids of the earlier and the later turns of the conversation on a day."""
    earlier, later = catalogue.page(lambda s: turns_around(s, "openai", day, f"talk-{day.day}"))
    return [turn.completion_id for turn in earlier], [turn.completion_id for turn in later]


def test_turns_are_found_on_the_neighbouring_days(catalogue: Catalogue) -> None:
    """The middle one has one before and one after; the same question alone is no turn."""
    assert around(catalogue, DAYS[1]) == (["talk-1"], ["talk-3"])
    assert around(catalogue, DAYS[0]) == ([], ["talk-2"])


def messages_kept(catalogue: Catalogue) -> dict[date, int]:
    """Return how many messages of each day are in memory."""
    list_tables = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'memory'"
    tables = [name for (name,) in catalogue.page(lambda s: s.ask(list_tables))]
    found: dict[date, int] = {}
    for table in tables:
        counts = partial(
            Session.ask, sql=f"SELECT day, count(*) FROM memory.main.{table} GROUP BY day"
        )
        for day, count in catalogue.page(counts):
            found[day] = found.get(day, 0) + count
    return found


def test_a_day_is_read_once(catalogue: Catalogue) -> None:
    """However often it is asked for, its messages stand in memory once."""
    for _ in range(2):
        catalogue.page(lambda s: read_days(s, days_around([("openai", DAYS[1])])))
    stored = "SELECT created_date, count(*) FROM messages GROUP BY ALL"
    assert messages_kept(catalogue) == dict(catalogue.page(lambda s: s.ask(stored)))


def test_what_is_kept_is_bounded(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound only the three days of the last page stay, and answers are the same."""
    monkeypatch.setattr(turns, "_KEPT_MESSAGES", 1)
    for day in (DAYS[1], DAYS[0], DAYS[2]):
        around(catalogue, day)
    far = DAYS[2] + timedelta(days=40)
    catalogue.page(lambda s: read_days(s, days_around([("openai", far)])))
    assert messages_kept(catalogue) == {}
    assert around(catalogue, DAYS[1]) == (["talk-1"], ["talk-3"])
    assert set(messages_kept(catalogue)) == set(DAYS)


def test_a_list_reads_few_days_ahead() -> None:
    """However many days a list shows, those of its first rows and their neighbours are read."""
    listed = [("openai", date(2026, 2, day)) for day in range(28, 0, -1) for _ in range(3)]
    ahead = days_around(listed)
    assert {day for _, day in ahead} == {
        date(2026, 3, 1),
        *(date(2026, 2, d) for d in (28, 27, 26, 25)),
    }
