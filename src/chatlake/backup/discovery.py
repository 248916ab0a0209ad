"""Discovery: which completions are there, and which of them the lake does not hold yet.

The list is read ascending, from `lookback` behind the newest backed-up completion: what is done is
then always a prefix of it. There is no time filter and no `updated_at` in the API, and a row can
appear late, behind the newest one already seen; hence the lookback, and the digest.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator

from chatlake.backup.items import Asked, Listed, SourceJob
from chatlake.backup.known import KnownCompletions
from chatlake.backup.ports import CompletionApi, LakeStore
from chatlake.backup.progress import FinishedPrefix
from chatlake.errors import (
    ChatlakeError,
    CompletionError,
    CompletionNotFoundError,
    RequestRejectedError,
    RetriesExhaustedError,
    SourceUnreachableError,
    UnusableListError,
)
from chatlake.model.digest import completion_digest
from chatlake.model.manifest import Failure
from chatlake.model.objects import Completion, read_completion_page
from chatlake.model.paging import PAGE_LIMIT, Pager
from chatlake.model.partitions import Partition

logger = logging.getLogger(__name__)


class Discovery:
    """Finds the completions of one job. `position`: creation time listed up to (UTC seconds).

    `ended`: whether the list was read to its end.
    """

    def __init__(
        self, job: SourceJob, api: CompletionApi, lake: LakeStore, known: KnownCompletions
    ) -> None:
        self.prefix = FinishedPrefix()
        self.ascending = True
        self.start: int | None = None
        self.position: int | None = None
        self.ended = False
        self._listed_after: int | None = None
        self._job = job
        self._api = api
        self._lake = lake
        self._known = known

    async def gaps(self) -> AsyncIterator[Asked]:
        """Yield the completions that earlier runs could not have: they are tried first."""
        if self._job.ids is None:
            for completion_id, failure in self._open_failures().items():
                yield Asked(completion_id, failure)

    async def items(self) -> AsyncIterator[Asked | Listed]:
        """Yield what there is: the given ids, else what the list holds."""
        if self._job.ids is not None:
            failures = self._open_failures()
            for completion_id in dict.fromkeys(self._job.ids):
                yield Asked(completion_id, failures.get(completion_id))
            return
        async for completion in self._list():
            listed = self.examine(completion, listed=True)
            if listed is not None:
                yield listed

    def examine(self, completion: Completion, *, listed: bool) -> Listed | None:
        """Compare a completion with the lake; None when this run has met it already."""
        partition = Partition.of(self._job.name, completion.created)
        known = self._known.take(partition, completion.id)
        if known.in_hand:
            return None
        sequence = self.prefix.add(completion.id, completion.created) if listed else None
        return Listed(completion, completion_digest(completion.sent), known.version, sequence)

    def would_have_shown(self, created: int | None) -> bool:
        """Say whether the list would have held a completion of this time, if the source had it.

        One without a time, or outside of the times that are selected, no list is asked for: of it
        nothing but the answer to its own id will ever be known. A list that shows nothing at all is
        no witness: it may be another account's.
        """
        job = self._job
        if (
            created is None
            or (job.created_after is not None and created < job.created_after)
            or (job.created_before is not None and created >= job.created_before)
        ):
            return True
        if not self.ended or self.position is None:
            return False
        return self._listed_after is None or created > self._listed_after

    def _open_failures(self) -> dict[str, Failure]:
        failures = self._lake.state.failures
        return {key[1]: failures[key] for key in failures if key[0] == self._job.name}

    async def _list(self) -> AsyncIterator[Completion]:
        job = self._job
        async for page in self._pages():
            for completion in page:
                if job.created_before is not None and completion.created >= job.created_before:
                    if self.ascending:
                        self.ended = True
                        return
                    continue
                self.start = completion.created if self.start is None else self.start
                self.position = completion.created
                if job.created_after is not None and completion.created < job.created_after:
                    continue
                if _matches(completion, job):
                    yield completion
        self.ended = True

    async def _pages(self) -> AsyncIterator[list[Completion]]:
        starts = self._starts()
        recent: deque[str] = deque(maxlen=2 * PAGE_LIMIT)
        pager = self._pager_at(next(starts, None))
        while not pager.done:
            after = pager.cursor
            try:
                page = await self._page(pager)
            except (CompletionNotFoundError, RequestRejectedError):
                if after is None:
                    raise
                # The cursor's completion was deleted: go on after an older one.
                pager = Pager(recent.pop()) if recent else self._pager_at(next(starts, None))
                logger.info(
                    "%s: cursor %s is gone, going on after %s", self._job.name, after, pager.cursor
                )
                continue
            if self.ascending and _descends(page):
                logger.warning(
                    "%s: the service ignores order=asc; every run lists everything", self._job.name
                )
                self.ascending = False
                if after is not None:
                    pager = self._pager_at(None)
                    continue
            recent.extend(completion.id for completion in page[:-1])
            yield page

    def _pager_at(self, start: tuple[str, int] | None) -> Pager:
        """Return a pager that begins after a completion (id, created), None: at the beginning."""
        completion_id, self._listed_after = (None, None) if start is None else start
        return Pager(completion_id)

    async def _page(self, pager: Pager) -> list[Completion]:
        try:
            return await self._api.list_completions(
                lambda body: pager.feed(read_completion_page(body)),
                after=pager.cursor,
                limit=PAGE_LIMIT,
                model=self._job.model,
                metadata=self._job.metadata,
            )
        except (CompletionNotFoundError, RequestRejectedError) as error:
            if pager.cursor is not None:
                raise  # the cursor's completion may be gone
            raise list_error(error) from error
        except CompletionError as error:
            raise list_error(error) from error

    def _starts(self) -> Iterator[tuple[str, int]]:
        """Yield (id, created) to start after, the best first; when used up: the beginning."""
        cursor = self._lake.state.cursors.get(self._job.name)
        if cursor is None or self._job.mode == "full" or cursor.selection != self._job.selection:
            return
        points = self._lake.resume_points(
            self._job.name, before=cursor.created - self._job.lookback
        )
        # Neighbours are often deleted together: each further step goes twice as far back.
        step, skip = 1, 0
        for point in points:
            if skip:
                skip -= 1
                continue
            yield point
            skip, step = step - 1, step * 2


def list_error(error: CompletionError) -> ChatlakeError:
    """Return what an error means for the list: there it is no single completion that is lost."""
    message = f"the list of completions cannot be had: {error.message}"
    if isinstance(error, RetriesExhaustedError):
        return SourceUnreachableError(message, hint=error.hint)
    if isinstance(error, CompletionNotFoundError):
        return SourceUnreachableError(message, hint=UnusableListError.default_hint)
    return UnusableListError(message)


def _matches(completion: Completion, job: SourceJob) -> bool:
    """Whether the metadata filter holds: servers that ignore it send everything.

    `model` is left to the service: an alias may stand for names that do not look like it.
    """
    if not job.metadata:
        return True
    metadata = completion.fields.metadata
    return isinstance(metadata, dict) and job.metadata.items() <= metadata.items()


def _descends(page: list[Completion]) -> bool:
    known = [completion.created for completion in page if completion.fields.created is not None]
    return len(known) > 1 and known[0] > known[-1]
