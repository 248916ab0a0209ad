"""Single completions that are refused, malformed, or answer fewer messages than they had."""

from __future__ import annotations

import json
from typing import Any

import httpx
import msgspec
import pytest

from chatlake.errors import UsageError
from chatlake.simulator import Faults, Running, Scenario, running
from chatlake.simulator.malformed import DEPTH, KINDS
from chatlake.simulator.refusals import WAYS
from tests.contract.simulated import client_of, page_of, paged

SCENARIO = Scenario(completions=60, now=1_800_000_000)


def with_messages(server: Running, count: int) -> str:
    """The id of a completion with at least so many messages."""
    return next(
        str(record["completion"]["id"])
        for record in server.truth()
        if len(record["messages"]) >= count
    )


@pytest.mark.parametrize("keep", [1, 0])
def test_messages_shrink(keep: int) -> None:
    """Fewer messages with 200, as if there had never been more; the truth still has them all."""
    with running(SCENARIO) as server, client_of(server) as client:
        name = with_messages(server, 3)
        whole = page_of(client, f"/{name}/messages")["data"]
        server.shrink(name, keep)
        page = page_of(client, f"/{name}/messages", limit=1)
        assert page["data"] == whole[:keep]
        assert page["has_more"] is False
        assert page_of(client, f"/{name}/messages", order="desc")["data"] == whole[:keep]
        record = next(each for each in server.truth() if each["completion"]["id"] == name)
        assert record["messages"] == whole
        assert server.stats()["faults"] == {"shrunk": 2}
        server.restore(name)
        assert page_of(client, f"/{name}/messages")["data"] == whole


def test_a_share_of_the_edited_shrinks() -> None:
    """`shrunk` meets only completions whose metadata was replaced, to one message or to none."""
    with running(SCENARIO, Faults(shrunk=1)) as server, client_of(server) as client:
        counts = {each["completion"]["id"]: len(each["messages"]) for each in server.truth()}

        def answered(name: str) -> int:
            return len(page_of(client, f"/{name}/messages")["data"])

        assert all(answered(name) == count or count > 100 for name, count in counts.items())
        edited = [name for name, count in counts.items() if count > 1]
        for name in edited:
            server.edit(name, {"stage": "edited"})
        assert {answered(name) for name in edited} == {0, 1}
        server.set_faults(None)
        assert all(answered(name) > 1 for name in edited)


ANSWERS = {
    "302": (302, None),
    "401": (401, "invalid_api_key"),
    "403": (403, "missing_scope"),
    "404": (404, "not_found"),
    "405": (405, "method_not_supported"),
    "410": (410, "gone"),
    "429": (429, "rate_limit_exceeded"),
    "quota": (429, "insufficient_quota"),
    "500": (500, None),
    "501": (501, None),
}


@pytest.mark.parametrize("way", ANSWERS)
@pytest.mark.parametrize("route", ["get", "messages"])
def test_one_id_is_refused(way: str, route: str) -> None:
    """Every time on this route, and on no other; the other ids, and the list, are served."""
    status, code = ANSWERS[way]
    with running(SCENARIO) as server, client_of(server) as client:
        name, other = server.ids()[:2]
        server.refuse(name, int(way) if way.isdecimal() else way, [route])
        paths = {"get": f"/{name}", "messages": f"/{name}/messages"}
        for _ in range(3):
            answer = client.get(paths[route])
            assert answer.status_code == status
            if status == 302:
                assert answer.headers["location"]
            else:
                assert answer.json()["error"]["code"] == code
        (open_route,) = paths.keys() - {route}
        assert client.get(paths[open_route]).status_code == 200
        assert client.get(f"/{other}/messages").status_code == 200
        assert paged(client) == server.ids()
        assert server.refused_ids() == [name]
        assert server.stats()["faults"] == {"refused": 3}
        server.restore(name)
        assert client.get(paths[route]).status_code == 200


def test_one_id_breaks_the_connection_or_never_answers() -> None:
    """A reset or a missing response affects only the ids that it was set for."""
    with running(SCENARIO) as server, client_of(server, timeout=0.3) as client:
        reset, silent, other = server.ids()[:3]
        server.refuse(reset, "reset", ["get", "messages"])
        server.refuse(silent, "hang")
        for path in (f"/{reset}", f"/{reset}/messages"):
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                client.get(path)
        with pytest.raises(httpx.ReadTimeout):
            client.get(f"/{silent}/messages")
        assert client.get(f"/{silent}").status_code == 200
        assert client.get(f"/{other}/messages").status_code == 200
        assert server.refused_ids() == [reset, silent]


