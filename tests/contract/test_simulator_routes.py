"""The simulator over HTTP: routes, authorisation, limits, errors, changes at run time."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from chatlake.simulator import Running, Scenario, running


def client_of(server: Running, **headers: str) -> httpx.Client:
    """A client of `server` that sends these headers."""
    sent = headers or {"authorization": "Bearer sk-test"}
    return httpx.Client(base_url=server.base_url + "/", headers=sent, trust_env=False)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """One server for all tests that change nothing."""
    with running(Scenario(completions=250, now=1_800_000_000, api_key="sk-test")) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[httpx.Client]:
    """A client with the right key."""
    with client_of(server) as connected:
        yield connected


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The `error` object of an answer."""
    body: dict[str, Any] = answer.json()["error"]
    return body


def test_the_default_page_has_twenty_rows_newest_first(
    server: Running, client: httpx.Client
) -> None:
    """A list without parameters gives 20 rows, newest first, its cursors and has_more."""
    page = client.get("chat/completions").json()
    assert [row["id"] for row in page["data"]] == server.ids()[::-1][:20]
    assert page["first_id"] == page["data"][0]["id"]
    assert page["last_id"] == page["data"][-1]["id"]
    assert page["has_more"] is True


def test_a_limit_above_100_is_refused(client: httpx.Client) -> None:
    """limit=100 gives 100 rows, 101 a 400 that names the parameter."""
    assert len(client.get("chat/completions?limit=100").json()["data"]) == 100
    refused = client.get("chat/completions?limit=101")
    assert refused.status_code == 400
    assert error_of(refused)["param"] == "limit"


@pytest.mark.parametrize("query", ["limit=0", "limit=many", "order=sideways"])
def test_wrong_parameters_are_refused(client: httpx.Client, query: str) -> None:
    """A limit below 1 or an unknown order is a 400."""
    assert client.get(f"chat/completions?{query}").status_code == 400


def test_the_last_page_says_so(server: Running, client: httpx.Client) -> None:
    """has_more is false on the last page, and the page after it is empty."""
    ids = server.ids()
    last = client.get(f"chat/completions?order=asc&limit=50&after={ids[199]}").json()
    assert [row["id"] for row in last["data"]] == ids[200:]
    assert last["has_more"] is False
    empty = client.get(f"chat/completions?order=asc&after={ids[-1]}").json()
    assert empty == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


@pytest.mark.parametrize("encoded", ["metadata[team]=growth", "metadata%5Bteam%5D=growth"])
def test_brackets_may_be_raw_or_encoded(
    server: Running, client: httpx.Client, encoded: str
) -> None:
    """A metadata filter works with raw and with percent-encoded brackets."""
    target = httpx.URL(f"{server.base_url}/chat/completions").copy_with(
        raw_path=f"/v1/chat/completions?limit=100&{encoded}".encode()
    )
    rows = client.get(target).json()["data"]
    expected = [
        record["completion"]["id"]
        for record in server.truth()
        if record["completion"]["metadata"].get("team") == "growth"
    ]
    assert [row["id"] for row in rows] == expected[::-1]
    assert rows


@pytest.mark.parametrize("path", ["", "/messages"])
def test_an_unknown_id_is_404(client: httpx.Client, path: str) -> None:
    """Get and messages of an id that was never given out answer the recorded 404."""
    name = "chatcmpl-" + "x" * 29
    answer = client.get(f"chat/completions/{name}{path}")
    assert answer.status_code == 404
    assert error_of(answer) == {
        "message": f"Completion {name} not found",
        "type": "invalid_request_error",
        "param": "completion_id",
        "code": "not_found",
    }


@pytest.mark.parametrize("status", [404, 400])
def test_an_unknown_cursor_answers_as_configured(status: int) -> None:
    """`after` with an unknown or deleted id is 404, or 400 by option."""
    with running(Scenario(completions=5, unknown_after=status)) as server:
        name = server.ids()[1]
        server.delete(name)
        with client_of(server) as client:
            for after in (name, "chatcmpl-nothing"):
                answer = client.get(f"chat/completions?after={after}")
                assert answer.status_code == status
                assert error_of(answer)["param"] == "after"


