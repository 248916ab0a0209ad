"""A batch: the completions of one Prefect task, and how many they should be."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

from chatlake.backup.export import Item
from chatlake.backup.items import Flush, Listed, SourceJob
from chatlake.config import Settings
from chatlake.errors import ChatlakeError

BATCH_SECONDS = 8.0  # a commit at least every 15 seconds is promised
FIRST_BATCH = 64
GROWTH_AFTER = (
    100  # batches, after which the size doubles: a huge source then becomes hundreds of tasks
)
GROWTH_LIMIT = 16
# Prefect's server takes about 65 ms of CPU per task. This should stay below 5 % of the run's own
# CPU. With two workers on one core, a batch takes twice its CPU time.
QUICK_SECONDS = 2.6
QUICK_GROWTH_LIMIT = 4
_USUAL_SIZE = 500  # a smaller batch_size in the configuration is respected


class BatchItems(Sequence[Item]):
    """The items of a batch. Iterating ends early once `stopped` is set: the rest is left undone.

    In another process they are just the items.
    """

    def __init__(self, items: Sequence[Item], stopped: threading.Event | None = None) -> None:
        self._items = items
        self._stopped = stopped

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        return self._items[index]

    def __iter__(self) -> Iterator[Item]:
        for item in self._items:
            if self._stopped is not None and self._stopped.is_set():
                return
            yield item

    def __reduce__(self) -> tuple[type[BatchItems], tuple[Sequence[Item]]]:
        return BatchItems, (self._items,)


class Batch:
    """The work of one task: it may be sent to other processes and machines, and contains no secret.

    `settings`: what `settings_for` gives; `processes`: see `chatlake.bootstrap.runtime`. It is not
    a dataclass, because Prefect walks through those and would visit every item.
    """

    def __init__(
        self,
        settings: Settings,
        job: SourceJob,
        run_id: str,
        number: int,
        items: BatchItems,
        *,
        processes: int,
    ) -> None:
        self.settings = settings
        self.job = job
        self.run_id = run_id
        self.number = number
        self.items = items
        self.processes = processes


@dataclass(slots=True, weakref_slot=True)
class BatchResult:
    """The result of a batch: descriptions of the files it wrote, and the seconds that it took."""

    flushes: list[Flush] = field(default_factory=list)
    seconds: float = 0.0


class BatchError(Exception):
    """What ended a batch early, and what it had exported until then."""

    def __init__(self, error: ChatlakeError, result: BatchResult) -> None:
        super().__init__(error, result)
        self.error = error
        self.result = result


class WorkerLostError(Exception):
    """The worker of a batch died, and so did those that retried it; what it did is unknown."""


class BatchSizes:
    """How many completions the next batch fetches: it starts small and follows the pace.

    `largest`: the maximum, unless such a batch is so quick that Prefect's cost would matter, or
    there are hundreds of batches. `requests_per_second`: the pace of one worker, if one is set.
    """

    def __init__(self, largest: int, requests_per_second: float | None = None) -> None:
        self._largest = largest
        self._batches = 0
        self._quick_growth = 1
        first = min(FIRST_BATCH, largest)
        if requests_per_second is not None:
            first = min(first, int(requests_per_second * BATCH_SECONDS))
        self.size = max(1, first)

    def measured(self, fetched: int, seconds: float) -> None:
        """Learn from a batch. One that is far smaller than the present size is ignored."""
        self._batches += 1
        if 2 * fetched < self.size:
            return
        fitting = int(fetched / max(seconds, 0.001) * BATCH_SECONDS)
        full = fetched >= self._quick_growth * self._largest
        if full and seconds < QUICK_SECONDS and self._largest >= _USUAL_SIZE:
            self._quick_growth = min(QUICK_GROWTH_LIMIT, 2 * self._quick_growth)
        growth = min(GROWTH_LIMIT, 1 << (self._batches // GROWTH_AFTER))
        growth = max(growth, self._quick_growth)
        self.size = max(1, min(fitting, 2 * self.size, growth * self._largest))


def is_fetched(item: Item) -> bool:
    """Say whether the item needs requests; one that is stored unchanged does not."""
    if isinstance(item, Listed):
        return item.previous is None or item.previous.digest != item.digest
    return True


def settings_for(job: SourceJob, settings: Settings) -> Settings:
    """Return the part of the configuration that a batch needs.

    That is its source, with secrets as references. It leaves out the addresses of `notify`, which
    are secrets themselves, and the selection, which may be a long list.
    """
    source = settings.source(job.name)
    bare = source.model_copy(update={"select": type(source.select)()})
    return settings.model_copy(update={"sources": (bare,), "notify": ()})
