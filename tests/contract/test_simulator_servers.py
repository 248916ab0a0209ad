"""Servers that differ from OpenAI's: their cursors, limits, times and routes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from itertools import groupby, pairwise
from typing import Any

import pytest

from chatlake.errors import UsageError
from chatlake.simulator import Faults, Running, Scenario, running
from tests.contract.simulated import client_of, page_of, paged

NOW = 1_800_000_000
THREE_A_SECOND = 250 / 3 / 86_400
"""Days over which 250 completions are spread, three a second."""


def dense(**options: Any) -> Scenario:
    """250 completions, about three a second."""
    return Scenario(**{"completions": 250, "days": THREE_A_SECOND, "now": NOW, **options})


def seconds_of(server: Running) -> list[list[str]]:
    """The ids of each second, oldest first."""
    rows = [record["completion"] for record in server.truth()]
    grouped = groupby(rows, key=lambda row: row["created"])
    return [[row["id"] for row in same] for _, same in grouped]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_time_cursor_passes_over_the_rest_of_a_second(order: str) -> None:
    """Continuing after the last row of a page loses the other rows of its second, in both orders."""
    with running(dense(cursors="time")) as server, client_of(server) as client:
        seconds = seconds_of(server)
        seen = paged(client, order=order)
        second = next(same for same in seconds if len(same) > 1)
        first, *others, last = second if order == "asc" else second[::-1]
        following = page_of(client, after=first, order=order)["data"]
        lost = set(server.ids()) - set(seen)
    assert max(map(len, seconds)) > 1
    assert lost
    assert len(seen) == len(set(seen))
    assert not {first, *others, last} & {row["id"] for row in following}
    # Rows were skipped only where a page ended.
    ends = {seen[99], seen[199]}
    assert all(ends & set(same) for same in seconds if lost & set(same))


def test_a_time_cursor_loses_nothing_behind_a_whole_second() -> None:
    """A cursor that is the last of its second leads to the first of the next."""
    with running(dense(cursors="time")) as server, client_of(server) as client:
        seconds = seconds_of(server)
        for same, following in pairwise(seconds[:10]):
            assert page_of(client, after=same[-1])["data"][0]["id"] == following[0]
        assert server.stats()["faults"]["time_page"] == 9


def test_a_time_cursor_ends_where_one_second_is_all() -> None:
    """150 completions of one second: after any of them comes nothing."""
    scenario = Scenario(completions=150, days=1e-9, now=NOW, cursors="time")
    with running(scenario) as server, client_of(server) as client:
        assert len(seconds_of(server)) == 1
        first = page_of(client)
        assert first["has_more"] is True
        assert page_of(client, after=first["last_id"])["data"] == []


def test_an_exact_cursor_passes_over_nothing() -> None:
    """The default continues after the row itself, whatever its second."""
    with running(dense()) as server, client_of(server) as client:
        assert paged(client) == server.ids()
        assert paged(client, order="desc") == server.ids()[::-1]
        assert server.stats()["faults"] == {}


def test_an_opaque_cursor_is_the_pages_own() -> None:
    """`last_id` is not the id of a row, and nothing else continues the list."""
    with running(dense(cursors="opaque")) as server, client_of(server) as client:
        ids = server.ids()
        page = page_of(client)
        seen = [row["id"] for row in page["data"]]
        assert client.get("", params={"after": seen[-1]}).status_code == 404
        while page["has_more"]:
            assert page["last_id"] not in ids
            page = page_of(client, after=page["last_id"])
            seen += [row["id"] for row in page["data"]]
        assert seen == ids
        longest = max(server.truth(), key=lambda record: len(record["messages"]))
        path = f"/{longest['completion']['id']}/messages"
        first = page_of(client, path, limit=7)
        rest = page_of(client, path, after=first["last_id"])
        assert len(longest["messages"]) > 7
        assert [*first["data"], *rest["data"]] == longest["messages"]


@pytest.mark.parametrize("gone", ["deleted", "invented"])
def test_an_unknown_cursor_may_answer_an_empty_list(gone: str) -> None:
    """With `unknown_after` 200 the list and the messages are empty, and say that this is all."""
    with running(Scenario(completions=9, unknown_after=200)) as server, client_of(server) as client:
        ids = server.ids()
        if gone == "deleted":
            server.delete(ids[2])
        after = ids[2] if gone == "deleted" else "chatcmpl-nothing"
        nothing: dict[str, Any] = {"object": "list", "data": [], "first_id": None, "last_id": None}
        assert page_of(client, after=after) == {**nothing, "has_more": False}
        messages = page_of(client, f"/{ids[3]}/messages", after=f"{ids[3]}-999")
        assert messages == {**nothing, "has_more": False}
        assert server.stats()["faults"] == {"unknown_after": 2}
        assert paged(client) == server.ids()


def test_a_cursor_can_be_lost_between_two_pages() -> None:
    """`lost_cursor` treats the cursor of one page as unknown; the same one is known again."""
    faults = Faults(lost_cursor=1, at_most=1, routes="list")
    with (
        running(Scenario(completions=150, unknown_after=200), faults) as server,
        client_of(server) as client,
    ):
        last = page_of(client)["last_id"]
        assert page_of(client, after=last)["data"] == []
        assert [row["id"] for row in page_of(client, after=last)["data"]] == server.ids()[100:]


def test_the_list_may_ignore_the_order() -> None:
    """With `newest_first` the list is newest first whatever is asked, messages are not."""
    with running(dense(newest_first=True)) as server, client_of(server) as client:
        assert paged(client, order="asc") == server.ids()[::-1]
        longest = max(server.truth(), key=lambda record: len(record["messages"]))
        messages = page_of(client, f"/{longest['completion']['id']}/messages")
        assert messages["data"] == longest["messages"][:100]


def test_a_page_may_be_capped() -> None:
    """With `max_page` a page has fewer rows than asked for, and has_more is exact."""
    with running(dense(max_page=10)) as server, client_of(server) as client:
        page = page_of(client, limit=1000)
        assert len(page["data"]) == 10
        assert page["has_more"] is True
        assert paged(client) == server.ids()
        assert len(page_of(client, limit=7)["data"]) == 7
        longest = max(server.truth(), key=lambda record: len(record["messages"]))
        path = f"/{longest['completion']['id']}/messages"
        assert len(page_of(client, path)["data"]) == 10
        assert paged(client, path) == [message["id"] for message in longest["messages"]]


def test_a_limit_above_the_largest_page_may_be_refused() -> None:
    """With `strict_limit` a limit above `max_page` is a 400 that names it, without one all is well."""
    with running(dense(max_page=10, strict_limit=True)) as server, client_of(server) as client:
        for path in ("", f"/{server.ids()[0]}/messages"):
            refused = client.get(path, params={"limit": 11})
            assert refused.status_code == 400
            assert refused.json()["error"]["param"] == "limit"
            assert "<= 10" in refused.json()["error"]["message"]
            assert client.get(path).status_code == 200
        assert len(page_of(client, limit=10)["data"]) == 10
        assert len(client.get("").json()["data"]) == 10


def test_has_more_may_be_missing_or_always_false() -> None:
    """A page does not say whether there is more, or always says that there is not."""
    for form in ("missing", "false"):
        with running(dense(has_more=form)) as server, client_of(server) as client:
            for path in ("", f"/{server.ids()[0]}/messages"):
                page = page_of(client, path, limit=1)
                assert len(page["data"]) == 1
                assert page.get("has_more") == (None if form == "missing" else False)


def test_has_more_may_always_be_true() -> None:
    """The last page is empty then, says that there is more, and repeats the cursor."""
    with running(dense(has_more="true")) as server, client_of(server) as client:
        last = server.ids()[-1]
        assert page_of(client, after=server.ids()[-2])["has_more"] is True
        assert page_of(client, after=last) == {
            "object": "list",
            "data": [],
            "first_id": last,
            "last_id": last,
            "has_more": True,
        } | {"first_id": None}


@pytest.mark.parametrize("cursors", ["exact", "time"])
def test_a_hollow_page_leads_on(cursors: Any) -> None:
    """After an empty page with has_more and a last_id the rows follow, and none is missing."""
    with (
        running(dense(cursors=cursors), Faults(hollow_page=1)) as server,
        client_of(server) as client,
    ):
        first = page_of(client)
        assert (first["data"], first["has_more"]) == ([], True)
        page = page_of(client, after=first["last_id"])
        assert [row["id"] for row in page["data"]] == server.ids()[:100]
        hollow = page_of(client, after=page["last_id"])
        assert (hollow["data"], hollow["has_more"]) == ([], True)
        direct = page_of(client, after=hollow["last_id"])
        server.set_faults(None)
        assert direct == page_of(client, after=page["last_id"])


CREATED: dict[str, Callable[[Any], float]] = {
    "milliseconds": lambda sent: sent / 1000,
    "float": lambda sent: sent - 0.5,
    "text": int,
    "iso": lambda sent: datetime.fromisoformat(sent).timestamp(),
}


@pytest.mark.parametrize("form", CREATED)
def test_created_in_other_units(form: Any) -> None:
    """The same time in milliseconds, as a float, in a string or as ISO 8601, in list and get."""
    with (
        running(dense(completions=20)) as plain,
        running(dense(completions=20, created=form)) as server,
        client_of(server) as client,
    ):
        seconds = [record["completion"]["created"] for record in plain.truth()]
        rows = page_of(client)["data"]
        assert [CREATED[form](row["created"]) for row in rows] == seconds
        assert not any(row["created"] in seconds for row in rows)
        assert client.get(f"/{rows[3]['id']}").json() == rows[3]
        assert [record["completion"] for record in server.truth()] == rows


def test_created_may_be_missing() -> None:
    """Without `created` all other keys are as they were."""
    with (
        running(dense(completions=20)) as plain,
        running(dense(completions=20, created="missing")) as server,
    ):
        for mine, theirs in zip(server.truth(), plain.truth(), strict=True):
            del theirs["completion"]["created"]
            assert mine == theirs


@pytest.mark.parametrize("cursors", ["exact", "time"])
def test_one_completion_may_lie_in_the_future(cursors: Any) -> None:
    """With `future_days` one of the middle is dated ahead; it stays the newest while others come."""
    scenario = Scenario(completions=41, now=NOW, future_days=365, cursors=cursors)
    with running(scenario) as server, client_of(server) as client:
        added = server.grow(3)
        rows = page_of(client)["data"]
        times = [row["created"] for row in rows]
        assert times == sorted(times)
        assert times[-1] == NOW + 365 * 86_400
        assert [row["id"] for row in rows[-4:-1]] == added
        assert len({row["id"] for row in rows}) == 44
        assert [row["id"] for row in rows] == server.ids() == paged(client)
        newest = page_of(client, order="desc", limit=1)["data"][0]
        following = page_of(client, order="desc", after=newest["id"])["data"]
        assert [row["id"] for row in following] == server.ids()[-2::-1]


def test_a_completion_can_be_dated_at_run_time() -> None:
    """`date` moves a completion in the list, or takes its time away and leaves its place."""
    with running(Scenario(completions=30, now=NOW)) as server, client_of(server) as client:
        ids = server.ids()
        server.date(ids[20], 1_000_000_000)
        server.date(ids[5], None)
        rows = page_of(client)["data"]
        assert [row["id"] for row in rows] == [ids[20], *ids[:20], *ids[21:]]
        assert rows[0]["created"] == 1_000_000_000
        assert [row["id"] for row in rows if "created" not in row] == [ids[5]]


@pytest.mark.parametrize(
    ("lacks", "status", "words"),
    [
        ("messages", 404, "Invalid URL"),
        ("messages", 405, "Only POST"),
        ("messages", 501, "No store"),
        ("list", 404, "Invalid URL"),
        ("list,get,messages", 410, "retired"),
    ],
)
def test_a_server_may_lack_routes(lacks: str, status: int, words: str) -> None:
    """A missing route gives every id the same response; the other routes respond as usual."""
    scenario = Scenario(completions=5, lacks=lacks, lacks_status=status)
    with running(scenario) as server, client_of(server) as client:
        for name in (server.ids()[0], "chatcmpl-nothing"):
            paths = {"list": "", "get": f"/{name}", "messages": f"/{name}/messages"}
            for route, path in paths.items():
                answer = client.get(path)
                if route in lacks.split(","):
                    assert answer.status_code == status
                    assert words in answer.json()["error"]["message"]
                else:
                    assert answer.status_code == (200 if name in server.ids() or not path else 404)


def test_another_id_than_asked_for() -> None:
    """`other_id` answers the oldest completion and its messages, whatever the id."""
    with (
        running(Scenario(completions=5), Faults(other_id=1)) as server,
        client_of(server) as client,
    ):
        ids = server.ids()
        for name in (ids[3], "chatcmpl-nothing"):
            assert client.get(f"/{name}").json()["id"] == ids[0]
            first = client.get(f"/{name}/messages").json()["data"][0]
            assert first["id"] == f"{ids[0]}-0"
        assert paged(client) == ids


@pytest.mark.parametrize(
    "values",
    [
        {"unknown_after": 204},
        {"max_page": 0},
        {"lacks": "messages,lists"},
        {"lacks_status": 200},
        {"strict_limit": True},
        {"future_days": -1},
    ],
)
def test_servers_out_of_range_are_refused(values: dict[str, Any]) -> None:
    """A value that means nothing is an error that names its option."""
    with pytest.raises(UsageError, match=next(iter(values))):
        Scenario(**values)


def test_the_kinds_of_server_combine() -> None:
    """Cursors by time, a cap and empty pages together still lead through the whole list."""
    scenario = dense(cursors="time", max_page=40, unknown_after=200)
    with running(scenario, Faults(hollow_page=0.3)) as server, client_of(server) as client:
        seen: Counter[str] = Counter()
        created: dict[str, int] = {}
        after = None
        while True:
            page = page_of(client, **({} if after is None else {"after": after}))
            if not page["data"]:
                if not page["has_more"]:
                    break
                after = page["last_id"]
                continue
            created |= {row["id"]: row["created"] for row in page["data"]}
            seen.update(row["id"] for row in page["data"])
            last = page["data"][-1]["created"]
            earlier = [row["id"] for row in page["data"] if row["created"] < last]
            if not page["has_more"]:
                break
            after = earlier[-1]
        assert set(seen) == set(server.ids())
        assert server.stats()["faults"].keys() >= {"hollow_page", "time_page"}