def test_every_way_is_tried_here() -> None:
    """No way of refusing is without a test."""
    assert set(WAYS) == {*ANSWERS, "reset", "hang"}


def test_a_share_of_the_ids_is_refused() -> None:
    """The same ids every time, each in its own way, on the chosen routes."""
    faults = Faults(refused_ids=0.4, refused_routes="messages")
    with running(SCENARIO, faults) as server, client_of(server) as client:

        def met() -> dict[str, int]:
            met = {}
            for name in server.ids():
                try:
                    met[name] = client.get(f"/{name}/messages").status_code
                except httpx.TransportError:
                    met[name] = 0
            return met

        first = met()
        refused = [name for name, status in first.items() if status != 200]
        assert met() == first
        assert refused == server.refused_ids()
        assert 10 < len(refused) < 40
        assert len({first[name] for name in refused}) > 4
        assert all(client.get(f"/{name}").status_code == 200 for name in refused)
        server.set_faults(Faults(refused_ids=0.4, refused_with="410", refused_routes="get"))
        assert all(client.get(f"/{name}").status_code == 410 for name in refused)
        assert client.get(f"/{refused[0]}/messages").status_code == 200


def row_texts(body: bytes) -> list[bytes]:
    """The rows of a page as they were sent, for pages that a strict reader still splits."""

    class Page(msgspec.Struct):
        data: list[msgspec.Raw]

    return [bytes(row) for row in msgspec.json.decode(body, type=Page).data]


PARSED: dict[str, Any] = {"null": None, "number": 7, "string": "a row", "array": []}
IDS: dict[str, Any] = {"empty-id": "", "null-id": None, "number-id": 7}


@pytest.mark.parametrize("kind", sorted({*PARSED, *IDS, "no-id", "duplicate-key", "duplicate-id"}))
@pytest.mark.parametrize("ogx", [False, True])
def test_a_malformed_row_that_is_json(kind: str, ogx: bool) -> None:
    """The row in the list is what its kind says; the rows beside it and the cursors are intact."""
    with running(Scenario(completions=9, ogx=ogx)) as server, client_of(server) as client:
        truth = [record["completion"] for record in server.truth()]
        server.malform(truth[4]["id"], kind, ["list"])
        answer = client.get("", params={"order": "asc", "limit": 5})
        page = answer.json()
        wanted: Any = dict(truth[4])
        if kind in PARSED:
            wanted = PARSED[kind]
        elif kind in IDS:
            wanted["id"] = IDS[kind]
        elif kind == "no-id":
            del wanted["id"]
        assert page["data"] == [*truth[:4], wanted]
        assert page["last_id"] == truth[4]["id"]
        key = {"duplicate-key": b'"model":', "duplicate-id": b'"id":'}.get(kind)
        if key is not None:
            sound = client.get(f"/{truth[4]['id']}").content.replace(b": ", b":")
            row = row_texts(answer.content)[4].replace(b": ", b":")
            assert row.count(key) == sound.count(key) + 1
        assert page_of(client, after=truth[4]["id"])["data"] == truth[5:]
        assert list(server.truth())[4]["completion"] == truth[4]
        assert server.malformed_ids() == [truth[4]["id"]]


@pytest.mark.parametrize("kind", ["nan", "nan-row", "invalid-utf8", "deep"])
def test_a_malformed_row_that_is_no_json(kind: str) -> None:
    """The whole page cannot be read strictly; asked for one by one, all other rows can."""
    with running(Scenario(completions=5)) as server, client_of(server) as client:
        ids = server.ids()
        server.malform(ids[2], kind)
        body = client.get("", params={"order": "asc"}).content
        if kind == "deep":
            with pytest.raises(RecursionError):
                json.loads(body)
            assert b"[" * DEPTH in body
        elif kind == "invalid-utf8":
            with pytest.raises(UnicodeDecodeError):
                body.decode()
        else:
            with pytest.raises(msgspec.DecodeError):
                msgspec.json.decode(body)
        for place in (0, 1, 3, 4):
            query: dict[str, Any] = {"limit": 1} | ({"after": ids[place - 1]} if place else {})
            assert page_of(client, **query)["data"][0]["id"] == ids[place]
        assert (client.get(f"/{ids[2]}").content in body) is True


