"""What the lake already holds: the completions and images of the partitions that a run touches.

1. A run asks for each listed completion whether the lake holds it, and in which version.
2. The answer is in the files of the completion's day. They are read once, when the first
   completion of that day is listed, and their ids and digests stay in memory.
3. The list is ascending, so a run works on one day at a time, and on two around midnight. The three
   partitions that were used last stay in memory, the others are forgotten.
4. A completion that is being fetched is not in the files yet. So `take` marks it as in hand, and a
   second listing of it is recognised. A partition with completions in hand is not forgotten.
5. Memory is bounded by the completions of a few days, not by the size of the lake.
6. What earlier runs stored under other rules of `redact` is compared as today's rules would leave
   it. So a new rule is not a change at the source, and nothing is stored anew for it. But what a
   rule took out cannot be put back for the comparison: once the rule is gone, or `hash_key` is
   another one, the completions that it changed are stored again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import msgspec

from chatlake.backup.lake_port import LakeStore, StoredVersion
from chatlake.model.digest import completion_digest
from chatlake.model.json_text import read_sent
from chatlake.model.partitions import Partition
from chatlake.model.redaction.rules import Redaction

_PARTITIONS_KEPT = 3  # an ascending list touches one day, at midnight two


class Known(msgspec.Struct, frozen=True):
    """A completion that the lake has, or that this run is fetching."""

    version: StoredVersion | None
    in_hand: bool


class KnownCompletions:
    """Completion ids with the version stored, and whether this run has met them already.

    Memory is bounded by the completions of a few days, and by what is in hand: a partition is
    forgotten once three newer ones were used and everything taken in hand of it is settled.
    """

    def __init__(self, lake: LakeStore, redaction: Redaction | None = None) -> None:
        self._lake = lake
        self._redaction = redaction
        self._partitions: dict[Partition, dict[str, Known]] = {}
        self._unsettled: Counter[Partition] = Counter()
        self._note: Callable[[Partition, dict[str, Known]], None] = lambda *_: None

    def take(self, partition: Partition, completion_id: str) -> Known:
        """Take a completion in hand; returns what was known of it before."""
        known = self._load(partition)
        before = known.get(completion_id, Known(None, in_hand=False))
        if not before.in_hand:
            known[completion_id] = Known(before.version, in_hand=True)
            self._unsettled[partition] += 1
        return before

    def on_forget(self, note: Callable[[Partition, dict[str, Known]], None]) -> None:
        """Call `note` with each partition before it is forgotten."""
        self._note = note

    def loaded(self) -> list[Partition]:
        """Return the partitions that are not forgotten."""
        return list(self._partitions)

    def entries(self, partition: Partition) -> dict[str, Known]:
        """Return what is known about a loaded partition."""
        return self._partitions[partition]

    def stored(self, partition: Partition) -> dict[str, Known]:
        """Return what the lake holds of a partition, without keeping it."""
        stored = self._lake.stored_versions(partition)
        if self._redaction is not None:
            stored |= self._as_redacted_now(partition, stored, self._redaction)
        return {name: Known(version, in_hand=False) for name, version in stored.items()}

    def _as_redacted_now(
        self, partition: Partition, stored: Mapping[str, StoredVersion], redaction: Redaction
    ) -> dict[str, StoredVersion]:
        """Return the versions that the present rules would have left otherwise."""
        runs = [run for run in self._lake.state.runs.values() if run.source == partition.source]
        alike = {run.run_id for run in runs if run.redaction == redaction.fingerprint}
        if len(alike) == len(runs):
            return {}
        found: dict[str, StoredVersion] = {}
        for completion_id, text in self._lake.stored_texts(partition, but_of=alike):
            sent = text.encode()
            redacted = redaction.completion(sent).text
            if redacted is not sent and completion_id in stored:
                digest = completion_digest(read_sent(redacted))
                found[completion_id] = msgspec.structs.replace(stored[completion_id], digest=digest)
        return found

    def settle(self, partitions: Iterable[Partition]) -> None:
        """Count completions as committed, one for each time their partition is named."""
        self._unsettled.subtract(partitions)
        for partition in list(self._partitions)[:-_PARTITIONS_KEPT]:
            if self._unsettled[partition] <= 0:
                self._note(partition, self._partitions.pop(partition))
                del self._unsettled[partition]

    def _load(self, partition: Partition) -> dict[str, Known]:
        known = self._partitions.pop(partition, None)
        if known is None:
            known = self.stored(partition)
        self._partitions[partition] = known  # the newest is last
        return known


class KnownImages:
    """SHA-256 of the images stored in each partition."""

    def __init__(self, lake: LakeStore) -> None:
        self._lake = lake
        self._partitions: dict[Partition, set[str]] = {}

    def of(self, partition: Partition) -> set[str]:
        """Return the images of a partition; the set may be added to."""
        known = self._partitions.pop(partition, None)
        if known is None:
            known = self._lake.stored_images(partition)
            while len(self._partitions) >= _PARTITIONS_KEPT:
                del self._partitions[next(iter(self._partitions))]
        self._partitions[partition] = known
        return known
