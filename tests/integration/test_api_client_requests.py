"""What the client sends, seen by a real server."""

from __future__ import annotations

import asyncio
import gzip
import logging
import traceback
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from chatlake import __version__, errors
from chatlake.api.client import ApiClient
from chatlake.backup.ports import CompletionApi, RequestFigures
from tests.integration.scripted_server import OK, Answer, ScriptedServer, serving

KEY = "sk-proj-0123456789abcdef"


def run(
    use: Callable[[CompletionApi], Awaitable[object]], *script: Answer, **options: object
) -> tuple[object, ScriptedServer]:
    """Use a client of a server that answers by the script; return the result and the server."""

    async def main() -> tuple[object, ScriptedServer]:
        async with serving(*script) as server:
            base_url = server.base_url + str(options.pop("base_suffix", ""))
            client = ApiClient(base_url=base_url, key=KEY, **options)  # type: ignore[arg-type]
            try:
                return await use(client), server
            finally:
                await client.aclose()

    return asyncio.run(main())


def test_list_of_completions() -> None:
    """A page is asked for with order, limit, cursor and filters, percent-encoded."""
    body, server = run(
        lambda api: api.list_completions(
            bytes,
            after="a/b c",
            limit=100,
            order="asc",
            model="gpt-4.1",
            metadata={"team & co": "a=b+c é"},
        )
    )
    assert body == OK
    path, query = server.seen[0].target.split("?")
    assert path == "/v1/chat/completions"
    assert query.split("&") == [
        "limit=100",
        "order=asc",
        "after=a/b%20c",
        "model=gpt-4.1",
        "metadata%5Bteam%20%26%20co%5D=a%3Db%2Bc%20%C3%A9",
    ]


def test_messages_and_completion() -> None:
    """Messages are asked for in ascending order; a completion has no parameters."""

    async def use(api: CompletionApi) -> None:
        await api.list_messages(bytes, "chatcmpl-1", after="x", limit=50, settle=True)
        await api.get_completion(bytes, "chatcmpl-1")

    _, server = run(use)
    assert [request.target for request in server.seen] == [
        "/v1/chat/completions/chatcmpl-1/messages?limit=50&order=asc&after=x",
        "/v1/chat/completions/chatcmpl-1",
    ]


@pytest.mark.parametrize(
    ("completion_id", "segment"),
    [
        ("../../x", "..%2F..%2Fx"),
        ("%2e%2e", "%252e%252e"),
        ("a?b#c", "a%3Fb%23c"),
        ("//evil.example/x", "%2F%2Fevil.example%2Fx"),
        ("é x", "%C3%A9%20x"),
        ("...", "..."),
        ("a;b@c:d", "a;b@c:d"),
    ],
)
def test_an_id_stays_one_segment(completion_id: str, segment: str) -> None:
    """No id leads to another route or host, and nothing on the way encodes it twice."""
    _, server = run(lambda api: api.get_completion(bytes, completion_id))
    assert server.seen[0].target == f"/v1/chat/completions/{segment}"


@pytest.mark.parametrize("completion_id", ["", ".", "..", "a\nb", "a\x00", "\ud83d", "x" * 600])
def test_malformed_ids_are_not_asked_for(completion_id: str) -> None:
    """An id that cannot be one path segment is refused here, without a request."""

    async def use(api: CompletionApi) -> RequestFigures:
        with pytest.raises(errors.RequestRejectedError, match="malformed id"):
            await api.get_completion(bytes, completion_id)
        with pytest.raises(errors.RequestRejectedError, match="malformed id"):
            await api.list_messages(bytes, completion_id, after=None, limit=1, settle=True)
        return api.figures

    figures, server = run(use)
    assert figures == RequestFigures()
    assert server.seen == []


def test_base_url_with_slash_and_query() -> None:
    """Queries of base_url, configuration and request are merged; a slash at the end is fine."""
    _, server = run(
        lambda api: api.list_completions(bytes, after=None, limit=1),
        base_suffix="/openai/?api-version=2025-02-01-preview&limit=7",
        query={"tenant": "x y"},
    )
    path, query = server.seen[0].target.split("?")
    assert path == "/v1/openai/chat/completions"
    assert query.split("&") == [
        "api-version=2025-02-01-preview",
        "limit=1",
        "tenant=x%20y",
        "order=asc",
    ]


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [("bearer", "authorization", f"Bearer {KEY}"), ("api-key", "api-key", KEY)],
)
def test_headers(auth: str, name: str, value: str) -> None:
    """Every request carries the key in its form, the fixed headers and chatlake's name."""
    _, server = run(
        lambda api: api.get_completion(bytes, "x"), auth=auth, headers={"OpenAI-Project": "p"}
    )
    headers = server.seen[0].headers
    assert headers[name] == value
    assert headers["openai-project"] == "p"
    assert headers["user-agent"] == f"chatlake/{__version__}"
    assert "gzip" in headers["accept-encoding"]
    assert "cookie" not in headers
    assert ("api-key" in headers) + ("authorization" in headers) == 1


