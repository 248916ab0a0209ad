"""When a request is sent again, how long it waits, and what is raised in the end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import tenacity

from chatlake import errors
from chatlake.api.client import ApiClient
from chatlake.api.retry import Attempts
from chatlake.backup.ports import CompletionApi
from chatlake.errors import InvalidResponseError
from tests.integration.scripted_server import DROP, OK, Answer, FakeTime, ScriptedServer, serving

BUSY = Answer(503, b'{"error": {"message": "overloaded"}}')
GONE = Answer(404, b'{"error": {"message": "Completion x not found", "code": "not_found"}}')
REAL_TIME: dict[str, Callable[..., Any]] = {
    "sleep": asyncio.sleep,
    "clock": lambda: asyncio.get_running_loop().time(),
}


class Trial:
    """A client, its server, its time; `error` is what `use` raised, `result` what it returned."""

    def __init__(self, *script: Answer, default: Answer | None = None, **options: object) -> None:
        self.script = script
        self.default = default
        self.options = options
        self.time = FakeTime()
        self.waits: list[tuple[float, str]] = []
        self.error: BaseException | None = None
        self.result: object = None
        self.server: ScriptedServer
        self.api: ApiClient

    def run(self, use: Callable[[CompletionApi], Awaitable[object]]) -> Trial:
        """Run `use` and close all."""
        asyncio.run(self._run(use))
        return self

    def get(self) -> Trial:
        """Ask for one completion."""
        return self.run(lambda api: api.get_completion(bytes, "x"))

    async def _run(self, use: Callable[[CompletionApi], Awaitable[object]]) -> None:
        async with serving(*self.script, default=self.default) as self.server:
            options: dict[str, object] = {
                "base_url": self.server.base_url,
                "key": "sk-0123456789abcdef",
                "sleep": self.time.sleep,
                "clock": self.time.clock,
                "random": lambda: 0.0,
                "on_wait": lambda seconds, why: self.waits.append((seconds, why)),
            } | self.options
            self.api = ApiClient(**options)  # type: ignore[arg-type]
            try:
                self.result = await use(self.api)
            except errors.ChatlakeError as error:
                self.error = error
            finally:
                await self.api.aclose()


def test_a_minute_of_503_is_survived() -> None:
    """With the shortest jitter there are 7 waits of more than a minute in all: 8 attempts."""
    trial = Trial(*[BUSY] * 7).get()
    assert trial.result == OK
    assert [seconds for seconds, _ in trial.waits] == [0.5, 1, 2, 4, 8, 16, 30]
    assert sum(seconds for seconds, _ in trial.waits) > 60
    assert (trial.api.figures.requests, trial.api.figures.retries) == (8, 7)
    assert "503" in trial.waits[0][1]


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
def test_given_up_after_max_attempts(status: int) -> None:
    """A status that is retried becomes RetriesExhaustedError, with attempts, time and request."""
    trial = Trial(default=Answer(status, b"<title>no</title>"), max_attempts=3).get()
    assert isinstance(trial.error, errors.RetriesExhaustedError)
    assert trial.error.request_id == "req_test"
    assert "no (request req_test); given up after 3 attempts in 2 s" in trial.error.message
    assert len(trial.server.seen) == 3
    assert trial.api.figures.rate_limited == (3 if status == 429 else 0)


def test_given_up_after_time() -> None:
    """A wait that would end after `give_up_after_s` is not begun."""
    trial = Trial(default=BUSY, max_attempts=100, give_up_after_s=10).get()
    assert isinstance(trial.error, errors.RetriesExhaustedError)
    assert len(trial.server.seen) == 5  # waits of 0.5, 1, 2 and 4 s: the next would be 8
    assert trial.time.now - 1000 <= 10


def test_retry_after_takes_the_place_of_the_wait() -> None:
    """The service's own Retry-After is waited for, no more and no less."""
    trial = Trial(Answer(429, headers={"retry-after": "33"})).get()
    assert trial.result == OK
    assert [seconds for seconds, _ in trial.waits] == [33.0]
    assert trial.time.now - 1000 == pytest.approx(33, abs=1)


def test_retry_after_holds_all_requests() -> None:
    """While one request was told to wait, the others of the source are held too."""
    sent_at: list[float] = []

    async def use(api: CompletionApi) -> None:
        await asyncio.gather(*(api.get_completion(bytes, str(n)) for n in range(12)))

    trial = Trial(Answer(429, headers={"retry-after": "33"}), concurrency=2)

    def note(target: str) -> None:
        sent_at.append(trial.time.now)

    async def scenario(api: CompletionApi) -> None:
        trial.server.by_target = note
        await use(api)

    trial.run(scenario)
    assert len(sent_at) == 13
    assert sum(at < 1030 for at in sent_at) <= 3  # those that were under way


