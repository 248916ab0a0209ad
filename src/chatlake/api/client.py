"""A source of stored completions over HTTP: the `CompletionApi` of the backup."""

from __future__ import annotations

import asyncio
import logging
import random as random_module
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from chatlake.api.auth import request_headers
from chatlake.api.pacing import PauseTooLongError, SharedPace
from chatlake.api.responses import exchange_failure, outcome_of, read_answer
from chatlake.api.retry import AskAgainError, Attempts, GivenUpError, Kind, RetryPolicy
from chatlake.api.routes import (
    Routes,
    completion_route,
    list_parameters,
    list_route,
    messages_route,
)
from chatlake.api.transport import ExchangeError, Response, Wire
from chatlake.backup.ports import MAX_BODY, PAGE_REASKS_S, RequestFigures, Room
from chatlake.errors import (
    ChatlakeError,
    CompletionNotFoundError,
    InvalidResponseError,
    RetiredError,
    RetriesExhaustedError,
    SourceUnreachableError,
)
from chatlake.model.outside_text import DETAIL_LENGTH, note_secret, one_line
from chatlake.model.pace import Pace, RequestOutcome
from chatlake.model.redaction.rules import Redaction
from chatlake.model.retry_after import rate_limit, retry_after_s

T = TypeVar("T")

logger = logging.getLogger(__name__)

_AZURE = ".azure.com"
_AZURE_RETIRED = "Azure OpenAI retired stored completions on 2026-10-15"


def _ignore(seconds: float, why: str) -> None:
    """Ignore the wait: the default of `on_wait`."""