def test_compressed_body_is_decoded() -> None:
    """`read` gets the plain text of a gzip body."""
    answer = Answer(body=gzip.compress(OK), headers={"content-encoding": "gzip"})
    body, _ = run(lambda api: api.get_completion(bytes, "x"), answer)
    assert body == OK


def test_large_bodies_are_read_two_at_a_time() -> None:
    """Memory holds two of them; the others wait."""
    body = bytes(1 << 20)
    reading = most = 0

    async def room() -> None:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        await asyncio.sleep(0.1)
        reading -= 1

    async def use(api: CompletionApi) -> list[int]:
        ask = partial(api.list_messages, len, after=None, limit=1, settle=False, room=room)
        return list(await asyncio.gather(*[ask(completion_id=str(n)) for n in range(6)]))

    sizes, _ = run(use, *[Answer(body=body)] * 6)
    assert sizes == [len(body)] * 6
    assert most == 2


def test_huge_bodies_are_read_one_at_a_time() -> None:
    """Memory holds one of them; the others wait, and their wait is not the service's time-out."""
    body = bytes(16 << 20)

    async def use(api: CompletionApi) -> list[int]:
        return list(await asyncio.gather(*[api.get_completion(len, str(n)) for n in range(5)]))

    # Five seconds for all, so the last one waits for four: alone, each has time enough.
    answers = [Answer(body=body, pause_s=1.0)] * 5
    sizes, server = run(use, *answers, timeout_s=4.5, max_attempts=1)
    assert sizes == [len(body)] * 5
    assert server.most_pausing == 1


def test_a_large_body_is_read_when_there_is_room() -> None:
    """Before its greater part is read, the caller is asked; a small one is read at once."""
    asked: list[str] = []

    async def use(api: CompletionApi) -> list[int]:
        async def room() -> None:
            asked.append("room")

        ask = partial(api.list_messages, len, "x", after=None, limit=1, settle=False, room=room)
        return [await ask(), await ask()]

    sizes, _ = run(use, Answer(), Answer(body=bytes(1 << 20)))
    assert sizes == [len(OK), 1 << 20]
    assert asked == ["room"]


def test_a_full_disk_while_a_large_body_waits_ends_the_request() -> None:
    """What fails while room is made is no failure of the service: it is raised, not tried again."""

    async def room() -> None:
        raise errors.LakeUnwritableError("no room on the disk") from OSError(28, "full")

    async def use(api: CompletionApi) -> object:
        with pytest.raises(errors.LakeUnwritableError, match="no room"):
            await api.list_messages(len, "x", after=None, limit=1, settle=False, room=room)
        return api.figures.requests

    requests, server = run(use, *[Answer(body=bytes(1 << 20))] * 3)
    assert requests == len(server.seen) == 1


def test_a_large_compressed_body_is_whole() -> None:
    """A large body comes out whole, however it is compressed: its size in memory counts."""
    body = bytes(range(256)) * (12 << 10)
    answer = Answer(body=gzip.compress(body), headers={"content-encoding": "gzip"})
    got, _ = run(lambda api: api.get_completion(bytes, "x"), answer)
    assert got == body


def test_cookies_are_not_kept() -> None:
    """A cookie that a server sets is not sent back."""

    async def use(api: CompletionApi) -> None:
        await api.get_completion(bytes, "x")
        await api.get_completion(bytes, "x")

    _, server = run(use, Answer(headers={"set-cookie": "a=b"}))
    assert "cookie" not in server.seen[1].headers


def test_redirects_are_not_followed() -> None:
    """The key goes to no other place than base_url: a redirect is an error naming the host.

    Of the list it is the source's, of one completion that one's alone.
    """

    async def use(api: CompletionApi) -> list[str]:
        with pytest.raises(errors.SourceUnreachableError) as of_list:
            await api.list_completions(bytes, after=None, limit=1)
        with pytest.raises(errors.RequestRejectedError) as of_one:
            await api.get_completion(bytes, "x")
        return [of_list.value.message, of_one.value.message]

    elsewhere = Answer(302, headers={"location": "http://127.0.0.1:1/x"})
    messages, server = run(use, elsewhere, elsewhere)
    assert ["127.0.0.1:1" in message for message in messages] == [True, True]
    assert len(server.seen) == 2