def test_messages_page_both_ways(server: Running, client: httpx.Client) -> None:
    """Messages come in the order of the conversation, or turned round, in pages."""
    record = max(server.truth(), key=lambda each: len(each["messages"]))
    route = f"chat/completions/{record['completion']['id']}/messages"
    first = client.get(route).json()
    assert first["data"] == record["messages"][:20]
    assert first["has_more"] is True
    turned = client.get(f"{route}?order=desc&limit=3").json()
    assert turned["data"] == record["messages"][::-1][:3]
    following = client.get(f"{route}?order=desc&limit=2&after={turned['last_id']}").json()
    assert following["data"] == record["messages"][::-1][3:5]


@pytest.mark.parametrize(
    ("headers", "code"),
    [({"authorization": "Bearer sk-wrong"}, "invalid_api_key"), ({"accept": "*/*"}, None)],
)
def test_a_wrong_or_missing_key_is_401(
    server: Running, headers: dict[str, str], code: str | None
) -> None:
    """Without the configured key every route answers 401."""
    with client_of(server, **headers) as stranger:
        answer = stranger.get("chat/completions")
    assert answer.status_code == 401
    assert error_of(answer)["code"] == code


def test_azure_routes_take_the_api_key_header(server: Running) -> None:
    """Both Azure prefixes work with `api-key`; the older one needs an api-version."""
    root = server.base_url.removesuffix("/v1")
    with client_of(server, **{"api-key": "sk-test"}) as client:
        new = client.get(f"{root}/openai/v1/chat/completions?limit=1")
        old = client.get(f"{root}/openai/chat/completions?limit=1&api-version=2025-02-01-preview")
        bare = client.get(f"{root}/openai/chat/completions?limit=1")
    assert new.json() == old.json()
    assert bare.status_code == 404


def test_every_answer_names_its_request(client: httpx.Client) -> None:
    """Answers carry the service's four headers and, by default, none about the pace."""
    seen = set()
    for path in ("chat/completions?limit=1", "chat/completions/none", "nowhere"):
        headers = client.get(path).headers
        seen.add(headers["x-request-id"])
        assert headers["openai-processing-ms"].isdecimal()
        assert headers["openai-organization"]
        assert headers["openai-project"]
        assert not [name for name in headers if name.startswith(("x-ratelimit", "retry-after"))]
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("status", "code"), [(405, "method_not_supported"), (403, "missing_scope")]
)
def test_some_accounts_cannot_list(status: int, code: str) -> None:
    """The list can be closed while messages still work."""
    with (
        running(Scenario(completions=3, list_status=status)) as server,
        client_of(server) as client,
    ):
        closed = client.get("chat/completions")
        assert (closed.status_code, error_of(closed)["code"]) == (status, code)
        assert client.get(f"chat/completions/{server.ids()[0]}/messages").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "", "GET"),
        ("OPTIONS", "", "GET"),
        ("PATCH", "/x", "GET, POST, DELETE"),
        ("DELETE", "/x/messages", "GET"),
    ],
)
def test_a_method_that_a_path_lacks(
    client: httpx.Client, method: str, path: str, allowed: str
) -> None:
    """It is 405 with the methods that the path has; an unknown path is 404."""
    answer = client.request(method, f"chat/completions{path}")
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert error_of(answer)["code"] == "method_not_supported"
    assert client.request(method, f"chat/replies{path}").status_code == 404


def test_null_clears_the_metadata(server: Running, client: httpx.Client) -> None:
    """An update with `metadata: null` leaves none, as OpenAI's specification allows."""
    name = server.ids()[1]
    client.post(f"chat/completions/{name}", json={"metadata": {"team": "a"}})
    answer = client.post(f"chat/completions/{name}", json={"metadata": None})
    assert (answer.status_code, answer.json()["metadata"]) == (200, {})


def test_creating_is_refused_with_a_reason(client: httpx.Client) -> None:
    """POST on the list says that this server creates nothing."""
    answer = client.post("chat/completions", json={"model": "gpt-4.1", "messages": []})
    assert answer.status_code == 405
    assert "creates none" in error_of(answer)["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"model":"x"}',
        b'{"metadata":{"a":1}}',
        b"{}",
        b'{"metadata":{"' + b"k" * 65 + b'":""}}',
    ],
)
def test_an_update_may_only_set_metadata(
    server: Running, client: httpx.Client, body: bytes
) -> None:
    """Anything but valid metadata is a 400 and changes nothing."""
    name = server.ids()[0]
    before = client.get(f"chat/completions/{name}").content
    assert client.post(f"chat/completions/{name}", content=body).status_code == 400
    assert client.get(f"chat/completions/{name}").content == before


