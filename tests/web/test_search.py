"""Lists and searches: newest first, in windows of days, and days not searched are reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from chatlake.lake import Lake
from chatlake.lake.catalog.excerpts import summaries
from chatlake.lake.catalog.search import Ask, Found, find, find_by_id, stored_days, terms, windows
from chatlake.lake.catalog.search_query import Criteria, Place
from tests.reading_lake import completion, reply, store

FIRST = date(2026, 1, 1)
DAYS = 20


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake of twenty days with three completions each; the oldest day has a rare word."""
    made = Lake.open(tmp_path_factory.mktemp("lake"), create=True)
    given = []
    for number in range(DAYS):
        day = FIRST + timedelta(days=number)
        for hour in (1, 2, 3):
            word = "Zanzibar's 50% (best)" if (number, hour) == (0, 2) else "nothing"
            said = f"Is {word} the answer on day {number}?"
            choice: dict[str, Any] = reply("It may be so.")
            more: dict[str, Any] = {}
            if hour == 3:
                call = {"id": "c", "type": "function",
                        "function": {"name": "find_order", "arguments": '{"number":"A-77"}'}}  # fmt: skip
                choice = reply(None, tool_calls=[call], finish_reason="tool_calls")
            if (number, hour) == (4, 1):
                choice = reply(None, refusal="I would rather not.")
            if (number, hour) == (5, 1):
                more = {"model": "o4-mini", "metadata": {"team": "search"}}
            name = f"chatcmpl-{number:02}-{hour}"
            given.append((completion(name, f"{day}T{hour:02}:00", choice, **more),
                          [{"role": "user", "content": said}]))  # fmt: skip
    store(made, given)
    return made


@pytest.fixture
def ask(lake: Lake) -> Iterator[Ask]:
    """Ask that lake."""
    with closing(lake.connect()) as connection:
        yield lambda sql, parameters: connection.execute(sql, parameters).fetchall()


@pytest.fixture
def found(ask: Ask) -> Callable[..., Found]:
    """Find in that lake, five at a time."""

    def search(before: Place | None = None, **criteria: Any) -> Found:
        days = [day for day, _ in stored_days(ask)]
        return find(ask, days, Criteria(**criteria), count=5, before=before)

    return search


def names(answer: Found) -> list[str]:
    """Return the ids without what they have in common."""
    return [row.completion_id.removeprefix("chatcmpl-") for row in answer.rows]


def test_pages_by_key_give_every_completion_once(found: Callable[..., Found]) -> None:
    """Each page begins after the last row of the one before; the last has no next place."""
    seen: list[str] = []
    place = None
    while True:
        page = found(before=place)
        seen += names(page)
        place = page.next_place
        if place is None:
            break
        assert len(page.rows) == 5

    expected = [f"{n:02}-{hour}" for n in reversed(range(DAYS)) for hour in (3, 2, 1)]
    assert seen == expected


def test_windows_grow_threefold_and_lose_no_day() -> None:
    """1, 3, 9 … days, newest first."""
    days = [FIRST + timedelta(days=n) for n in range(15)]
    cut = list(windows(days))
    assert [len(window) for window in cut] == [1, 3, 9, 2]
    assert [day for window in cut for day in window] == days


def test_a_search_that_finds_enough_does_not_look_at_older_days(
    found: Callable[..., Found],
) -> None:
    """Five of three a day are in the first four days."""
    answer = found(words=("ANSWER",))
    assert names(answer) == ["19-3", "19-2", "19-1", "18-3", "18-2"]
    assert (answer.days_looked_at, answer.days_left) == (4, 16)
    assert (answer.newest, answer.oldest) == (date(2026, 1, 20), date(2026, 1, 17))


def test_a_rare_word_is_found_in_the_oldest_day(found: Callable[..., Found]) -> None:
    """Case does not matter, and marks in a word are only marks."""
    for word in ("zanzibar", "zanzibar's 50% (BEST)", "50% ("):
        answer = found(words=(word,))
        assert names(answer) == ["00-2"]
        assert (answer.days_left, answer.next_place) == (0, None)
    assert not found(words=("zanzibar", "nothing")).rows
    assert not found(words=("5.% (",)).rows


