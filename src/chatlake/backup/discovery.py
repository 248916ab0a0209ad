"""Discovery: which completions exist, and which of them the lake does not hold yet.

The list is read ascending, from `lookback` before the newest backed-up completion. So the finished
part is always a prefix of the list. The API has no time filter and no `updated_at`, and a row can
appear late, behind the newest one already seen. The lookback finds late rows, and the digest finds
changed ones.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

from chatlake.backup.finished_prefix import FinishedPrefix
from chatlake.backup.items import Asked, Listed, SourceJob
from chatlake.backup.known import KnownCompletions
from chatlake.backup.lake_port import LakeStore
from chatlake.backup.list_gaps import UNLISTED
from chatlake.backup.list_requests import CLOCK_SLACK_S
from chatlake.backup.listing import Listing
from chatlake.backup.metadata_filter import MetadataFilter
from chatlake.backup.ports import CompletionApi
from chatlake.model.digest import completion_digest
from chatlake.model.manifest import Failure
from chatlake.model.objects import Completion
from chatlake.model.pages import latest_of_each
from chatlake.model.partitions import Partition

logger = logging.getLogger(__name__)


class Discovery:
    """Finds the completions of one job. `position`: creation time listed up to (UTC seconds).

    `prefix`: how far the list is finished without a gap. `known`: what the lake already has.
    `ended`: whether the list was read to its end. `gaps`: rows that the list has but does not show.
    `too_old`: ids that were asked for, of completions that the lake does not keep so long.
    """

    def __init__(
        self, job: SourceJob, api: CompletionApi, lake: LakeStore, known: KnownCompletions
    ) -> None:
        self.known = known
        self.prefix = FinishedPrefix()
        self.start: int | None = None
        self.position: int | None = None
        self.ended = False
        self.too_old: set[str] = set()
        self._job = job
        self._lake = lake
        self._listing = Listing(job, api, lake)
        self.gaps = self._listing.gaps
        self._latest = time.time() + CLOCK_SLACK_S
        self._timeless = _Noted(job.name, "no usable creation time")
        self._future = _Noted(job.name, "a creation time in the future")
        self._twofold = _Noted(job.name, "two rows on one page that differ")
        self._forgotten = 0
        self._filter = MetadataFilter(job.metadata, api.redaction)

    @property
    def ascending(self) -> bool:
        """Whether the list comes oldest first, without a break."""
        return self._listing.ascending

    async def open_gaps(self) -> AsyncIterator[Asked]:
        """Yield the completions that earlier runs could not fetch: they are tried first."""
        if self._job.ids is None:
            for completion_id, failure in self._open_failures().items():
                if self._job.is_too_old(failure.created):
                    continue  # no longer wanted: closed at the end
                yield Asked(completion_id, failure)

    async def items(self) -> AsyncIterator[Asked | Listed]:
        """Yield everything to back up: the given ids, else what the list shows."""
        if self._job.ids is not None:
            for asked in self._given(self._job.ids):
                yield asked
            return
        failures = self._open_failures()
        asked_for: set[str] = set()
        async for found in self._list():
            if self._is_forgotten(found if isinstance(found, str) else found.id):
                continue
            if isinstance(found, str):
                if found not in asked_for:
                    asked_for.add(found)
                    yield Asked(found, failures.get(found), listed=True)
                continue
            listed = self.examine(found, listed=True)
            if listed is not None:
                yield listed
        if self._forgotten:
            logger.info(
                "%s: listed completions left out, because `chatlake forget` erased them: %d",
                self._job.name, self._forgotten,
            )  # fmt: skip

    def _given(self, ids: Sequence[str]) -> Iterator[Asked]:
        """Yield the given ids, except those that were forgotten."""
        failures = self._open_failures()
        for completion_id in dict.fromkeys(ids):
            if not self._is_forgotten(completion_id):
                yield Asked(completion_id, failures.get(completion_id))
        if self._forgotten:
            logger.warning(
                "%s: ids left out, because `chatlake forget` erased them: %d",
                self._job.name, self._forgotten,
            )  # fmt: skip

    def examine(self, completion: Completion, *, listed: bool) -> Listed | None:
        """Compare a completion with the lake; returns None if this run has already met it."""
        if self._has_time(completion) and self._job.is_too_old(completion.created):
            self.too_old.add(completion.id)
            return None
        partition = Partition.of(self._job.name, completion.created)
        known = self.known.take(partition, completion.id)
        if known.in_hand:
            return None
        sequence = None
        if listed:
            # A run cannot continue from a row without a time, or with a time in the future.
            is_place = self._has_time(completion) and completion.created <= self._latest
            sequence = self.prefix.add(completion.id, completion.created, is_place=is_place)
        return Listed(completion, completion_digest(completion.sent), known.version, sequence)

    def would_have_shown(self, created: int | None) -> bool:
        """Say whether a completion of this time is gone if neither its id nor the list shows it.

        `created`: UTC seconds. True if the list would have shown it. True also without a time, or
        outside the selected times: no list shows such a completion, so the answer to its own id
        decides. An empty list proves nothing, because it may be another account's. A list with
        unreadable rows proves nothing either.
        """
        job = self._job
        if (
            created is None
            or job.is_too_old(created)
            or (job.created_after is not None and created < job.created_after)
            or (job.created_before is not None and created >= job.created_before)
        ):
            return True
        if not self.ended or self.position is None or self.gaps:
            return False
        return self._listing.listed_after is None or created > self._listing.listed_after

    def has_read(self, created: int | None) -> bool:
        """Whether the list was read to its end, from this time (UTC seconds) on or from earlier.

        None stands for the beginning of the list.
        """
        start = self._listing.listed_after
        return self.ended and (start is None or (created is not None and created >= start))

    def _is_forgotten(self, completion_id: str) -> bool:
        """Say whether it was forgotten; then it counts as not listed."""
        is_forgotten = self._lake.state.forgotten.has(self._job.name, completion_id)
        self._forgotten += is_forgotten
        return is_forgotten

    def _open_failures(self) -> dict[str, Failure]:
        failures = self._lake.state.failures
        return {
            key[1]: failure
            for key, failure in failures.items()
            if key[0] == self._job.name and failure.reason != UNLISTED
        }

    @staticmethod
    def _has_time(completion: Completion) -> bool:
        return completion.fields.created is not None

    def _note_time(self, completion: Completion) -> None:
        if not self._has_time(completion):
            self._timeless.note(completion.id)
        elif completion.created > self._latest:
            self._future.note(completion.id)
        else:
            self.start = completion.created if self.start is None else self.start
            self.position = completion.created
        self.position = self.position or 0

    def _one_of_each(self, items: Sequence[Completion]) -> Iterable[Completion]:
        """Return the items of a page; of several with one id, the latest."""
        latest = latest_of_each(items)
        if len(latest) == len(items):
            return items
        for item in items:
            if item.sent.text != latest[item.id].sent.text:
                self._twofold.note(item.id)
        return latest.values()

    async def _list(self) -> AsyncIterator[Completion | str]:
        """Yield the completions of the list, and the ids of rows that cannot be read there."""
        job = self._job
        async for page in self._listing.pages():
            for row in page.malformed:
                if row.id is not None:
                    yield row.id
            for completion in self._one_of_each(page.items):
                if job.created_before is not None and completion.created >= job.created_before:
                    if self.ascending:
                        self._end()
                        return
                    continue
                self._note_time(completion)
                if job.created_after is not None and completion.created < job.created_after:
                    continue
                if self._has_time(completion) and job.is_too_old(completion.created):
                    continue
                if self._filter.holds(completion):
                    yield completion
        self._end()

    def _end(self) -> None:
        self.ended = True
        if self.position is None:
            self._warn_of_empty_list()
        self._timeless.warn("no run continues from there")
        self._future.warn("no run continues from there")
        self._twofold.warn("the one with the later `created` is stored, or else the later row")

    def _warn_of_empty_list(self) -> None:
        """Warn if the list is empty although completions are known that cannot have expired."""
        cursor = self._lake.state.cursors.get(self._job.name)
        if cursor is None or self._job.filters or cursor.selection != self._job.selection:
            return
        if cursor.created > time.time() - self._job.retention:
            logger.warning(
                "%s: the list is empty, although earlier runs stored completions that cannot have "
                "expired yet. The key may belong to another account: check api_key, base_url and "
                "headers",
                self._job.name,
            )


class _Noted:
    """Completions with the same oddity, which one warning reports."""

    def __init__(self, source: str, what: str) -> None:
        self._source = source
        self._what = what
        self._count = 0
        self._example = ""

    def note(self, completion_id: str) -> None:
        self._count += 1
        self._example = completion_id

    def warn(self, consequence: str) -> None:
        """Say how many there are, with one of them as the example."""
        if self._count:
            logger.warning(
                "%s: completions with %s: %d, for example %s; %s",
                self._source, self._what, self._count, self._example, consequence,
            )  # fmt: skip
