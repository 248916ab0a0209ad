"""Whether an error belongs to one completion or to the whole source.

One completion that is always refused must not end the backup of the others every night. But a
source that refuses everything must end it, instead of producing ten thousand failures. So:

    an open gap               every error belongs to that gap; the list shows later whether the
                              source responds
    a listed completion       after a refusal, or several silences in a row, the list is asked for
                              one row: if it answers, the error belongs to the completion
    an id that was given      the last completion that came is requested again; if none has come
                              yet, and more fail in a row than requests run at once, the error ends
                              the run

The whole route of the messages may be missing or forbidden. chatlake concludes this only if neither
this run nor the lake has an input message of the source, and several listed completions, the newest
among them, failed in the same way.
"""

from __future__ import annotations

import asyncio
from typing import Final

from chatlake.backup.items import SourceJob
from chatlake.backup.lake_port import LakeStore
from chatlake.backup.ports import CompletionApi
from chatlake.errors import (
    AccountError,
    CompletionError,
    MethodNotSupportedError,
    RequestRejectedError,
    RetriesExhaustedError,
    SourceUnreachableError,
)
from chatlake.model.objects import read_completion

ENOUGH: Final = 5
"""How many listed completions without messages count as a missing route."""
ENOUGH_AT_THE_END: Final = 2
SOURCE_ERRORS: Final = (CompletionError, AccountError, SourceUnreachableError)
SourceError = CompletionError | AccountError | SourceUnreachableError


class Blame:
    """Judges the errors of one export.

    `gaps`: whether it exports open gaps. `is_hasty`: whether requests are better sent only once.
    """

    def __init__(
        self, job: SourceJob, api: CompletionApi, lake: LakeStore, *, gaps: bool = False
    ) -> None:
        self.is_hasty = False
        self._job = job
        self._api = api
        self._lake = lake
        self._gaps = gaps
        self._last_good: str | None = None
        self._silences = 0
        self._refusals = 0
        self._had_messages: bool | None = None
        self._asking = asyncio.Lock()
        self._asked = 0

    @property
    def has_succeeded(self) -> bool:
        """Whether the source has given messages to this export."""
        return self._last_good is not None

    def succeeded(self, completion_id: str) -> None:
        """Note a completion whose messages came."""
        self._last_good = completion_id
        self._silences = self._refusals = 0
        self.is_hasty = False

    async def of(self, error: SourceError) -> CompletionError:
        """Return the error as one completion's own; raise it where it is the source's."""
        if not self._gaps:
            is_silence = isinstance(error, RetriesExhaustedError | SourceUnreachableError)
            self._silences += is_silence
            self._refusals += isinstance(error, AccountError)
            if isinstance(error, AccountError) or self._silences > self._job.concurrency:
                await self._ask_the_source(error)
                self.is_hasty = self.is_hasty or is_silence
                self._silences = 0
        return as_own(error)

    async def may_be_of_all(self, error: SourceError, *, listed: bool) -> bool:
        """Whether further errors may show that this one is of the whole source, or of its route."""
        if self._gaps or self._last_good is not None:
            return False
        if self._job.ids is not None:
            return isinstance(error, AccountError | SourceUnreachableError)
        if not listed or not is_of_route(error):
            return False
        if self._had_messages is None:
            had = await asyncio.to_thread(self._lake.has_input_messages, self._job.name)
            self._had_messages = had
        return not self._had_messages

    async def _ask_the_source(self, error: SourceError) -> None:
        """Raise the source's error if it does not return something that it must have."""
        asked = self._asked
        async with self._asking:
            if self._asked > asked:
                return  # the source has answered meanwhile
            try:
                if self._job.ids is None:
                    await self._ask_for_the_list()
                elif self._last_good is not None:
                    await self._api.get_completion(
                        lambda body: read_completion(body, self._api.redaction), self._last_good
                    )
                elif max(self._silences, self._refusals) > self._job.concurrency:
                    raise error
            except RetriesExhaustedError as silence:
                raise SourceUnreachableError(
                    f"the service keeps failing: {silence.message}",
                    hint=silence.hint,
                    request_id=silence.request_id,
                ) from silence
            except CompletionError:
                pass  # still a response
            self._asked += 1

    async def _ask_for_the_list(self) -> None:
        await self._api.list_completions(
            bytes, after=None, limit=1, model=self._job.model, metadata=self._job.metadata
        )


def as_own(error: SourceError) -> CompletionError:
    """Return an error of the account or the source as that of one completion."""
    if isinstance(error, CompletionError):
        return error
    if isinstance(error, AccountError):
        return RequestRejectedError(error.message, request_id=error.request_id, of_route=True)
    return RetriesExhaustedError(error.message, request_id=error.request_id)


def is_of_route(error: SourceError) -> bool:
    """Whether a response to a request for messages speaks of the route, not of the completion."""
    if isinstance(error, CompletionError):
        return error.of_route and not isinstance(error, RetriesExhaustedError)
    return isinstance(error, AccountError)


def forbids_all(error: SourceError) -> bool:
    """Whether a source forbids its messages if each request for them ends in this error.

    If not, it does not have them.
    """
    return isinstance(error, AccountError) and not isinstance(error, MethodNotSupportedError)
