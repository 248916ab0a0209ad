"""Completions whose error may be the whole source's, and sources that have no messages at all.

1. While no message of the source is known, an error that may concern all completions makes one a
   suspect: it is neither stored nor named yet.
2. As soon as messages come, the errors belong to the suspects: each becomes a failure.
3. If enough completions failed alike, and the newest one too, the source has no messages. Then
   completions are stored without them, and only some are still asked for theirs.
4. If one of those answers after all, the ones stored without messages become failures, so that a
   later run asks for them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import NamedTuple

from chatlake.backup.blame import (
    ENOUGH,
    ENOUGH_AT_THE_END,
    SOURCE_ERRORS,
    Blame,
    SourceError,
    as_own,
    forbids_all,
)
from chatlake.backup.collected import Collected
from chatlake.backup.fetching import MessageSource
from chatlake.backup.items import Asked, Listed, OutcomeKind, SourceJob
from chatlake.backup.ports import CompletionApi
from chatlake.errors import CompletionError
from chatlake.model.pages import read_completion_page

logger = logging.getLogger(__name__)

ASKED_ALL_THE_SAME = 50  # if a source has no messages, they are still requested for one in so many
UNASKED_KEPT = 100_000  # 15 MB; what is older is fetched by the next full sweep


class Unasked(NamedTuple):
    """A completion stored without messages, because the run took the source to have none."""

    completion_id: str
    created: int
    kind: OutcomeKind


class Suspect(NamedTuple):
    """A completion whose error may turn out to be the whole source's."""

    item: Asked | Listed
    error: SourceError


class Suspects:
    """Decides what the errors of one export mean, and whether its source has messages."""

    def __init__(
        self,
        job: SourceJob,
        api: CompletionApi,
        messages: MessageSource,
        blame: Blame,
        collected: Collected,
    ) -> None:
        self._job = job
        self._api = api
        self._messages = messages
        self._blame = blame
        self._collected = collected
        self._suspects: list[Suspect] = []
        self._has_no_messages = False
        self._no_messages: CompletionError | None = None  # why it was taken to have none
        self._unasked: deque[Unasked] = deque(maxlen=UNASKED_KEPT)
        self._concluding = asyncio.Lock()
        self._left_out = 0

    async def asked_failed(self, item: Asked, error: SourceError) -> None:
        """Take an error of the completion itself, requested by its id."""
        if await self._blame.may_be_of_all(error, listed=False):
            await self._blame.of(error)
            self._suspects.append(Suspect(item, error))
        else:
            self._collected.failed(item.completion_id, await self._blame.of(error))

    async def messages_failed(self, item: Listed, error: SourceError) -> None:
        """Take an error of a completion's messages."""
        may_be_of_all = await self._blame.may_be_of_all(error, listed=item.sequence is not None)
        own = await self._blame.of(error)
        if not may_be_of_all:
            self._collected.messages_failed(item, own)
            return
        self._suspects.append(Suspect(item, error))
        if self._has_no_messages or (self._job.ids is None and len(self._suspects) >= ENOUGH):
            await self._conclude()

    def came(self, completion_id: str) -> None:
        """Take note of messages that came: the errors so far are of single completions."""
        self._blame.succeeded(completion_id)
        if self._has_no_messages:
            logger.warning("%s: the service sends messages after all", self._job.name)
            self._has_no_messages = False
            self._fail_unasked()
        self._fail_suspects()

    def stores_without_messages(self, item: Listed) -> bool:
        """Store a completion of a source that has no messages; False if it has to be asked."""
        if not self._has_no_messages or item.sequence is None:
            return False
        self._left_out += 1
        if self._left_out % ASKED_ALL_THE_SAME == 0:
            return False
        self._store_without_messages(item)
        return True

    async def settle(self) -> None:
        """Decide about what is left when there is nothing more to come."""
        if self._job.ids is None and len(self._suspects) >= ENOUGH_AT_THE_END:
            await self._conclude()
        elif self._job.ids is not None and self._suspects and not self._blame.has_succeeded:
            raise self._suspects[0].error
        self._fail_suspects()

    def _store_without_messages(self, item: Listed) -> None:
        kind = self._collected.without_messages(item)
        self._unasked.append(Unasked(item.completion.id, item.completion.created, kind))

    def _fail_unasked(self) -> None:
        """Name the completions that were stored without messages, so that they are asked for."""
        while self._unasked and self._no_messages is not None:
            completion_id, created, kind = self._unasked.popleft()
            self._collected.failed(
                completion_id, self._no_messages, created=created, instead_of=kind
            )

    def _fail_suspects(self) -> None:
        suspects, self._suspects = self._suspects, []
        for suspect in suspects:
            error = as_own(suspect.error)
            if isinstance(suspect.item, Listed):
                self._collected.messages_failed(suspect.item, error)
            else:
                self._collected.failed(suspect.item.completion_id, error)

    async def _conclude(self) -> None:
        """Decide what the errors of all mean, now that there are enough of them.

        They are all at one end of the list. So the newest completion, at the other end, is
        requested first: if its messages come, the errors are the completions' own.
        """
        async with self._concluding:
            if not (self._has_no_messages or self._blame.has_succeeded):
                newest = await self._newest_with_messages()
                if newest is not None:
                    self.came(newest)
            if self._blame.has_succeeded:
                self._fail_suspects()  # errors that were under way when messages came
            elif self._suspects:
                self._take_for_all()

    async def _newest_with_messages(self) -> str | None:
        """Return the id of the newest completion if its messages come, else None."""
        try:
            page = await self._api.list_completions(
                lambda body: read_completion_page(body, self._api.redaction),
                after=None,
                limit=1,
                order="desc",
                model=self._job.model,
                metadata=self._job.metadata,
            )
            newest = page.items[0].id if page.items else None
            if newest and await self._messages.fetch(newest, settle=False, hasty=True):
                return newest
        except SOURCE_ERRORS:
            pass
        return None

    def _take_for_all(self) -> None:
        suspects, self._suspects = self._suspects, []
        error = suspects[0].error
        if forbids_all(error):
            raise error
        if not self._has_no_messages:
            logger.warning(
                "%s: the service returns no messages for any completion (%s). Completions and "
                "replies are kept; prompts cannot be backed up",
                self._job.name,
                error.message,
            )
        self._has_no_messages = True
        self._no_messages = as_own(error)
        for suspect in suspects:
            if isinstance(suspect.item, Listed):
                self._store_without_messages(suspect.item)