def test_a_search_ends_before_its_patience_and_goes_on_where_it_stopped(ask: Ask) -> None:
    """The days not searched are counted, and the next search starts with them."""
    days = [day for day, _ in stored_days(ask)]
    times = iter(range(100))
    criteria = Criteria(words=("zanzibar",))
    first = find(ask, days, criteria, count=5, patience_s=3, clock=lambda: next(times))
    assert (first.rows, first.days_looked_at, first.days_left) == ((), 1, 19)
    assert first.next_place == Place.before(date(2026, 1, 20))

    rest = find(ask, days, criteria, count=5, before=first.next_place)
    assert names(rest) == ["00-2"]
    assert (rest.newest, rest.days_looked_at) == (date(2026, 1, 19), 19)


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({"model": "o4-mini"}, ["05-1"]),
        ({"key": "team", "value": "search"}, ["05-1"]),
        ({"key": "nobody"}, []),
        ({"refused": True}, ["04-1"]),
        ({"tool": "find_order", "until": date(2026, 1, 2)}, ["01-3", "00-3"]),
        ({"words": ("a-77",), "until": date(2026, 1, 1)}, ["00-3"]),
        ({"finish_reason": "tool_calls", "until": date(2026, 1, 1)}, ["00-3"]),
        ({"since": date(2026, 1, 20)}, ["19-3", "19-2", "19-1"]),
        ({"source": "azure"}, []),
        ({"deleted": True}, []),
        ({"changed": True}, []),
        ({"with_images": True}, []),
    ],
)
def test_each_filter_selects(
    found: Callable[..., Found], criteria: dict[str, Any], expected: list[str]
) -> None:
    """What a filter names is what is listed."""
    assert names(found(**criteria)) == expected


def test_words_are_typed_as_in_a_search_engine() -> None:
    """Quotes make one word of several."""
    assert terms('late  "two words" order"') == ("late", "two words", 'order"')
    assert terms('"open end') == ("open end",)
    assert terms(' "" ') == ()


def test_an_excerpt_shows_the_hit_and_says_what_was_called(
    ask: Ask, found: Callable[..., Found]
) -> None:
    """The words are marked; a reply that only calls a tool names it."""
    hit = found(words=("zanzibar",))
    (summary,) = summaries(ask, hit.rows, ("zanzibar",)).values()
    assert summary.hit is not None
    assert list(summary.hit.pieces(("zanzibar",))) == [
        ("Is ", False), ("Zanzibar", True), ("'s 50% (best) the answer on day 0?", False),
    ]  # fmt: skip
    call = found(tool="find_order")
    assert all(s.called == ("find_order",) for s in summaries(ask, call.rows, ()).values())


def test_an_id_leads_to_its_day(ask: Ask) -> None:
    """A completion is found by its id alone."""
    assert find_by_id(ask, "chatcmpl-03-2") == [("openai", date(2026, 1, 4))]
    assert find_by_id(ask, "chatcmpl-none") == []


def test_completions_without_a_time_come_last(tmp_path: Path) -> None:
    """They count as of 1970-01-01 and are listed after those of that day."""
    lake = Lake.open(tmp_path, create=True)
    given = [completion("chatcmpl-old", "1970-01-01T00:00")]
    given += [completion(f"chatcmpl-timeless-{n}", "1970-01-01T00:00") for n in range(3)]
    for timeless in given[1:]:
        del timeless["created"]
    store(lake, [(each, []) for each in given])
    with closing(lake.connect()) as connection:

        def ask(sql: str, parameters: dict[str, Any]) -> list[Any]:
            return connection.execute(sql, parameters).fetchall()

        first = find(ask, [date(1970, 1, 1)], Criteria(), count=2)
        rest = find(ask, [date(1970, 1, 1)], Criteria(), count=2, before=first.next_place)
    assert names(first) == ["old", "timeless-2"]
    assert (names(rest), rest.next_place) == (["timeless-1", "timeless-0"], None)
