"""Each fault does what its name says, and the pace is limited as configured."""

from __future__ import annotations

import concurrent.futures
import email.utils
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from chatlake.errors import UsageError
from chatlake.simulator import Faults, Running, Scenario, running
from chatlake.simulator.dice import Dice
from chatlake.simulator.limiter import Bucket
from chatlake.simulator.mischief import NAMES, Mischief

LIST = "chat/completions?limit=10&order=asc"


@contextmanager
def connected(server: Running) -> Iterator[httpx.Client]:
    """A client of `server` with any key."""
    with httpx.Client(
        base_url=server.base_url + "/",
        headers={"authorization": "Bearer k"},
        trust_env=False,
        timeout=10,
    ) as client:
        yield client


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """One server whose faults the tests replace."""
    with running(Scenario(completions=60, now=1_800_000_000)) as simulator:
        yield simulator


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    """A client; after the test the faults end."""
    with connected(server) as client:
        yield client
    server.set_faults(None)


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("error_401", 401, "invalid_api_key"),
        ("error_403", 403, "missing_scope"),
        ("error_500", 500, None),
        ("quota", 429, "insufficient_quota"),
        ("error_429", 429, "rate_limit_exceeded"),
        ("error_503", 503, "server_is_overloaded"),
    ],
)
def test_error_answers(
    server: Running, client: httpx.Client, name: str, status: int, code: str | None
) -> None:
    """Each error comes with its status and code, and no header about when to come again."""
    server.set_faults(Faults(**{name: 1}))
    answer = client.get(LIST)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    assert "retry-after" not in answer.headers
    assert server.stats()["faults"] == {name: 1}


@pytest.mark.parametrize(("name", "status"), [("error_502", 502), ("error_504", 504)])
def test_edge_errors_are_html(
    server: Running, client: httpx.Client, name: str, status: int
) -> None:
    """Errors of the edge are HTML pages, not JSON."""
    server.set_faults(Faults(**{name: 1}))
    answer = client.get(LIST)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html"
    assert "<html>" in answer.text


def test_reset_breaks_the_connection(server: Running, client: httpx.Client) -> None:
    """A reset gives no answer at all; the next request is served."""
    server.set_faults(Faults(reset=1, at_most=1))
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        client.get(LIST)
    assert client.get(LIST).status_code == 200


def test_a_truncated_body_ends_half_way(server: Running, client: httpx.Client) -> None:
    """The announced length is not reached, which a client has to notice."""
    server.set_faults(Faults(truncated=1, at_most=1))
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(LIST)
    assert client.get(LIST).status_code == 200


def test_a_slow_body_arrives_whole(server: Running, client: httpx.Client) -> None:
    """Half of the body comes at once, the rest after the pause."""
    server.set_faults(Faults(slow=1, slow_seconds=0.2))
    began = time.monotonic()
    assert len(client.get(LIST).json()["data"]) == 10
    assert time.monotonic() - began >= 0.2


def test_a_dripping_body_arrives_byte_by_byte(server: Running, client: httpx.Client) -> None:
    """Each byte comes by itself, the pause after it, and none is missing."""
    path = f"chat/completions/{server.ids()[0]}/messages?limit=1"
    body = client.get(path).content
    server.set_faults(Faults(drip=1, slow_seconds=0.0005))
    began = time.monotonic()
    assert client.get(path).content == body
    assert time.monotonic() - began >= len(body) * 0.0005


