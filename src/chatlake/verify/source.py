"""The lake compared with its source: what is missing, changed or extra, and a sample by value.

1. The source is listed from its beginning, as a full sweep lists it, within the configured pace.
   Each completion's digest is compared with the lake's.
2. Completions of the lake that are not in the list are extra. Those older than the source's
   retention have expired, which is what the backup is for.
3. Of the completions that agree, a seeded sample is fetched again with all messages and compared
   with the stored rows. A list does not show messages, and a digest is only the lake's own claim.

If the source has a selection of ids, there is no list: each of the ids is requested instead.

Nothing is written, neither to the lake nor to the source.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final

from chatlake.backup.discovery import Discovery
from chatlake.backup.fetching import MessageSource, get_completion
from chatlake.backup.first_error import first_error
from chatlake.backup.items import Asked, Listed, SourceJob
from chatlake.backup.known import KnownCompletions
from chatlake.backup.ports import CompletionApi
from chatlake.backup.sweep import sweeps_everything
from chatlake.errors import CompletionError, CompletionNotFoundError
from chatlake.lake.lake import Lake
from chatlake.model.digest import completion_digest
from chatlake.model.manifest import parse_time
from chatlake.model.partitions import Partition
from chatlake.verify.differences import Comparison
from chatlake.verify.sampled import difference, stored_values

Progress = Callable[[str, int, int], None]
"""Called with the source, how many completions were listed, and how many of the sample were
fetched.
"""

_REACHED_THE_END: Final = ("complete", "incomplete")
_SLACK_S: Final = 300  # clocks differ a little, and completions become visible late


async def compare(
    job: SourceJob,
    api: CompletionApi,
    lake: Lake,
    *,
    sample: int,
    seed: int,
    progress: Progress,
) -> Comparison:
    """Compare one source; `job` in mode `full`, or `ids`: then only these ids are requested.

    `sample`: how many completions to fetch again, chosen by `seed`. Raises AccountError,
    SourceUnreachableError, UnusableListError or LakeError.
    """
    work = _Work(job, api, lake, Comparison(job.name, seed), progress)
    with first_error():
        await (work.compare_list() if job.ids is None else work.compare_ids())
        await work.compare_sample(sample)
    return work.comparison


class _Work:
    """Fills one comparison.

    `agreeing`: completion id -> its partition and digest, of those that agree.
    """

    def __init__(
        self,
        job: SourceJob,
        api: CompletionApi,
        lake: Lake,
        comparison: Comparison,
        progress: Progress,
    ) -> None:
        self.comparison = comparison
        self.agreeing: dict[str, tuple[Partition, bytes]] = {}
        self._job = job
        self._api = api
        self._lake = lake
        self._progress = progress
        self._messages = MessageSource(api, max_bytes=job.max_body)
        self._begun_at = _last_run_began(lake, job.name)

    async def compare_list(self) -> None:
        """Read the complete list, and record the rows that cannot be read."""
        known = KnownCompletions(self._lake, self._api.redaction)
        discovery = Discovery(self._job, self._api, self._lake, known)
        comparison, seen = self.comparison, set[str]()
        async for item in discovery.items():
            if isinstance(item, Listed):
                known.settle([Partition.of(self._job.name, item.completion.created)])
            completion_id = item.completion.id if isinstance(item, Listed) else item.completion_id
            if completion_id in seen:
                continue
            seen.add(completion_id)
            comparison.listed += 1
            if isinstance(item, Listed):
                self._sort(item)
            else:  # a row that cannot be read
                comparison.unfetched.append(completion_id)
            if comparison.listed % 100 == 0:
                self._progress(self._job.name, comparison.listed, 0)
        comparison.unlisted = len(discovery.gaps.failures)
        if discovery.ended and sweeps_everything(self._job):
            await asyncio.to_thread(self._find_extra, seen)

    def _sort(self, item: Listed) -> None:
        comparison, stored = self.comparison, item.previous
        completion_id, created = item.completion.id, item.completion.created
        if stored is None:
            is_newer = created >= self._begun_at - _SLACK_S
            (comparison.newer if is_newer else comparison.missing).append(completion_id)
        elif stored.digest is None:
            comparison.incomplete.append(completion_id)
        elif stored.digest != item.digest or stored.deleted:
            comparison.changed.append(completion_id)
        else:
            partition = Partition.of(self._job.name, created)
            self.agreeing[completion_id] = partition, item.digest

    async def compare_ids(self) -> None:
        """Request each id of the selection, those of one day after the other."""
        known = KnownCompletions(self._lake, self._api.redaction)
        discovery = Discovery(self._job, self._api, self._lake, known)
        stored = await asyncio.to_thread(self._stored_ids)
        asked = [item.completion_id async for item in discovery.items() if isinstance(item, Asked)]
        room = asyncio.Semaphore(self._job.concurrency)

        async def look(completion_id: str) -> None:
            async with room:
                await self._look_for(completion_id, stored.get(completion_id), discovery)
            self.comparison.listed += completion_id not in discovery.too_old
            self._progress(self._job.name, self.comparison.listed, 0)

        async with asyncio.TaskGroup() as group:
            for completion_id in sorted(asked, key=lambda each: str(stored.get(each, ""))):
                group.create_task(look(completion_id))

    def _stored_ids(self) -> dict[str, Partition]:
        """Return completion id -> partition, of the selected ids that the lake has."""
        wanted = set(self._job.ids or ())
        return {
            completion_id: partition
            for partition in self._lake.state.partitions(self._job.name)
            for completion_id, version in self._lake.stored_versions(partition).items()
            if completion_id in wanted and not version.deleted
        }

    async def _look_for(
        self, completion_id: str, stored: Partition | None, discovery: Discovery
    ) -> None:
        try:
            completion = await get_completion(self._api, completion_id)
        except CompletionNotFoundError:
            if stored is None:
                self.comparison.unknown.append(completion_id)
            elif not self._job.is_past(stored):
                self._gone(completion_id, stored)
        except CompletionError:
            self.comparison.unfetched.append(completion_id)
        else:
            found = discovery.examine(completion, listed=False)
            if found is not None:
                discovery.known.settle([Partition.of(self._job.name, completion.created)])
                self._sort(found)

    def _find_extra(self, seen: set[str]) -> None:
        for partition in self._lake.state.partitions(self._job.name):
            if self._job.is_past(partition):
                continue
            for completion_id, version in self._lake.stored_versions(partition).items():
                if not version.deleted and completion_id not in seen:
                    self._gone(completion_id, partition)

    def _gone(self, completion_id: str, partition: Partition) -> None:
        """Count a completion that the lake has and the source does not."""
        if partition <= Partition.of(self._job.name, int(time.time()) - self._job.retention):
            self.comparison.expired += 1
        else:
            self.comparison.extra.append(completion_id)

    async def compare_sample(self, count: int) -> None:
        """Fetch some of those that agree again, as many at a time as the pace allows."""
        comparison, agreeing = self.comparison, sorted(self.agreeing)
        comparison.agreeing = len(agreeing)
        dice = random.Random(comparison.seed)  # noqa: S311 - the same seed, the same sample
        room = asyncio.Semaphore(self._job.concurrency)

        async def look(completion_id: str) -> None:
            async with room:
                await self._compare_values(completion_id)
                comparison.sampled.append(completion_id)
                self._progress(self._job.name, comparison.listed, len(comparison.sampled))

        async with asyncio.TaskGroup() as group:
            for completion_id in dice.sample(agreeing, min(count, len(agreeing))):
                group.create_task(look(completion_id))

    async def _compare_values(self, completion_id: str) -> None:
        comparison, job = self.comparison, self._job
        try:
            completion = await get_completion(self._api, completion_id)
            sent = await self._messages.fetch(completion_id, settle=True)
        except CompletionError:
            comparison.unfetched.append(completion_id)
            return
        partition, digest = self.agreeing[completion_id]
        if completion_digest(completion.sent) != digest:
            comparison.changed.append(completion_id)  # a moment ago
            comparison.agreeing -= 1
            return
        stored = await asyncio.to_thread(
            stored_values, self._lake, partition, completion_id, self._api.redaction
        )
        found = difference(
            completion, sent, stored, keep_images=job.keep_images, redaction=self._api.redaction
        )
        if found == "more stored":
            comparison.kept.append(completion_id)
        elif found == "value":
            comparison.different.append(completion_id)


def _last_run_began(lake: Lake, source: str) -> float:
    """Return when the last backup that read the list to its end began, UTC seconds.

    Without one, everything that is not stored counts as missing.
    """
    began = [
        parse_time(run.started_at).timestamp()
        for run in lake.state.runs.values()
        if run.source == source and run.status in _REACHED_THE_END and run.mode != "ids"
    ]
    return max(began, default=float("inf"))