def test_retry_after_that_is_too_long() -> None:
    """A Retry-After beyond `give_up_after_s` ends all requests at once: nobody waits for it."""

    async def use(api: CompletionApi) -> list[object]:
        asked = (api.get_completion(bytes, str(n)) for n in range(5))
        return list(await asyncio.gather(*asked, return_exceptions=True))

    trial = Trial(default=Answer(429, headers={"retry-after": "7200"}), concurrency=1).run(use)
    assert isinstance(trial.result, list)
    assert [type(error) for error in trial.result] == [errors.RetriesExhaustedError] * 5
    assert "asks to wait 7200 s" in trial.result[0].message
    assert trial.time.now - 1000 < 1
    assert len(trial.server.seen) == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(401), errors.AuthenticationError),
        (Answer(403), errors.PermissionDeniedError),
        (Answer(405), errors.MethodNotSupportedError),
        (Answer(429, b'{"error": {"code": "insufficient_quota"}}'), errors.QuotaExhaustedError),
        (Answer(418), errors.RequestRejectedError),
        (GONE, errors.CompletionNotFoundError),
        (Answer(503, headers={"x-should-retry": "false"}), errors.RetriesExhaustedError),
    ],
)
def test_not_retried(answer: Answer, expected: type[errors.ChatlakeError]) -> None:
    """What waiting cannot help is raised at once."""
    trial = Trial(default=answer).get()
    assert type(trial.error) is expected
    assert len(trial.server.seen) == 1
    assert trial.waits == []


def test_messages_that_settle() -> None:
    """A 404 for what was just listed is asked again after about 1, 2 and 4 s."""

    async def use(api: CompletionApi) -> bytes:
        return await api.list_messages(bytes, "x", after=None, limit=1, settle=True)

    late = Trial(GONE, GONE, GONE).run(use)
    assert late.result == OK
    assert [seconds for seconds, _ in late.waits] == pytest.approx([0.9, 1.8, 3.6])
    never = Trial(default=GONE).run(use)
    assert isinstance(never.error, errors.CompletionNotFoundError)
    assert never.error.request_id == "req_test"
    assert len(never.server.seen) == 4


def test_unreadable_answer() -> None:
    """An answer that `read` refuses is asked for again three times, then raised with its id."""

    def read(body: bytes) -> bytes:
        if body != OK:
            raise InvalidResponseError("odd")
        return body

    trial = Trial(Answer(body=b"?")).run(lambda api: api.get_completion(read, "x"))
    assert trial.result == OK
    trial = Trial(default=Answer(body=b"?")).run(lambda api: api.get_completion(read, "x"))
    assert isinstance(trial.error, InvalidResponseError)
    assert trial.error.request_id == "req_test"
    assert trial.error.message == "/chat/completions/x: odd"
    assert len(trial.server.seen) == 4


def test_other_exceptions_of_read_pass() -> None:
    """A mistake in `read` is no reason to ask again."""

    def read(body: bytes) -> bytes:
        raise KeyError("mistake")

    with pytest.raises(KeyError, match="mistake"):
        Trial().run(lambda api: api.get_completion(read, "x"))


@pytest.mark.parametrize(
    "broken",
    [
        Answer(cut=5),
        Answer(body=b"no gzip", headers={"content-encoding": "gzip"}),
    ],
)
def test_answer_that_breaks_off(broken: Answer) -> None:
    """A truncated or undecodable body is an invalid answer of this one request."""
    assert Trial(broken).get().result == OK
    trial = Trial(default=broken).get()
    assert isinstance(trial.error, InvalidResponseError)
    assert trial.error.request_id == "req_test"
    assert len(trial.server.seen) == 4


def test_first_contact_fails_soon() -> None:
    """A source that never answered is given up after 4 attempts over about 7 s."""
    trial = Trial(default=DROP).get()
    assert isinstance(trial.error, errors.SourceUnreachableError)
    assert [seconds for seconds, _ in trial.waits] == [0.5, 1, 2]
    refused = Trial(base_url="http://127.0.0.1:1").get()
    assert isinstance(refused.error, errors.SourceUnreachableError)
    assert "127.0.0.1:1" in refused.error.message
    unknown = Trial(base_url="http://no-such-host.invalid").get()
    assert isinstance(unknown.error, errors.SourceUnreachableError)


def test_outage_later_gets_the_whole_policy() -> None:
    """Once the source has responded, a lost connection is tried as often as any failure."""

    async def use(api: CompletionApi) -> bytes:
        await api.get_completion(bytes, "a")
        return await api.get_completion(bytes, "b")

    trial = Trial(Answer(), *[Answer(raw=b"HTTP/1.1 2")] * 7).run(use)
    assert trial.result == OK
    trial = Trial(Answer(), default=Answer(raw=b"HTTP/1.1 2")).run(use)
    assert isinstance(trial.error, errors.RetriesExhaustedError)
    assert "given up after 8 attempts" in trial.error.message