def test_a_drip_ends_with_its_client(server: Running, client: httpx.Client) -> None:
    """The first byte comes at once; nothing keeps dripping to a client that has gone away."""
    server.set_faults(Faults(drip=1, slow_seconds=3600))
    with client.stream("GET", LIST) as answer:
        assert next(answer.iter_raw()) == b"{"
    deadline = time.monotonic() + 5
    while server.stats()["active"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.stats()["active"] == 0


def test_hang_never_answers(server: Running, client: httpx.Client) -> None:
    """A hanging request gets no response: the client has to give up."""
    server.set_faults(Faults(hang=1))
    with pytest.raises(httpx.ReadTimeout):
        client.get(LIST, timeout=0.2)


def test_bad_bodies(server: Running, client: httpx.Client) -> None:
    """Invalid JSON, an HTML page and wrong types all come with status 200."""
    server.set_faults(Faults(invalid_json=1))
    answer = client.get(LIST)
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    server.set_faults(Faults(html_200=1))
    assert client.get(LIST).headers["content-type"] == "text/html"
    server.set_faults(Faults(wrong_types=1))
    assert client.get(LIST).json()["has_more"] == "yes"
    assert client.get(f"chat/completions/{server.ids()[0]}").json()["id"] == 7


def test_paging_faults(server: Running, client: httpx.Client) -> None:
    """Pages repeat, overlap, or are empty and yet promise more."""
    ids = server.ids()
    following = f"{LIST}&after={ids[9]}"

    def page(path: str) -> list[str]:
        return [row["id"] for row in client.get(path).json()["data"]]

    server.set_faults(Faults(repeated_page=1))
    assert page(LIST) == page(following) == ids[:10]
    server.set_faults(Faults(overlapping_page=1))
    assert page(LIST) == ids[:10]
    assert page(following) == ids[5:15]
    assert page(f"{LIST.replace('asc', 'desc')}&after={ids[20]}") == ids[24:14:-1]
    server.set_faults(Faults(empty_page=1))
    empty = client.get(following).json()
    assert empty["data"] == []
    assert empty["has_more"] is True


@pytest.mark.parametrize(
    ("style", "header", "value"),
    [
        ("seconds", "retry-after", "2"),
        ("fraction", "retry-after", "1.500"),
        ("ms", "retry-after-ms", "1500"),
    ],
)
def test_retry_after_in_each_spelling(
    server: Running, client: httpx.Client, style: str, header: str, value: str
) -> None:
    """The header of a 429 is an integer, a fraction or milliseconds, as configured."""
    server.set_faults(Faults(error_429=1, retry_after=style, retry_after_seconds=1.5))  # type: ignore[arg-type]
    assert client.get(LIST).headers[header] == value


def test_retry_after_as_a_date(server: Running, client: httpx.Client) -> None:
    """An HTTP date lies the configured time ahead."""
    server.set_faults(Faults(error_503=1, retry_after="date", retry_after_seconds=60))
    date = email.utils.parsedate_to_datetime(client.get(LIST).headers["retry-after"])
    assert 55 < date.timestamp() - time.time() < 65


def test_missing_is_a_property_of_the_id(server: Running, client: httpx.Client) -> None:
    """A share of the ids answers 404 for its messages every time, while get still works."""
    server.set_faults(Faults(missing=0.3))

    def missing() -> list[str]:
        return [
            name
            for name in server.ids()
            if client.get(f"chat/completions/{name}/messages").status_code == 404
        ]

    first = missing()
    assert 5 < len(first) < 35
    assert missing() == first == server.missing_ids()
    assert client.get(f"chat/completions/{first[0]}").status_code == 200


def test_routes_narrow_the_faults(server: Running, client: httpx.Client) -> None:
    """Faults for messages leave the list alone."""
    server.set_faults(Faults(error_500=1, routes="messages,get"))
    assert client.get(LIST).status_code == 200
    assert client.get(f"chat/completions/{server.ids()[0]}/messages").status_code == 500


def test_an_outage_lasts_its_time(server: Running, client: httpx.Client) -> None:
    """During the outage all is 503, whatever is asked."""
    server.set_faults(Faults(outage_seconds=3600))
    assert client.get(LIST).status_code == 503
    server.set_faults(Faults(outage_after=3600, outage_seconds=3600))
    assert client.get(LIST).status_code == 200


def test_the_server_dies_after_its_requests() -> None:
    """After so many requests connections are broken, then refused."""
    with running(Scenario(completions=3), Faults(dies_after=2)) as server:
        with connected(server) as client:
            assert [client.get(LIST).status_code for _ in range(2)] == [200, 200]
            with pytest.raises(httpx.TransportError):
                client.get(LIST)
        with connected(server) as client, pytest.raises(httpx.ConnectError):
            client.get(LIST)


def test_a_rate_is_a_probability_or_a_period() -> None:
    """Below 1 a rate is a seeded probability, from 1 on it means every Nth request."""
    dice = Dice(3)

    def drawn(faults: Faults) -> list[str | None]:
        mischief = Mischief(faults, dice)
        return [mischief.draw("list", with_after=False) for _ in range(400)]

    third = drawn(Faults(reset=3))
    assert [place % 3 for place, name in enumerate(third) if name] == [2] * 133
    tenth = drawn(Faults(reset=0.1))
    assert tenth == drawn(Faults(reset=0.1))
    assert 20 < sum(name is not None for name in tenth) < 65


def test_every_rate_is_a_fault_that_can_be_drawn() -> None:
    """No rate of `Faults` is without effect: each is drawn when it is the only one."""
    for name in NAMES:
        mischief = Mischief(Faults(**{name: 1}), Dice(1))
        assert mischief.draw("messages", with_after=True) == name


@pytest.mark.parametrize("values", [{"error_500": -1}, {"missing": 2}, {"routes": "list,mesages"}])
def test_faults_out_of_range_are_refused(values: dict[str, Any]) -> None:
    """A negative rate, a share above 1 or an unknown route is an error, not silently ignored."""
    with pytest.raises(UsageError, match=next(iter(values))):
        Faults(**values)


def test_the_bucket_refills_with_time() -> None:
    """A burst is served at once, then one request for each interval; the stated wait is exact."""
    bucket = Bucket(per_minute=120, burst=3, now=0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert bucket.take(0.25) == 0.25
    assert bucket.take(0.5) == 0.0
    assert [bucket.take(100.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


@pytest.mark.parametrize(
    ("style", "told"),
    [
        ("none", set()),
        ("retry-after", {"retry-after"}),
        (
            "x-ratelimit",
            {
                "retry-after",
                "x-ratelimit-limit-requests",
                "x-ratelimit-remaining-requests",
                "x-ratelimit-reset-requests",
            },
        ),
    ],
)
def test_above_the_pace_is_429(style: str, told: set[str]) -> None:
    """More than the burst is 429 rate_limit_exceeded, with just the headers asked for."""
    limited = Scenario(completions=3, requests_per_minute=1, burst=2, rate_headers=style)  # type: ignore[arg-type]
    with running(limited) as server, connected(server) as client:
        answers = [client.get(LIST) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        refused = answers[-1]
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"
        found = {name for name in refused.headers if name.startswith(("x-rate", "retry"))}
        assert found == told
        assert server.stats()["rate_limited"] == 1


def test_concurrency_is_measured() -> None:
    """Requests that are answered at the same time are seen as such."""
    with running(Scenario(completions=3, latency_ms=150)) as server, connected(server) as client:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(client.get, [LIST] * 4))
        assert {answer.status_code for answer in answers} == {200}
        assert 2 <= server.stats()["max_concurrency"] <= 4
        assert int(answers[0].headers["openai-processing-ms"]) >= 150
