"""A page that breaks the rules of paging: asked for again beside the retries, not as one of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest

from chatlake.backup.ports import PAGE_REASKS_S, CompletionApi
from chatlake.errors import InvalidResponseError, RetriesExhaustedError
from tests.integration.scripted_server import Answer
from tests.integration.test_api_client_retries import BUSY, Trial

BROKEN = Answer(200, b'"broken"')
SOUND = Answer(200, b'"sound"')
TAKEN = "taken"


def ask(
    *script: Answer,
    hasty: bool = False,
    taking: Callable[[str, str], str] | None = None,
    **options: int,
) -> Trial:
    """Ask for a page of a list; a broken one is decoded all right, and refused when taken."""

    def take(page: str, _request_id: str) -> str:
        if page != "sound":
            raise InvalidResponseError("the service repeats the page")
        return TAKEN

    async def use(api: CompletionApi) -> object:
        return await api.list_completions(
            json.loads, after=None, limit=100, take=taking or take, hasty=hasty
        )

    return Trial(*script, **options).run(use)


def test_a_broken_page_is_asked_for_again_after_short_waits() -> None:
    """It heals at the last request allowed; each one counts, and none was a refusal."""
    trial = ask(*[BROKEN] * len(PAGE_REASKS_S), SOUND)
    assert trial.result == TAKEN
    assert [seconds for seconds, _ in trial.waits] == list(PAGE_REASKS_S)
    assert "/chat/completions: the service repeats the page" in trial.waits[0][1]
    figures = trial.api.figures
    assert (figures.requests, figures.retries, figures.rate_limited) == (4, 3, 0)
    assert len(trial.server.seen) == 4


def test_a_page_that_stays_broken_is_given_up() -> None:
    """InvalidResponseError names route, reason and request after one request more than waits."""
    trial = ask(*[BROKEN] * 20)
    assert isinstance(trial.error, InvalidResponseError)
    assert trial.error.message == "/chat/completions: the service repeats the page"
    assert trial.error.request_id == "req_test"
    assert len(trial.server.seen) == 1 + len(PAGE_REASKS_S)


@pytest.mark.parametrize(
    "script",
    [
        [BROKEN, BUSY, BROKEN, BROKEN, SOUND],
        [BUSY, BROKEN, BROKEN, BROKEN, SOUND],
        [BROKEN, BROKEN, BROKEN, BUSY, SOUND],
    ],
    ids=["between", "before", "after"],
)
def test_a_broken_page_uses_up_no_attempt(script: Sequence[Answer]) -> None:
    """With two attempts one 503 is survived, wherever it stands among the broken pages."""
    trial = ask(*script, max_attempts=2)
    assert trial.result == TAKEN
    assert trial.api.figures.retries == 4


@pytest.mark.parametrize("broken", [1, 2])
def test_a_broken_page_gives_back_no_attempt(broken: int) -> None:
    """503 before and after it are attempts of one request: the second of two is the last."""
    trial = ask(BUSY, *[BROKEN] * broken, *[BUSY] * 20, max_attempts=2)
    assert isinstance(trial.error, RetriesExhaustedError)
    assert len(trial.server.seen) == 1 + broken + 1


def test_a_broken_page_gives_back_no_time() -> None:
    """A wait that would end after `give_up_after_s` of the first request is not begun."""
    trial = ask(*[BROKEN] * 20, give_up_after_s=4)
    assert isinstance(trial.error, InvalidResponseError)
    assert [seconds for seconds, _ in trial.waits] == [1.0, 2.0]


def test_a_broken_page_does_not_slow_the_pace() -> None:
    """Nothing is waited for but the waits that were announced: the server is not failing."""
    trial = ask(*[BROKEN] * 3, SOUND)
    assert trial.time.now - 1000 == pytest.approx(sum(PAGE_REASKS_S), abs=0.01)


def test_a_hasty_page_is_asked_for_once() -> None:
    """`hasty` leaves a broken page at one request."""
    trial = ask(*[BROKEN] * 20, hasty=True)
    assert isinstance(trial.error, InvalidResponseError)
    assert len(trial.server.seen) == 1


def test_a_page_is_taken_once_however_often_it_is_read() -> None:
    """What takes pages keeps a state: it sees no response that the retries have refused."""
    seen: list[str] = []

    def take(page: str, _request_id: str) -> str:
        seen.append(page)
        return page

    trial = ask(BUSY, Answer(200, b""), SOUND, taking=take)
    assert trial.result == "sound"
    assert seen == ["sound"]


def test_other_exceptions_of_take_pass() -> None:
    """What the paging code raises for itself, as for an unknown cursor, is not asked again."""

    class OwnError(Exception):
        pass

    def take(page: str, _request_id: str) -> str:
        raise OwnError(page)

    with pytest.raises(OwnError):
        ask(*[BROKEN] * 3, taking=take)