def test_every_kind_of_malformation_is_tried_here() -> None:
    """No kind is without a test."""
    tried = {*PARSED, *IDS, "no-id", "duplicate-key", "duplicate-id"}
    assert set(KINDS) == tried | {"nan", "nan-row", "invalid-utf8", "deep"}


def test_a_malformed_message() -> None:
    """One message is spoiled at its place; the row of its completion and the rest are intact."""
    with running(SCENARIO) as server, client_of(server) as client:
        name = with_messages(server, 3)
        whole = page_of(client, f"/{name}/messages")["data"]
        server.malform(name, "no-id", ["messages"], position=1)
        for order, step in (("asc", 1), ("desc", -1)):
            sent = page_of(client, f"/{name}/messages", order=order)["data"][::step]
            assert "id" not in sent[1]
            assert {**sent[1], "id": whole[1]["id"]} == whole[1]
            assert [sent[0], *sent[2:]] == [whole[0], *whole[2:]]
        assert client.get(f"/{name}").json()["id"] == name
        assert server.malformed_ids() == []
        assert server.malformed_ids("messages") == [name]
        server.restore(name)
        assert page_of(client, f"/{name}/messages")["data"] == whole


def test_a_share_of_rows_and_messages_is_malformed() -> None:
    """Seeded shares of rows and of first messages, of one kind."""
    faults = Faults(malformed_rows=0.3, malformed_messages=0.2, malformed_as="no-id")
    with running(SCENARIO, faults) as server, client_of(server) as client:
        ids = server.ids()
        rows = page_of(client)["data"]
        odd = [name for name, row in zip(ids, rows, strict=True) if "id" not in row]
        assert odd == server.malformed_ids()
        assert 8 < len(odd) < 30
        of_messages = [
            name
            for name in ids
            if any("id" not in sent for sent in page_of(client, f"/{name}/messages")["data"])
        ]
        assert of_messages == server.malformed_ids("messages")
        assert 3 < len(of_messages) < 25
        assert all("id" in record["completion"] for record in server.truth())


def test_the_admin_routes_set_oddities_too() -> None:
    """Another process sets, and ends, the same over HTTP; what means nothing is a 400."""
    with running(SCENARIO) as server, client_of(server) as client:
        name = with_messages(server, 3)
        admin = server.base_url.removesuffix("/v1") + "/_simulator/"

        def post(action: str, **body: Any) -> int:
            return client.post(admin + action, json={"id": name, **body}).status_code

        assert post("shrink", keep=1) == 200
        assert len(page_of(client, f"/{name}/messages")["data"]) == 1
        assert post("refuse", status=410, routes=["get"]) == 200
        assert client.get(f"/{name}").status_code == 410
        assert post("refuse", status="reset") == 200
        assert server.refused_ids() == [name]
        assert post("malform", kind="null", routes=["list"]) == 200
        assert page_of(client)["data"].count(None) == 1
        assert post("restore") == 200
        assert post("date", created=5) == 200
        assert page_of(client)["data"][0]["created"] == 5
        assert post("date", created=None) == 200
        for wrong in (
            post("shrink", keep=-1),
            post("refuse", status=418),
            post("refuse", routes=["list"]),
            post("malform", kind="wet"),
            post("malform", kind="null", routes=[]),
            post("date", created="yesterday"),
        ):
            assert wrong == 400
        assert client.get(f"/{name}").status_code == 200


@pytest.mark.parametrize(
    "values",
    [
        {"refused_ids": 1.5},
        {"refused_routes": "list"},
        {"shrunk": -0.1},
        {"malformed_rows": 2},
        {"malformed_messages": 2},
    ],
)
def test_shares_out_of_range_are_refused(values: dict[str, Any]) -> None:
    """A share above 1, or a route that cannot refuse one id, is an error that names its option."""
    with pytest.raises(UsageError, match=next(iter(values))):
        Faults(**values)


def test_a_deleted_completion_is_not_refused_but_gone() -> None:
    """The service cannot refuse what it does not know: a deleted id gets 404 like any other."""
    with running(SCENARIO) as server, client_of(server) as client:
        name = server.ids()[0]
        server.refuse(name, 403, ["get", "messages"])
        server.delete(name)
        assert client.get(f"/{name}").status_code == 404
        assert server.refused_ids() == []
