"""The items that a backup works on, and their results.

Plain data that can be sent between processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from chatlake.backup.lake_port import StoredVersion
from chatlake.backup.ports import MAX_BODY, RequestFigures
from chatlake.model.manifest import Failure, PartFile
from chatlake.model.objects import Completion
from chatlake.model.partitions import Partition
from chatlake.model.redaction.rules import NO_COUNTS, Counts
from chatlake.model.unknown_fields import FURTHER, MOST

OutcomeKind = Literal["new", "changed", "unchanged", "failed"]
Mode = Literal["incremental", "full", "ids"]


@dataclass(frozen=True, slots=True)
class SourceJob:
    """What to back up from one source.

    `ids`: just these completions; None: discover by listing. `created_after`, `created_before`:
    UTC seconds, inclusive and exclusive. `lookback`: seconds behind the newest backed-up completion
    that are listed again. `full_sweep_every`: seconds after which an incremental run becomes a full
    one; None: never. `retention`: seconds that the source keeps completions. `selection`:
    fingerprint of the filters. `keep_images`: whether the bytes of embedded images are stored.
    `keep_after`: UTC seconds, a midnight: what is older is neither backed up nor missed; None: all
    is kept. `max_body`: bytes of one response, and of all messages of one completion.
    """

    name: str
    mode: Mode = "incremental"
    ids: tuple[str, ...] | None = None
    model: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    created_after: int | None = None
    created_before: int | None = None
    lookback: int = 86_400
    full_sweep_every: int | None = None
    retention: int = 30 * 86_400
    selection: str = ""
    keep_images: bool = True
    concurrency: int = 32
    max_body: int = MAX_BODY
    keep_after: int | None = None

    def is_too_old(self, created: int | None) -> bool:
        """Whether the lake does not keep what was created then (UTC seconds; None: unknown)."""
        return self.keep_after is not None and created is not None and created < self.keep_after

    def is_past(self, partition: Partition) -> bool:
        """Whether the lake keeps nothing of a day; completions without a time are kept."""
        return (
            self.keep_after is not None
            and not partition.is_timeless
            and partition.end <= self.keep_after
        )

    @property
    def filters(self) -> str:
        """The filters in words, empty if there are none."""
        words = [f"model {self.model}"] if self.model else []
        words += [f"metadata {key}={value}" for key, value in self.metadata.items()]
        return ", ".join(words)


class Listed(msgspec.Struct, frozen=True):
    """A completion that was found.

    `previous` is what the lake has of it, None if nothing. `sequence` is its place in the ascending
    list, None if it was not found by listing.
    """

    completion: Completion
    digest: bytes
    previous: StoredVersion | None
    sequence: int | None

    @property
    def is_unchanged(self) -> bool:
        """Whether the lake has exactly this version, with its messages and not deleted."""
        stored = self.previous
        return stored is not None and stored.digest == self.digest and not stored.deleted


class Asked(msgspec.Struct, frozen=True):
    """A completion to be requested by id; `earlier` is its open failure, if any.

    `listed`: the list shows it in a row that cannot be read.
    """

    completion_id: str
    earlier: Failure | None = None
    listed: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """The result for one completion, and how many rows it has.

    `partition` is None if the completion itself could not be fetched. `absent`: the completion was
    a gap, and the source says that it has no such completion. `instead_of`: how this run counted
    the same completion before it knew better. `redacted`: what was replaced in its rows.
    """

    completion_id: str
    kind: OutcomeKind
    partition: Partition | None = None
    sequence: int | None = None
    failure: Failure | None = None
    absent: bool = False
    instead_of: OutcomeKind | None = None
    messages: int = 0
    content_parts: int = 0
    images: int = 0
    redacted: Counts = NO_COUNTS


@dataclass(slots=True)
class Flush:
    """Durable part files that no manifest lists yet, and their outcomes.

    `replaced`: completions whose older rows must be removed when this is committed, each with its
    stored version; `replaced_alone`: those of which only the completion's own row is removed and
    the messages stay. `unfetched`: those whose messages could not be fetched, so their stored
    messages stay. `lost`: ids of stored messages, by completion, that the new ones lack. `images`:
    SHA-256 of the images in `parts`. `fields`: for each field that chatlake does not know, how many
    completions have it, and the id of one. `requests`: those sent by another process, which the
    run's own API client does not count.
    """

    parts: list[PartFile] = field(default_factory=list)
    replaced: dict[Partition, dict[str, StoredVersion]] = field(default_factory=dict)
    replaced_alone: dict[Partition, set[str]] = field(default_factory=dict)
    unfetched: dict[Partition, set[str]] = field(default_factory=dict)
    lost: dict[Partition, dict[str, set[str]]] = field(default_factory=dict)
    images: dict[Partition, set[str]] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    fields: dict[str, tuple[int, str]] = field(default_factory=dict)
    requests: RequestFigures = field(default_factory=RequestFigures)

    def take_over(self, other: Flush) -> None:
        """Add what another flush has, of other partitions; it is not used again."""
        self.parts += other.parts
        self.replaced |= other.replaced
        self.replaced_alone |= other.replaced_alone
        self.unfetched |= other.unfetched
        self.lost |= other.lost
        self.images |= other.images
        self.outcomes += other.outcomes
        for name, counted in other.fields.items():
            self._count_field(name, *counted)
        self.requests += other.requests

    def count_fields(self, names: Iterable[str], completion_id: str) -> None:
        """Count a completion with fields that chatlake does not know.

        After the first `MOST` fields, all others count as one.
        """
        for name in {self._field(name): None for name in names}:
            self._count_field(name, 1, completion_id)

    def _count_field(self, name: str, completions: int, example: str) -> None:
        name = self._field(name)
        number, first = self.fields.get(name, (0, example))
        self.fields[name] = number + completions, first

    def _field(self, name: str) -> str:
        return name if name in self.fields or len(self.fields) < MOST else FURTHER
