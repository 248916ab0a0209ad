"""`export raw`: every completion with its messages, as the API sent them, one per line."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from chatlake.exports.conversations import Conversation, MissingMessages, read_conversations
from chatlake.exports.destination import open_export
from chatlake.exports.narrowing import Selection, chosen
from chatlake.exports.report import ExportReport
from chatlake.exports.selection import reading
from chatlake.exports.stored_images import StoredImages
from chatlake.lake.lake import Lake
from chatlake.model.image_references import restore_references
from chatlake.model.partitions import Partition


@dataclass(slots=True)
class RawExportReport:
    """What was written: completions, those of them without messages, bytes.

    Messages are left out if they could not be fetched, or if any were lost with a file.
    `without_completion`: those of which a lost file left only the messages. `missing_images`:
    embedded images of which the lake keeps only the hash (`images: reference`); the output has
    their references. `redacted_sources`: the lake's sources that runs have redacted. `sha256`: of
    the bytes written.
    """

    completions: int = 0
    without_messages: int = 0
    bytes: int = 0
    missing_images: int = 0
    without_completion: int = 0
    redacted_sources: list[str] = field(default_factory=list)
    sha256: str = field(default="", compare=False)

    def as_export(
        self, commit: int, selection: Selection, output: str | os.PathLike[str]
    ) -> ExportReport:
        """Write the report beside the output, as every export has one, and return it.

        Everything selected is written; what is incomplete is also counted.
        """
        lines = {"lines": self.completions, "bytes": self.bytes, "sha256": self.sha256}
        report = ExportReport(
            "raw",
            commit,
            selection.as_options(),
            selected=self.completions,
            written=self.completions,
            more={
                "completions": self.completions,
                "bytes": self.bytes,
                "without_messages": self.without_messages,
                "without_completion": self.without_completion,
                "missing_images": self.missing_images,
            }
            | ({"redacted_sources": self.redacted_sources} if self.redacted_sources else {}),
        )
        report.files.add({"path": Path(output).name, **lines})
        report.write_beside(output)
        return report


def export_raw(
    lake: Lake,
    output: str | os.PathLike[str] | None,
    *,
    where: str | None = None,
    sources: Sequence[str] | None = None,
    selection: Selection | None = None,
) -> RawExportReport:
    """Write JSON Lines, oldest first: `{"completion": {…}, "messages": […]}`, as the API sent them.

    `messages` is null where they could not be fetched yet. If a file was lost and the source no
    longer has its content, either of the two may be null. `output`: a path, or None or `-` for
    standard output; see `open_export`. `where`: a condition on the view `completions`; `sources`:
    only of these; `selection` instead of both says more. UsageError for a bad condition or path,
    LakeDamagedError for a damaged lake.
    """
    if selection is None:
        selection = Selection(where=where, sources=None if sources is None else tuple(sources))
    with (
        chosen(lake, selection) as connection,
        open_export(output, is_json=True) as file,
    ):
        export = _RawExport(lake, file)
        export.report.redacted_sources = sorted(
            {run.source for run in lake.state.runs.values() if run.redaction}
        )
        with reading(lake):
            for conversation in read_conversations(lake, connection):
                export.write(conversation)
        return export.finished()


class _RawExport:
    def __init__(self, lake: Lake, file: BinaryIO) -> None:
        self.report = RawExportReport()
        self._file = file
        self._sha256 = hashlib.sha256()
        self._missing = MissingMessages(lake)
        self._images = StoredImages(lake)

    def finished(self) -> RawExportReport:
        """Return the report, when all is written."""
        self.report.sha256 = self._sha256.hexdigest()
        return self.report

    def write(self, conversation: Conversation) -> None:
        """Write one line."""
        self._write(b'{"completion": ')
        if conversation.raw is None:
            self._write(b"null")
            self.report.without_completion += 1
        else:
            self._write_sent(conversation.raw, conversation.partition)
        self._write(b', "messages": ')
        if self._missing.of(conversation):
            self._write(b"null")
            self.report.without_messages += 1
        else:
            self._write_messages(conversation)
        self._write(b"}\n")
        self.report.completions += 1

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
        # Line breaks can only be outside strings, where they mean no more than a space.
        self._write(sent.replace(b"\r", b" ").replace(b"\n", b" "))

    def _write(self, data: bytes) -> None:
        self._sha256.update(data)
        self.report.bytes += self._file.write(data)