def test_one_request_that_always_fails() -> None:
    """Where others are answered meanwhile, a lost request is its own failure, not the source's."""

    async def use(api: CompletionApi) -> object:
        async def others() -> None:
            for _ in range(40):
                await api.get_completion(bytes, "good")

        trial.server.by_target = lambda target: DROP if target.endswith("bad") else None
        await api.get_completion(bytes, "good")
        bad = api.get_completion(bytes, "bad")
        return (await asyncio.gather(bad, others(), return_exceptions=True))[0]

    trial = Trial()
    assert isinstance(trial.run(use).result, errors.RetriesExhaustedError)


def test_body_that_drips_ends_at_the_timeout() -> None:
    """A body that comes byte by byte ends with the timeout of the whole request."""
    trial = Trial(default=Answer(drip_s=0.05), timeout_s=0.2, max_attempts=2).get()
    assert isinstance(trial.error, errors.RetriesExhaustedError)
    assert "no complete response within 0.2 s" in trial.error.message
    assert trial.error.request_id == "req_test"


def test_cancellation_passes_and_frees_the_slot() -> None:
    """A cancelled request ends at once, and the next one gets its slot."""

    async def use(api: CompletionApi) -> bytes:
        trial.server.by_target = lambda t: Answer(drip_s=5) if t.endswith("slow") else None
        slow = asyncio.create_task(api.get_completion(bytes, "slow"))
        await asyncio.sleep(0.1)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        return await api.get_completion(bytes, "x")

    trial = Trial(concurrency=1)
    assert trial.run(use).result == OK


def test_concurrency_is_kept() -> None:
    """The server answers as many requests at once as `concurrency` permits, and never one more.

    Two things hold to that: the pace (`tests/unit/test_pacing.py`) and the pool of connections.
    """

    async def use(api: CompletionApi) -> None:
        await asyncio.gather(*(api.get_completion(bytes, str(n)) for n in range(100)))

    trial = Trial(
        default=Answer(pause_s=0.02),
        concurrency=4,
        **REAL_TIME,
    )
    trial.run(use)
    assert len(trial.server.seen) == 100
    assert trial.server.most_pausing == 4


def test_a_share_of_the_pace_is_kept_by_the_pace_alone() -> None:
    """With half of the pace, half of `concurrency` is under way: the pool would allow all of it."""

    async def use(api: CompletionApi) -> None:
        trial.api.use_share(0.5)
        await asyncio.gather(*(api.get_completion(bytes, str(n)) for n in range(60)))

    trial = Trial(
        default=Answer(pause_s=0.02),
        concurrency=8,
        **REAL_TIME,
    )
    trial.run(use)
    assert len(trial.server.seen) == 60
    assert trial.server.most_pausing == 4


def test_a_kept_connection_that_is_closed_is_not_asked_again_in_secret() -> None:
    """The transport sends each request once: what the server saw is what the figures count."""

    async def twice(api: CompletionApi) -> None:
        await api.get_completion(bytes, "x")
        await api.get_completion(bytes, "x")

    trial = Trial(Answer(body=OK), DROP, max_attempts=1).run(twice)

    assert isinstance(trial.error, errors.SourceUnreachableError | errors.RetriesExhaustedError)
    assert "closed the connection without a response" in trial.error.message
    assert len(trial.server.seen) == trial.api.figures.requests == 2


def test_each_request_has_its_own_attempts() -> None:
    """What one request uses up is not taken from another, be it at once or later."""

    async def use(api: CompletionApi) -> list[object]:
        async def ask() -> list[object]:
            asked = (api.get_completion(bytes, name) for name in ("lost", "found", "lost"))
            return list(await asyncio.gather(*asked, return_exceptions=True))

        return [*await ask(), *await ask()]

    async def scenario(api: CompletionApi) -> list[object]:
        trial.server.by_target = lambda target: BUSY if target.endswith("lost") else None
        return await use(api)

    trial = Trial(max_attempts=3)
    results = trial.run(scenario).result
    assert isinstance(results, list)
    for lost, found, also_lost in (results[:3], results[3:]):
        assert found == OK
        for error in (lost, also_lost):
            assert isinstance(error, errors.RetriesExhaustedError)
            assert "given up after 3 attempts" in error.message
    assert trial.api.figures.requests == 2 * (3 + 1 + 3)


def test_requests_leave_nothing_to_the_garbage_collector() -> None:
    """Objects in cycles stay in memory for a long time in a run, which seldom collects them.

    Other threads of this process may leave garbage meanwhile, so only objects of requests count.
    """
    kinds = (
        tenacity.BaseRetrying,
        tenacity.RetryCallState,
        Attempts,
        httpx.Request,
        httpx.Response,
    )

    async def use(api: CompletionApi) -> int:
        await api.get_completion(bytes, "x")
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                await api.get_completion(bytes, "x")
            return sum(issubclass(type(each), kinds) for each in gc.get_objects())
        finally:
            gc.enable()

    found = Trial().run(use).result
    assert isinstance(found, int)
    assert found < 10