def test_the_reply_is_repeated_only_when_asked_for() -> None:
    """With `repeat_reply` messages end with the reply, otherwise they are the input alone."""
    with (
        running(Scenario(completions=30)) as plain,
        running(Scenario(completions=30, repeat_reply=True)) as repeating,
    ):
        for mine, theirs in zip(plain.truth(), repeating.truth(), strict=True):
            *inputs, reply = theirs["messages"]
            assert inputs == mine["messages"]
            assert reply["role"] == "assistant"
            assert reply["content"] == theirs["completion"]["choices"][0]["message"]["content"]


def test_ogx_answers_in_its_own_way() -> None:
    """As OGX: input_messages, no metadata or usage, the reply in /messages, unknown ids are 400."""
    with running(Scenario(completions=60, ogx=True)) as server, client_of(server) as client:
        rows = client.get("chat/completions?limit=60&order=asc&metadata[a]=b").json()["data"]
        assert [row["id"] for row in rows] == server.ids()
        assert all(row["usage"] is None and "metadata" not in row for row in rows)
        for row, record in zip(rows, server.truth(), strict=True):
            assert row == record["completion"]
            assert row["input_messages"] == record["messages"][:-1]
        assert client.get("chat/completions/none").status_code == 400


def test_changes_at_run_time_show_at_once() -> None:
    """Growing, editing, deleting, hiding and revealing change what the API shows."""
    with running(Scenario(completions=4, now=1_800_000_000)) as server, client_of(server) as client:

        def ids() -> list[str]:
            return [row["id"] for row in client.get("chat/completions?order=asc").json()["data"]]

        old = ids()
        added = server.grow(2)
        assert ids() == [*old, *added]
        server.edit(added[0], {"stage": "edited"})
        shown = client.get(f"chat/completions/{added[0]}").json()
        assert shown["metadata"] == {"stage": "edited"}
        server.delete(old[1])
        server.hide(old[2])
        assert ids() == server.ids() == [old[0], old[3], *added]
        assert client.get(f"chat/completions/{old[2]}/messages").status_code == 404
        server.reveal(old[2])
        assert ids() == [old[0], old[2], old[3], *added]


def test_the_admin_routes_do_the_same() -> None:
    """People and other processes reach the same changes, statistics and truth over HTTP."""
    with running(Scenario(completions=3)) as server, client_of(server) as client:
        admin = server.base_url.removesuffix("/v1") + "/_simulator/"
        (added,) = client.post(admin + "grow", json={"n": 1}).json()["ids"]
        client.post(admin + "edit", json={"id": added, "metadata": {"a": "b"}}).raise_for_status()
        client.post(admin + "delete", json={"id": server.ids()[0]}).raise_for_status()
        lines = client.get(admin + "truth").text.splitlines()
        assert [json.loads(line) for line in lines] == list(server.truth())
        assert len(lines) == 3
        client.post(admin + "faults", json={"error_500": 1}).raise_for_status()
        assert client.get("chat/completions").status_code == 500
        stats = client.get(admin + "stats").json()
        assert stats["requests"] == {"list": 1}
        assert stats["statuses"] == {"500": 1}
        assert stats["faults"] == {"error_500": 1}
        for wrong in ({"explosion": 1}, {"error_500": "often"}):
            assert client.post(admin + "faults", json=wrong).status_code == 400
        assert client.post(admin + "delete", json={"id": "none"}).status_code == 400


def test_statistics_count_by_route(server: Running, client: httpx.Client) -> None:
    """Requests are counted by route and status, from zero after a reset."""
    server.reset_stats()
    client.get("chat/completions?limit=1")
    client.get(f"chat/completions/{server.ids()[0]}/messages")
    client.get("chat/completions/none")
    deadline = time.monotonic() + 10
    while (stats := server.stats())["active"] and time.monotonic() < deadline:
        time.sleep(0.005)  # an answer is counted just after it was sent
    assert stats["total"] == 3
    assert stats["requests"] == {"list": 1, "messages": 1, "get": 1}
    assert stats["statuses"] == {"200": 2, "404": 1}
    assert stats["active"] == 0
