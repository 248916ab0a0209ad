"""The result of a batch whose workers all died: every completion in it is a named failure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from chatlake.backup.export import Item
from chatlake.backup.items import Flush, Listed, Outcome, SourceJob
from chatlake.model.manifest import Failure, format_time
from chatlake.model.outside_text import one_line
from chatlake.model.partitions import Partition

REASON = "worker_lost"
"""The ledger's reason for a completion whose batch killed its workers, or was lost with them."""


def flush_of_lost(items: Sequence[Item], job: SourceJob, run_id: str, detail: str) -> Flush:
    """Return the outcomes of a lost batch: failures that the next run tries again.

    Completions that are stored unchanged needed no worker. Files that the workers wrote are not
    listed; `chatlake vacuum` removes them.
    """
    now = format_time(datetime.now(UTC))
    return Flush(outcomes=[_outcome(item, job, run_id, detail, now) for item in items])


def _outcome(item: Item, job: SourceJob, run_id: str, detail: str, now: str) -> Outcome:
    if isinstance(item, Listed):
        completion_id, created = item.completion.id, item.completion.created
        partition, sequence = Partition.of(job.name, created), item.sequence
        if item.is_unchanged:
            return Outcome(completion_id, "unchanged", partition, sequence)
    else:
        completion_id, created, partition, sequence = item.completion_id, None, None, None
    failure = Failure(
        source=job.name,
        completion_id=completion_id,
        reason=REASON,
        detail=one_line(detail),
        created=created,
        run_id=run_id,
        first_attempt_at=now,
        last_attempt_at=now,
    )
    return Outcome(completion_id, "failed", partition, sequence, failure=failure)