class ApiClient:
    """One source. Use it in one event loop and `aclose` it there.

    `auth`: "bearer" or "api-key". `concurrency`: requests under way at once.
    `requests_per_minute`: upper bound of the pace, None for none. `timeout_s`: for one request as a
    whole. `max_body`: bytes of one response, once decoded. `max_attempts`, `give_up_after_s`: see
    `chatlake.api.retry`. `proxy`, `ca_file`: see `api.proxies` and `api.trust`. `redaction`: see
    `CompletionApi`. `clock`: monotonic seconds; `random`: uniform in [0, 1).
    `on_wait(seconds, why)` is called before each wait for a retry. ConfigurationError if base_url,
    the key, a header, the proxy or a certificate is unusable.
    """

    def __init__(
        self,
        *,
        base_url: str,
        key: str,
        auth: str = "bearer",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        concurrency: int = 32,
        requests_per_minute: float | None = None,
        timeout_s: float = 60.0,
        max_body: int = MAX_BODY,
        proxy: str | None = None,
        ca_file: str | None = None,
        redaction: Redaction | None = None,
        max_attempts: int = 8,
        give_up_after_s: float = 900.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random_module.random,
        on_wait: Callable[[float, str], None] = _ignore,
    ) -> None:
        self.figures = RequestFigures()
        self.redaction = redaction
        note_secret(key)
        self._routes = Routes(base_url, query or {})
        self._wire = Wire(
            scheme=self._routes.scheme,
            host=self._routes.host,
            port=self._routes.port,
            headers=request_headers(key, auth, headers or {}),
            connections=concurrency,
            timeout_s=timeout_s,
            max_body=max_body,
            proxy=proxy,
            ca_file=ca_file,
        )
        self._pace = SharedPace(
            Pace(concurrency=concurrency, requests_per_minute=requests_per_minute),
            clock=clock,
            sleep=sleep,
        )
        self._answers = 0
        self._retries = RetryPolicy(
            max_attempts=max_attempts,
            give_up_after_s=give_up_after_s,
            clock=clock,
            sleep=sleep,
            random=random,
            has_answered=lambda: self._answers > 0,
            on_wait=on_wait,
        )

    def use_share(self, share: float) -> None:
        """Keep to a share (above 0, at most 1) of `concurrency` and `requests_per_minute`."""
        self._pace.use_share(share)

    async def list_completions(
        self,
        read: Callable[[bytes], T],
        *,
        after: str | None,
        limit: int,
        order: str = "asc",
        model: str | None = None,
        metadata: Mapping[str, str] | None = None,
        take: Callable[[T, str], T] | None = None,
        hasty: bool = False,
    ) -> T:
        """GET /chat/completions; see `CompletionApi`."""
        parameters = list_parameters(after, limit, order, model=model, metadata=metadata)
        try:
            return await self._get(read, list_route(), parameters, take=take, hasty=hasty)
        except CompletionNotFoundError as error:
            if after is None and self._routes.host.endswith(_AZURE):
                message = f"{error.message}; {_AZURE_RETIRED}"
                retired = RetiredError(message, request_id=error.request_id)
            else:
                raise
        raise retired

    async def get_completion(self, read: Callable[[bytes], T], completion_id: str) -> T:
        """GET /chat/completions/{id}; see `CompletionApi`."""
        return await self._get(
            read, completion_route(completion_id), [], completion_id=completion_id
        )

    async def list_messages(
        self,
        read: Callable[[bytes], T],
        completion_id: str,
        *,
        after: str | None,
        limit: int,
        settle: bool,
        room: Room | None = None,
        take: Callable[[T, str], T] | None = None,
        hasty: bool = False,
    ) -> T:
        """GET /chat/completions/{id}/messages; see `CompletionApi`."""
        return await self._get(
            read,
            messages_route(completion_id),
            list_parameters(after, limit, "asc"),
            completion_id=completion_id,
            settle=settle,
            room=room,
            take=take,
            hasty=hasty,
        )

    async def aclose(self) -> None:
        """Close all connections; may be called twice."""
        await self._wire.aclose()

    async def _get(
        self,
        read: Callable[[bytes], T],
        route: str,
        parameters: list[tuple[str, str]],
        *,
        completion_id: str | None = None,
        settle: bool = False,
        room: Room | None = None,
        take: Callable[[T, str], T] | None = None,
        hasty: bool = False,
    ) -> T:
        url = self._routes.url(route, parameters)
        # If a source stops responding to its list, it counts as unreachable. If it does so for one
        # completion, that completion fails alone, unless nothing has ever come.
        answers_before = self._answers if completion_id is None else 0
        request_id, redaction = "", self.redaction

        async def attempt(attempts: Attempts) -> T:
            nonlocal request_id
            answer = await self._send(url, route, attempts, room)
            request_id = answer.request_id
            return read_answer(
                answer, read, route, completion_id, settle=settle, redaction=redaction
            )

        async def fetch(attempts: Attempts) -> T:
            try:
                return await self._retries.run(attempt, attempts)
            except GivenUpError as given_up:
                error = self._last_word(given_up, answers_before)
            raise error  # outside of `except`: the cause may quote the body, with secrets

        # One budget for all requests for this page: asking again neither uses nor renews it.
        attempts = Attempts(self._retries, hasty=hasty)
        waits = iter(() if hasty else PAGE_REASKS_S)
        while True:
            page = await fetch(attempts)
            if take is None:
                return page
            try:
                return take(page, request_id)
            except InvalidResponseError as error:
                message = one_line(f"{route}: {error.message}")
            wait_s = next(waits, None)
            if wait_s is None or not await attempts.ask_again(wait_s, message):
                raise InvalidResponseError(message, request_id=request_id)

    async def _send(self, url: str, route: str, attempts: Attempts, room: Room | None) -> Response:
        """Send one request when the pace permits: every request passes through here."""
        try:
            ticket = await self._pace.start(waits_until=attempts.ends_at)
        except PauseTooLongError as pause:
            error = RetriesExhaustedError(f"{route}: the service asks all requests to wait")
            raise AskAgainError(Kind.REFUSED, error, retry_after_s=pause.seconds) from None
        outcome, pause_s, limit = RequestOutcome.UNKNOWN, None, None
        self.figures.requests += 1
        self.figures.retries += attempts.note_sending()
        try:
            sent_at = time.monotonic()
            answer = await self._wire.get(url, room)
            self._answers += 1
            if logger.isEnabledFor(logging.DEBUG):
                took_ms = 1000 * (time.monotonic() - sent_at)
                request_id = answer.request_id or "none"
                logger.debug(
                    "GET %s: %d, %.0f ms, request %s",
                    one_line(route),
                    answer.status,
                    took_ms,
                    request_id,
                )
            outcome = outcome_of(answer.status)
            limit = rate_limit(answer.headers)
            if outcome is not RequestOutcome.ACCEPTED:
                pause_s = retry_after_s(answer.headers, now=datetime.now(UTC))
            self.figures.rate_limited += answer.status == 429
        except ExchangeError as error:
            self._answers += error.answered
            raise exchange_failure(error, route) from None
        finally:
            self._pace.finish(ticket, outcome, retry_after_s=pause_s, limit=limit)
        return answer

    def _last_word(self, given_up: GivenUpError, answers_before: int) -> ChatlakeError:
        """Return the error of a request that was given up.

        `answers_before`: how many responses had come before. A source that has responded to nothing
        since then cannot be reached; one that has responded to other requests fails only this one.
        """
        error = given_up.last.error
        if not isinstance(error, RetriesExhaustedError):
            return error
        why = f"; {given_up.why}"
        message = one_line(error.message, length=DETAIL_LENGTH - len(why)) + why
        if given_up.last.kind is Kind.UNREACHABLE and self._answers == answers_before:
            return SourceUnreachableError(message, request_id=error.request_id)
        return RetriesExhaustedError(message, request_id=error.request_id, status=error.status)
