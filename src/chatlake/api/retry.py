"""When a request is sent again, and when it is given up: the one place that retries.

Policy, by what went wrong:

    refused (408, 409, 425, 429, 5xx)   `max_attempts`, exponential waits
    no connection, broken off, time-out the same; while the source has never answered anything, only
                                        4 attempts over about 7 s: a wrong base_url or a missing
                                        network is reported early
    answer that cannot be read          4 attempts
    page that breaks the paging rules   not retried here: the client asks for it again after 1, 2
                                        and 4 s, which uses up none of these attempts
    404 of what was just listed         retried after about 1, 2 and 4 s (late visibility)

Waits double from 1 s to 60 s, jittered over their upper half, so that requests do not come back
together. The waits of 8 attempts then add up to at least 61 s, and a minute of 503 is survived.
Full jitter (from 0) would not ensure that. `Retry-After` takes the place of the wait. All is
bounded by `give_up_after_s` from the first sending; a wait that would end later is not begun.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

import tenacity

from chatlake.errors import ChatlakeError

T = TypeVar("T")

LONGEST_WAIT_S = 60.0
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


class Attempts:
    """The attempts of one request: when it was first sent, how often, and how it failed.

    `hasty`: the first failure is the last.
    """

    def __init__(self, policy: RetryPolicy, *, hasty: bool = False) -> None:
        self.hasty = hasty
        self.sent = 0
        self.asked_again = 0
        self.failures: Counter[Kind] = Counter()
        self._policy = policy
        self._begun_at: float | None = None

    def note_sending(self) -> bool:
        """Note that the request is sent now; return whether it had been sent before."""
        if self._begun_at is None:
            self._begun_at = self._policy.clock()
        self.sent += 1
        return self.sent > 1

    async def ask_again(self, wait_s: float, why: str) -> bool:
        """Wait before requesting a page again that broke the paging rules.

        HTTP itself worked, so this uses up no attempt. Returns False at once if the wait would end
        after the deadline.
        """
        if wait_s > self.left_s:
            return False
        self.asked_again += 1
        self._policy.on_wait(wait_s, why)
        await self._policy.sleep(wait_s)
        return True

    def ends_at(self, now: float) -> float:
        """Return the time of giving up, assuming that it is first sent now at the latest."""
        return (now if self._begun_at is None else self._begun_at) + self._policy.give_up_after_s

    @property
    def left_s(self) -> float:
        """Seconds until the time of giving up."""
        now = self._policy.clock()
        return self.ends_at(now) - now

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first sending."""
        return self._policy.give_up_after_s - self.left_s


@dataclass(frozen=True, slots=True)
class wait_as_asked(tenacity.wait.wait_base):  # noqa: N801 - tenacity's own are named so
    """Wait as long as `Retry-After` says, else as `otherwise` does."""

    otherwise: tenacity.wait.wait_base

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        """Return seconds."""
        return failure_of(retry_state).retry_after_s or self.otherwise(retry_state)


@dataclass(frozen=True, slots=True)
class wait_doubling(tenacity.wait.wait_base):  # noqa: N801
    """Wait 1 s, 2 s, 4 s … up to a minute for failures of one kind, jittered over the upper half.

    For a completion that is not visible yet, nearly the whole wait is used.
    """

    random: Callable[[], float]

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        """Return seconds."""
        kind = failure_of(retry_state).kind
        failures = attempts_of(retry_state).failures[kind]
        longest = min(LONGEST_WAIT_S, 2.0 ** min(failures - 1, 10))
        lowest = 0.9 if kind is Kind.UNSETTLED else 0.5
        return longest * (lowest + (1 - lowest) * self.random())


@dataclass(frozen=True, slots=True)
class stop_after_attempts(tenacity.stop.stop_base):  # noqa: N801
    """Stop after the attempts that each kind of failure allows, and after all attempts."""

    policy: RetryPolicy

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        """Say whether there is no further attempt."""
        attempts, kind = attempts_of(retry_state), failure_of(retry_state).kind
        attempted = attempts.sent - attempts.asked_again
        answered_at_all = attempted - attempts.failures[Kind.UNSETTLED]
        return (
            attempts.hasty
            or attempts.failures[kind] >= self.policy.attempts(kind)
            or answered_at_all >= self.policy.max_attempts
        )


class stop_before_late(tenacity.stop.stop_base):  # noqa: N801
    """Stop if the wait would end after the time of giving up."""

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        """Say whether there is no further attempt."""
        return retry_state.upcoming_sleep > attempts_of(retry_state).left_s


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
    _idle: list[tenacity.AsyncRetrying] = field(default_factory=list, init=False)

    async def run(self, attempt: Callable[[Attempts], Awaitable[T]], attempts: Attempts) -> T:
        """Call `attempt` until it returns.

        `attempts`: what was tried already counts, if the same request was called before.

        Only AskAgainError leads to another attempt, and in the end to GivenUpError. Any other
        exception passes through.
        """
        # An AsyncRetrying serves one call at a time. It is used again, because it is part of a
        # reference cycle: thrown away after each call, it would keep the garbage collector busy.
        retrying = self._idle.pop() if self._idle else self._new_retrying()
        try:
            return await retrying(attempt, attempts)
        finally:
            self._idle.append(retrying)

    def attempts(self, kind: Kind) -> int:
        """Return how often a request is sent that fails in this way each time."""
        if kind in {Kind.UNREADABLE, Kind.UNSETTLED}:
            return _FEW_ATTEMPTS
        if kind is Kind.UNREACHABLE and not self.has_answered():
            return min(_FIRST_CONTACT_ATTEMPTS, self.max_attempts)
        return self.max_attempts

    def _new_retrying(self) -> tenacity.AsyncRetrying:
        return tenacity.AsyncRetrying(
            sleep=self.sleep,
            retry=tenacity.retry_if_exception_type(AskAgainError),
            after=_note_failure,
            wait=wait_as_asked(wait_doubling(self.random)),
            stop=stop_after_attempts(self) | stop_before_late(),
            before_sleep=self._announce,
            retry_error_callback=_give_up,
        )

    def _announce(self, state: tenacity.RetryCallState) -> None:
        self.on_wait(state.upcoming_sleep, failure_of(state).error.message)


def failure_of(state: tenacity.RetryCallState) -> AskAgainError:
    """Return the failure of the last attempt. TypeError if it is of another kind."""
    failure = state.outcome.exception() if state.outcome else None
    if not isinstance(failure, AskAgainError):
        raise TypeError(f"only AskAgainError may be retried, not {failure!r}")
    return failure


def attempts_of(state: tenacity.RetryCallState) -> Attempts:
    """Return the attempts of the request that a state is about: its one argument.

    TypeError if that is something else.
    """
    (attempts,) = state.args
    if not isinstance(attempts, Attempts):
        raise TypeError(f"a request is called with its Attempts, not with {attempts!r}")
    return attempts


def _note_failure(state: tenacity.RetryCallState) -> None:
    """Count a failure, before wait and stop ask for it."""
    attempts_of(state).failures[failure_of(state).kind] += 1


def _give_up(state: tenacity.RetryCallState) -> NoReturn:
    attempts, last, is_late = attempts_of(state), failure_of(state), stop_before_late()(state)
    times = "attempt" if attempts.sent == 1 else "attempts"
    why = f"given up after {attempts.sent} {times} in {attempts.elapsed_s:.0f} s"
    if last.retry_after_s and is_late:
        why += f": the service asks to wait {last.retry_after_s:.0f} s, but give_up_after ends in"
        why += f" {max(0.0, attempts.left_s):.0f} s"
    raise GivenUpError(last, why)
