"""When a request is sent again, and when it is given up: the one place that retries.

Policy, by what went wrong:

    refused (408, 409, 425, 429, 5xx)   `max_attempts`, exponential waits
    no connection, broken off, time-out the same; while the source has never answered anything, only
                                        4 attempts over about 7 s: a wrong base_url or a missing
                                        network is told to the person soon
    answer that cannot be read          4 attempts
    page that breaks the paging rules   not retried here: the client asks for it again after 1, 2
                                        and 4 s, which uses up none of these attempts
    404 of what was just listed         asked again after about 1, 2 and 4 s (late visibility)

Waits double from 1 s to 60 s, jittered over their upper half: the sum of 8 attempts is then never
below 61 s, so a minute of 503 is survived, which full jitter (from 0) would not ensure, and still
no two requests come back together. `Retry-After` takes the place of the wait. All is bounded by
`give_up_after_s` from the first sending; a wait that would end later is not begun.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from chatlake.errors import ChatlakeError

T = TypeVar("T")

_LONGEST_WAIT_S = 60.0
_FIRST_CONTACT_ATTEMPTS = 4
_FEW_ATTEMPTS = 4


class Kind(enum.Enum):
    """Why a request is sent again."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    UNREADABLE = "unreadable"
    UNSETTLED = "unsettled"


class AskAgainError(Exception):
    """An attempt failed and may be repeated; `error` is what is raised if it is given up.

    `retry_after_s`: the wait that the service asks for.
    """

    def __init__(
        self, kind: Kind, error: ChatlakeError, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(error.message)
        self.kind = kind
        self.error = error
        self.retry_after_s = retry_after_s


class GivenUpError(Exception):
    """A request was given up: its last failure, and why in words (attempts, seconds, pause)."""

    def __init__(self, last: AskAgainError, why: str) -> None:
        super().__init__(why)
        self.last = last
        self.why = why


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long a request is tried; `give_up_after_s` counts from its first sending.

    `clock`: monotonic seconds. `random`: uniform in [0, 1). `has_answered()`: whether the source
    has ever answered. `on_wait(seconds, why)` is called before each wait.
    """

    max_attempts: int
    give_up_after_s: float
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    random: Callable[[], float]
    has_answered: Callable[[], bool]
    on_wait: Callable[[float, str], None]

    async def run(self, attempt: Callable[[Patience], Awaitable[T]], patience: Patience) -> T:
        """Call `attempt` until it returns or `patience` is over.

        Only AskAgainError leads to another attempt, at last to GivenUpError; any other exception
        passes through.
        """
        failed: AskAgainError | None = None
        try:
            return await attempt(patience)
        except AskAgainError as failure:
            failed = failure

        # Nearly all end above: tenacity, which costs a fifth of a request's CPU, begins here.
        async def repeat() -> T:
            nonlocal failed
            if failed is not None:
                first, failed = failed, None
                raise first
            return await attempt(patience)

        retrying = tenacity.AsyncRetrying(
            sleep=self.sleep,
            wait=patience.wait_s,
            stop=patience.is_over,
            retry=tenacity.retry_if_exception_type(AskAgainError),
            before_sleep=patience.announce,
            retry_error_callback=patience.give_up,
        )
        result: T = await retrying(repeat)
        return result

    def attempts(self, kind: Kind) -> int:
        """Return how often a request is sent that fails in this way each time."""
        if kind in {Kind.UNREADABLE, Kind.UNSETTLED}:
            return _FEW_ATTEMPTS
        if kind is Kind.UNREACHABLE and not self.has_answered():
            return min(_FIRST_CONTACT_ATTEMPTS, self.max_attempts)
        return self.max_attempts

    def backoff_s(self, kind: Kind, failures: int) -> float:
        """Return the wait after so many failures of this kind."""
        longest = min(_LONGEST_WAIT_S, 2.0 ** min(failures - 1, 10))
        lowest = 0.9 if kind is Kind.UNSETTLED else 0.5
        return longest * (lowest + (1 - lowest) * self.random())


class Patience:
    """What is left of the policy for one request; tenacity asks it after each failure.

    `hasty`: the request is sent only once.
    """

    def __init__(self, policy: RetryPolicy, *, hasty: bool = False) -> None:
        self._policy = policy
        self._hasty = hasty
        self._failures: Counter[Kind] = Counter()
        self._sent = 0
        self._asked_again = 0
        self._begun_at: float | None = None

    def note_sending(self) -> bool:
        """Note that the request is sent now; return whether it had been sent before."""
        if self._begun_at is None:
            self._begun_at = self._policy.clock()
        self._sent += 1
        return self._sent > 1

    async def ask_again(self, wait_s: float, why: str) -> bool:
        """Wait before a page that broke the rules of paging is requested once more.

        HTTP did its part, so the page uses up no attempt. False, at once, where the wait would end
        after the time of giving up.
        """
        now = self._policy.clock()
        if now + wait_s > self.ends_at(now):
            return False
        self._asked_again += 1
        self._policy.on_wait(wait_s, why)
        await self._policy.sleep(wait_s)
        return True

    def ends_at(self, now: float) -> float:
        """Return the time of giving up, were it sent now at the latest."""
        begun_at = now if self._begun_at is None else self._begun_at
        return begun_at + self._policy.give_up_after_s

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        """Return the wait before the next attempt; called once after each failure."""
        failure = _failure(state)
        self._failures[failure.kind] += 1
        return failure.retry_after_s or self._policy.backoff_s(
            failure.kind, self._failures[failure.kind]
        )

    def is_over(self, state: tenacity.RetryCallState) -> bool:
        """Whether there is no further attempt."""
        kind = _failure(state).kind
        answered_at_all = self._sent - self._failures[Kind.UNSETTLED] - self._asked_again
        return (
            self._hasty
            or self._failures[kind] >= self._policy.attempts(kind)
            or answered_at_all >= self._policy.max_attempts
            or self._would_be_late(state)
        )

    def announce(self, state: tenacity.RetryCallState) -> None:
        """Tell of the wait that begins."""
        self._policy.on_wait(state.upcoming_sleep, _failure(state).error.message)

    def give_up(self, state: tenacity.RetryCallState) -> None:
        """Raise GivenUpError."""
        last = _failure(state)
        now = self._policy.clock()
        elapsed_s = 0.0 if self._begun_at is None else now - self._begun_at
        times = "attempt" if self._sent == 1 else "attempts"
        why = f"given up after {self._sent} {times} in {elapsed_s:.0f} s"
        if last.retry_after_s and self._would_be_late(state):
            left_s = max(0.0, self.ends_at(now) - now)
            why += f": it asks to wait {last.retry_after_s:.0f} s, give_up_after ends in"
            why += f" {left_s:.0f} s"
        raise GivenUpError(last, why)

    def _would_be_late(self, state: tenacity.RetryCallState) -> bool:
        now = self._policy.clock()
        return now + state.upcoming_sleep > self.ends_at(now)


def _failure(state: tenacity.RetryCallState) -> AskAgainError:
    failure = state.outcome.exception() if state.outcome else None
    if not isinstance(failure, AskAgainError):
        raise TypeError(f"tenacity was to retry AskAgainError only, not {failure!r}")
    return failure
