"""`export raw`: every completion with its messages, as the API sent them, one JSON a line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from chatlake.backup.ports import StoredVersion
from chatlake.errors import LakeDamagedError
from chatlake.exports.conversations import Conversation, read_conversations
from chatlake.exports.output import open_export
from chatlake.exports.selection import reading, selected
from chatlake.exports.stored_images import StoredImages
from chatlake.lake.lake import Lake
from chatlake.model.image_references import restore_references
from chatlake.model.partitions import Partition


@dataclass(slots=True)
class RawExportReport:
    """What was written: completions, those of them without messages, bytes.

    Messages are left out where they could not be fetched, or even a few were lost with a file.
    `without_completion`: those of which a lost file left the messages alone. `missing_images`:
    embedded images of which the lake keeps only the hash (`images: reference`); their references
    stand in the output.
    """

    completions: int = 0
    without_messages: int = 0
    bytes: int = 0
    missing_images: int = 0
    without_completion: int = 0


def export_raw(
    lake: Lake,
    output: str | os.PathLike[str] | None,
    *,
    where: str | None = None,
    sources: Sequence[str] | None = None,
) -> RawExportReport:
    """Write JSON Lines, oldest first: `{"completion": {…}, "messages": […]}`, as the API sent them.

    `messages` is null where they could not be fetched yet. Where a file was lost and the source no
    longer has what was in it, either may be null, and the other stands there all the same.
    `output`: a path, or None or `-` for standard output; see `open_export`. `where`: a condition on
    the view `completions`; `sources`: only of these. UsageError for a bad condition or path,
    LakeDamagedError for a damaged lake.
    """
    with (
        selected(lake, where=where, sources=sources) as connection,
        open_export(output, is_json=True) as file,
    ):
        export = _RawExport(lake, file)
        with reading(lake):
            for conversation in read_conversations(lake, connection):
                export.write(conversation)
        return export.report


class _RawExport:
    def __init__(self, lake: Lake, file: BinaryIO) -> None:
        self.report = RawExportReport()
        self._file = file
        self._lake = lake
        self._versions_of: Partition | None = None
        self._versions: dict[str, StoredVersion] = {}
        self._images = StoredImages(lake)

    def write(self, conversation: Conversation) -> None:
        """Write one line."""
        self._write(b'{"completion": ')
        if conversation.raw is None:
            self._write(b"null")
            self.report.without_completion += 1
        else:
            self._write_sent(conversation.raw, conversation.partition)
        self._write(b', "messages": ')
        if self._lacks_messages(conversation):
            self._write(b"null")
            self.report.without_messages += 1
        else:
            self._write_messages(conversation)
        self._write(b"}\n")
        self.report.completions += 1

    def _lacks_messages(self, conversation: Conversation) -> bool:
        """Whether messages are known to be missing; LakeDamagedError if no failure explains it."""
        count = conversation.message_count
        if conversation.raw is None:
            return not conversation.held
        if count == conversation.held:
            return False
        if count is not None and not self._is_incomplete(conversation):
            raise LakeDamagedError(
                f"completion {conversation.completion_id} of {conversation.partition.source} has "
                f"{count} messages, of which the lake holds {conversation.held}"
            )
        return True

    def _is_incomplete(self, conversation: Conversation) -> bool:
        """Whether a file with its messages was lost, and the source may no longer have them."""
        if self._versions_of != conversation.partition:
            self._versions_of = conversation.partition
            self._versions = self._lake.stored_versions(conversation.partition)
        return self._versions[conversation.completion_id].digest is None

    def _write_messages(self, conversation: Conversation) -> None:
        separator = b""
        self._write(b"[")
        for sent in conversation.messages:
            if sent is not None:
                self._write(separator)
                self._write_sent(sent, conversation.partition)
                separator = b", "
        self._write(b"]")

    def _write_sent(self, text: str, partition: Partition) -> None:
        def load(sha256: str) -> bytes | None:
            data = self._images.load(partition, sha256)
            self.report.missing_images += data is None
            return data

        sent = restore_references(text.encode(), load)
        # Outside strings, where alone it may stand, a line break means as little as a space.
        self._write(sent.replace(b"\r", b" ").replace(b"\n", b" "))

    def _write(self, data: bytes) -> None:
        self.report.bytes += self._file.write(data)
