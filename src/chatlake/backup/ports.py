"""What the backup needs from outside: an API, and an observer that reports progress.

What it needs from a lake is in `lake_port.py`.
"""

from __future__ import annotations

from collections.abc import (
    Awaitable,
    Callable,
    Mapping,
)
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from chatlake.model.manifest import Manifest, SourceRun
from chatlake.model.redaction.rules import Redaction

T = TypeVar("T")


MAX_BODY: Final = 512 << 20
"""Bytes of one response, and of all messages of one completion, unless configured otherwise."""

PAGE_REASKS_S: Final = (1.0, 2.0, 4.0)
"""Seconds to wait before each further request for a page that breaks the rules of paging."""

Room = Callable[[], Awaitable[None]]
"""Returns when there is room in memory for a large body."""


@dataclass(slots=True)
class RequestFigures:
    """Requests sent so far, those of them sent again, and the answers 429."""

    requests: int = 0
    retries: int = 0
    rate_limited: int = 0

    def __add__(self, other: RequestFigures) -> RequestFigures:
        return RequestFigures(
            self.requests + other.requests,
            self.retries + other.retries,
            self.rate_limited + other.rate_limited,
        )

    def __sub__(self, other: RequestFigures) -> RequestFigures:
        return RequestFigures(
            self.requests - other.requests,
            self.retries - other.retries,
            self.rate_limited - other.rate_limited,
        )


class CompletionApi(Protocol):
    """A source of stored completions.

    Each call sends one GET (again where the retry policy says so) and returns what `read` makes of
    the body. `read` may raise InvalidResponseError; the request is then sent again, a few times.
    Since it may be called several times, it only decodes.

    `take` gets the page that `read` returned, after the retries have ended, and the service's id
    for the request, empty if it gave none. Its result is returned. It may raise
    InvalidResponseError: the page breaks the rules of paging, and is requested again after
    `PAGE_REASKS_S`. Such a request counts as a retry in `figures`, but not towards the attempts of
    the retry policy. Any other exception of `take` passes through.

    Raises AccountError, SourceUnreachableError or CompletionError (see chatlake.errors). `hasty`:
    the request is sent only once.

    `redaction`: what `read` has to take out of every body before it reads anything else; None:
    nothing. The texts of errors are already redacted.
    """

    figures: RequestFigures
    redaction: Redaction | None

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
        """GET /chat/completions."""
        ...

    async def get_completion(self, read: Callable[[bytes], T], completion_id: str) -> T:
        """GET /chat/completions/{id}. CompletionNotFoundError at once on a 404."""
        ...

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
        """GET /chat/completions/{id}/messages, ascending.

        `room` is awaited before a large body is read: images may be embedded in it.

        `settle`: the completion was just listed, so a 404 may be late visibility (1-6 s,
        api-behaviour): ask again over some seconds before CompletionNotFoundError.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class Observer(Protocol):
    """Learns how a backup goes; must not raise."""

    def source_started(self, source: str, mode: str) -> None:
        """The backup of a source begins."""
        ...

    def progressed(self, source: str, run: SourceRun, fraction: float | None = None) -> None:
        """Figures have changed; called often, must be cheap.

        `fraction`: how much of the source is done, 0 to 1, where that is known.
        """
        ...

    def waiting(self, source: str, seconds: float, why: str) -> None:
        """Requests pause for `seconds`, because of `why`."""
        ...

    def committed(self, manifest: Manifest) -> None:
        """A commit is in the lake."""
        ...


class SilentObserver:
    """Ignores every event; subclasses override those that they need."""

    def source_started(self, source: str, mode: str) -> None:
        """Ignore it."""

    def progressed(self, source: str, run: SourceRun, fraction: float | None = None) -> None:
        """Ignore it."""

    def waiting(self, source: str, seconds: float, why: str) -> None:
        """Ignore it."""

    def committed(self, manifest: Manifest) -> None:
        """Ignore it."""
