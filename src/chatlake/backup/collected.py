"""What an export has fetched but not handed over yet: rows, and one outcome per completion.

Both wait in `Days`, which hands them out. While some are written, more are collected.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

from chatlake.backup.days import Days
from chatlake.backup.items import Listed, Outcome, OutcomeKind, SourceJob
from chatlake.backup.lake_port import StoredVersion
from chatlake.errors import CompletionError
from chatlake.model.flatten import FlatCompletion, Observation, flatten
from chatlake.model.manifest import Failure, format_time
from chatlake.model.objects import Message
from chatlake.model.outside_text import one_line, request_id
from chatlake.model.partitions import Partition
from chatlake.model.redaction.rules import NO_COUNTS, Counts, total
from chatlake.model.unknown_fields import unknown_fields

failures_logger = logging.getLogger("chatlake.backup.failures")
"""Gets a line for each failure. The command does not show them, because its report names each."""


class Collected:
    """Collects the rows and outcomes of one export."""

    def __init__(self, job: SourceJob, run_id: str, days: Days) -> None:
        self._job = job
        self._run_id = run_id
        self._days = days

    def unchanged(self, item: Listed) -> None:
        """Count a completion that the lake already has."""
        self._outcome(item, "unchanged")

    def whole(self, item: Listed, messages: list[Message]) -> None:
        """Store a completion with its messages."""
        seen = _observation(self._run_id, item.previous)
        flat = flatten(
            item.completion,
            messages,
            seen,
            keep_images=self._job.keep_images,
            digest=item.digest,
        )
        self._store(item, flat)
        self._look_for_fields(item, messages)
        was_whole = item.previous is not None and item.previous.digest is not None
        redacted = total([item.completion.redacted, *(each.redacted for each in messages)])
        self._outcome(item, "changed" if was_whole else "new", flat, redacted)

    def without_messages(self, item: Listed) -> OutcomeKind:
        """Store a completion and its replies, for a source that has no messages at all."""
        self._store_bare(item)
        kind: OutcomeKind = "new" if item.previous is None else "unchanged"
        self._outcome(item, kind, redacted=item.completion.redacted)
        return kind

    def messages_failed(self, item: Listed, error: CompletionError) -> None:
        """Store a completion whose messages are missing, and record the failure.

        If it was complete before and has changed, its new version is stored and its stored messages
        stay.
        """
        partition = self._partition(item)
        if item.previous is None or item.previous.digest is not None:
            unfetched = self._days.of(partition).flush.unfetched
            unfetched.setdefault(partition, set()).add(item.completion.id)
            self._store_bare(item)
        self.failed(item.completion.id, error, item=item)

    def failed(
        self,
        completion_id: str,
        error: CompletionError,
        *,
        item: Listed | None = None,
        absent: bool = False,
        created: int | None = None,
        instead_of: OutcomeKind | None = None,
    ) -> None:
        """Record a completion that could not be fetched completely.

        `absent`, `instead_of`: see `Outcome`. `created`: its creation in UTC seconds, if only that
        is known of it.
        """
        failures_logger.warning("%s: %s: %s", self._job.name, completion_id, error.message)
        now = format_time(datetime.now(UTC))
        failure = Failure(
            source=self._job.name,
            completion_id=completion_id,
            reason=error.reason,
            detail=one_line(error.message),
            request_id=request_id(error.request_id),
            created=item.completion.created if item else created,
            run_id=self._run_id,
            first_attempt_at=now,
            last_attempt_at=now,
        )
        partition = self._partition(item) if item else None
        day = partition
        if instead_of is not None and created is not None:
            day = Partition.of(self._job.name, created)  # so that it follows what it corrects
        self._days.of(day).flush.outcomes.append(
            Outcome(
                completion_id,
                "failed",
                partition,
                item.sequence if item else None,
                failure=failure,
                absent=absent,
                instead_of=instead_of,
            )
        )

    def _store_bare(self, item: Listed) -> None:
        seen = _observation(self._run_id, item.previous)
        flat = flatten(item.completion, None, seen, keep_images=self._job.keep_images)
        self._store(item, flat)
        self._look_for_fields(item, [])

    def _store(self, item: Listed, flat: FlatCompletion) -> None:
        partition = self._partition(item)
        self._days.add(partition, flat)
        if item.previous is not None:
            replaced = self._days.of(partition).flush.replaced
            replaced.setdefault(partition, {})[item.completion.id] = item.previous

    def _look_for_fields(self, item: Listed, messages: list[Message]) -> None:
        """Count the fields of a completion that are not known, each once."""
        if names := list(unknown_fields(item.completion, messages)):
            self._days.of(self._partition(item)).flush.count_fields(names, item.completion.id)

    def _outcome(
        self,
        item: Listed,
        kind: OutcomeKind,
        flat: FlatCompletion | None = None,
        redacted: Counts = NO_COUNTS,
    ) -> None:
        partition = self._partition(item)
        self._days.of(partition).flush.outcomes.append(
            Outcome(
                item.completion.id,
                kind,
                partition,
                item.sequence,
                messages=len(flat.messages) if flat else 0,
                content_parts=len(flat.content_parts) if flat else 0,
                images=flat.image_count if flat else 0,
                redacted=redacted,
            )
        )

    def _partition(self, item: Listed) -> Partition:
        return Partition.of(self._job.name, item.completion.created)


def _observation(run_id: str, previous: StoredVersion | None) -> Observation:
    """Return an observation of now.

    Its time is always later than that of the previous one, even if the clock was put back.
    """
    now = time.time_ns() // 1000
    if previous is None:
        return Observation(run_id, now, now)
    return Observation(run_id, max(now, previous.observed_at + 1), previous.first_seen_at)