def test_key_is_visible_nowhere(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither repr nor errors nor debug logs nor the chain of exceptions hold the key."""
    caplog.set_level(logging.DEBUG)
    said = b'{"error": {"message": "bad key %s"}}' % KEY.encode()
    shown = []

    async def use(api: CompletionApi) -> None:
        def read(body: bytes) -> None:
            raise errors.InvalidResponseError(f"not JSON: {body!r}")

        shown.append(repr(api))
        for _ in range(4):
            with pytest.raises(errors.ChatlakeError) as caught:
                await api.get_completion(read, "x")
            error: BaseException | None = caught.value
            shown.extend(traceback.format_exception(caught.value))
            while error is not None:
                shown.append(repr(error))
                error = error.__cause__ or error.__context__

    async def main() -> None:
        broken = Answer(raw=b"nonsense\r\n\r\n")
        async with serving(
            Answer(401, said),
            Answer(404, said),
            *([Answer(body=KEY.encode())] * 4),
            *([broken] * 8),
        ) as server:
            client = ApiClient(base_url=server.base_url, key=KEY, sleep=lambda s: asyncio.sleep(0))
            await use(client)
            await client.aclose()

    asyncio.run(main(), debug=True)
    out, err = capfd.readouterr()
    for text in (*shown, caplog.text, out, err):
        assert KEY not in text
        assert KEY[8:] not in text


@pytest.mark.parametrize(
    "options",
    [
        {"key": "a\nb"},
        {"key": ""},
        {"key": " a"},
        {"key": "clé"},
        {"auth": "basic"},
        {"headers": {"a b": "c"}},
        {"headers": {"a": "c\r\nd: e"}},
        {"base_url": "ftp://example.com"},
        {"base_url": "example.com/v1"},
        {"base_url": "http://u:secret@example.com"},
        {"base_url": "http://example.com:99999"},
    ],
)
def test_unusable_configuration(options: dict[str, object]) -> None:
    """What cannot be sent is reported as an error of the configuration, without the key."""
    values: dict[str, object] = {"base_url": "http://127.0.0.1:1", "key": KEY} | options
    with pytest.raises(errors.ConfigurationError) as caught:
        ApiClient(**values)  # type: ignore[arg-type]
    assert "secret" not in caught.value.message
    assert KEY not in caught.value.message


@pytest.mark.parametrize("uses", [0, 3])
def test_close_ends_every_connection_and_may_be_called_twice(uses: int) -> None:
    """Used or not, without a warning: the server sees all of its connections end."""

    async def main() -> tuple[int, int]:
        async with serving() as server:
            client = ApiClient(base_url=server.base_url, key=KEY)
            await asyncio.gather(*(client.get_completion(bytes, "x") for _ in range(uses)))
            held = len(server.handlers)
            await client.aclose()
            await client.aclose()
            await asyncio.wait_for(asyncio.gather(*server.handlers), 5)
            return len(server.seen), held

    assert asyncio.run(main()) == (uses, uses)


@pytest.mark.parametrize("length", [9_000, 60_000])
def test_long_headers_of_a_gateway_are_read(length: int) -> None:
    """Neither a cookie or policy longer than 8 KiB nor many of them fail a request."""
    long = {f"x-policy-{number}": "p" * length for number in range(3)}
    got, server = run(lambda api: api.get_completion(bytes, "x"), Answer(headers=long))
    assert got == OK
    assert len(server.seen) == 1


@pytest.mark.usefixtures("short_waits")
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(headers={"x-policy": "p" * 70_000}), "is longer than 64 KiB"),
        (Answer(raw=b"HTTP/1.1 200 " + b"p" * 70_000 + b"\r\n\r\n"), "is longer than 64 KiB"),
        (Answer(headers={f"x-{n}": "p" for n in range(500)}), "Too many headers"),
    ],
)
def test_a_head_that_is_too_long_is_named(answer: Answer, words: str) -> None:
    """In one line of words, without what the line held."""

    async def use(api: CompletionApi) -> str:
        with pytest.raises(errors.ChatlakeError) as caught:
            await api.get_completion(bytes, "x")
        return caught.value.message

    message, _ = run(use, *[answer] * 10)
    assert words in message
    assert "ppp" not in message
    assert len(message) < 200


def test_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy is used for hosts elsewhere, unless NO_PROXY names them, never for loopback."""

    async def targets(base_url: str) -> list[str]:
        async with serving() as proxy:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
            client = ApiClient(
                base_url=base_url.format(port=proxy.port),
                key=KEY,
                sleep=lambda seconds: asyncio.sleep(0),
            )
            try:
                await client.get_completion(bytes, "x")
            except errors.SourceUnreachableError:
                pass
            finally:
                await client.aclose()
            return [request.target for request in proxy.seen]

    elsewhere = "http://api.invalid/v1"
    assert asyncio.run(targets(elsewhere)) == [f"{elsewhere}/chat/completions/x"]
    assert asyncio.run(targets("http://127.0.0.1:{port}/v1")) == ["/v1/chat/completions/x"]
    monkeypatch.setenv("no_proxy", ".invalid")
    assert asyncio.run(targets(elsewhere)) == []
