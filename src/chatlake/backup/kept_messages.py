"""What happens to stored messages when a completion has changed: none of them is lost.

A completion whose metadata was edited is fetched again, its messages too, and its rows replaced. A
server may then return fewer messages than before, or others. So before rows are replaced, the
stored messages are compared with the new ones:

    the messages could not be fetched    the stored messages stay; only the completion is replaced
    all stored messages came again       the new rows replace the old ones
    fewer came, and none that is new     the stored messages stay; only the completion is replaced
    some stored messages are missing,    the new rows replace the old ones, and those that would be
    and there are new ones               lost go to `message_history`
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from chatlake.backup.items import Flush
from chatlake.backup.lake_port import LakeStore, StoredMessage
from chatlake.backup.rows import RowBuffer
from chatlake.model.counts import count
from chatlake.model.partitions import Partition
from chatlake.model.redaction.rules import Redaction

logger = logging.getLogger(__name__)

_SORTED: Final = msgspec.json.Encoder(order="sorted")


def keep_messages(
    source: str,
    lake: LakeStore,
    buffer: RowBuffer,
    flush: Flush,
    redaction: Redaction | None = None,
) -> None:
    """Keep the stored messages of the completions that `flush` replaces, if they would be lost.

    Changes `buffer` and `flush` before they are written. Reads each partition's messages once.
    `redaction`: that of the new ones; the stored ones may have been stored without it.
    """
    for partition, replaced in flush.replaced.items():
        stored = lake.stored_messages(partition, replaced)
        sent = buffer.messages(partition, stored.keys())
        unfetched = flush.unfetched.get(partition, set())
        kept = unfetched & stored.keys()
        for completion_id, before in stored.items():
            if completion_id in unfetched:
                continue
            lost, has_new = compare(
                [(name, direction, _redacted(text, redaction)) for name, direction, text in before],
                sent.get(completion_id, []),
            )
            if not lost:
                continue
            if has_new:
                flush.lost.setdefault(partition, {})[completion_id] = lost
            else:
                kept.add(completion_id)
            logger.warning(
                "%s: %s: the service no longer sends %d of %s; the lake keeps all",
                source, completion_id, len(lost), count(len(before), "stored message"),
            )  # fmt: skip
        if kept:
            _keep(partition, kept, stored, buffer, flush)


def _keep(
    partition: Partition,
    kept: set[str],
    stored: Mapping[str, list[StoredMessage]],
    buffer: RowBuffer,
    flush: Flush,
) -> None:
    """Replace only the rows of these completions; the rows of their messages stay."""
    replaced, alone = flush.replaced[partition], flush.replaced_alone.setdefault(partition, set())
    counts = {name: (len(stored[name]), replaced[name].images) for name in kept}
    buffer.drop_messages(partition, counts)
    for name in kept:
        del replaced[name]
        alone.add(name)


def compare(before: list[StoredMessage], after: list[StoredMessage]) -> tuple[set[str], bool]:
    """Return the ids of stored messages that have not come again, and whether others have."""
    come = Counter((direction, _canonical(text)) for _, direction, text in after)
    lost: set[str] = set()
    for message_id, direction, text in before:
        key = (direction, _canonical(text))
        if come[key]:
            come[key] -= 1
        else:
            lost.add(message_id)
    return lost, come.total() > 0


def _redacted(text: str, redaction: Redaction | None) -> str:
    return text if redaction is None else redaction.message(text.encode()).text.decode()


def _canonical(text: str) -> bytes:
    """Return a message's JSON with sorted keys, or the text itself if it cannot be parsed."""
    try:
        return _SORTED.encode(msgspec.json.decode(text))
    except (msgspec.MsgspecError, RecursionError):
        return text.encode("utf-8", "replace")
