"""What an export did: `selected` = `written` + the sum of `skipped`."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from chatlake import __version__
from chatlake.exports.destination import is_stream, open_export

SUFFIX = ".report.json"


class SkippedError(Exception):
    """A completion, or a reply, that an export leaves out; `reason` is a word for programs."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class ExportReport:
    """The figures of one export.

    `selected` counts completions; with `--choice all` it counts replies. `files` are the files
    written: path from the report's folder, bytes, SHA-256, and lines or rows if it has any.
    `warnings` are sentences for people. `more` are figures of a single format.
    """

    format: str
    commit: int
    options: dict[str, Any] = field(default_factory=dict)
    selected: int = 0
    written: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    files: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)

    def wrote(self) -> None:
        """Count what was selected and written."""
        self.selected += 1
        self.written += 1

    def skip(self, reason: str) -> None:
        """Count what was selected and left out."""
        self.selected += 1
        self.skipped[reason] += 1

    def document(self) -> dict[str, Any]:
        """Return the report as JSON values: the same export gives the same ones."""
        return {
            "format": self.format,
            "chatlake": __version__,
            "commit": self.commit,
            "options": self.options,
            "selected": self.selected,
            "written": self.written,
            "skipped": dict(sorted(self.skipped.items())),
            **self.more,
            "files": self.files,
            "warnings": self.warnings,
        }

    def write_beside(self, output: str | os.PathLike[str] | None) -> None:
        """Write the report beside an output; nothing is written for a stream."""
        if output is None or is_stream(output):
            return
        text = json.dumps(self.document(), ensure_ascii=False, indent=2)
        with open_export(report_path(output), is_json=True) as file:
            file.write(text.encode("utf-8", "replace") + b"\n")


def report_path(output: str | os.PathLike[str]) -> Path:
    """Return where the report of an output is: `<output>.report.json`."""
    path = Path(output)
    return path.parent / (path.name + SUFFIX)


class CountedFile:
    """A file to write lines to that counts and hashes them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self.bytes = 0
        self.lines = 0

    def write(self, line: bytes) -> None:
        """Write one line, its line break included."""
        self._sha256.update(line)
        self.bytes += len(line)
        self.lines += 1
        self._file.write(line)

    def entry(self, path: str, **more: Any) -> dict[str, Any]:
        """Return what the report says of it."""
        return {
            "path": path,
            **more,
            "lines": self.lines,
            "bytes": self.bytes,
            "sha256": self._sha256.hexdigest(),
        }


def as_line(value: Any) -> bytes:
    """Return a value as a line of JSON in UTF-8; ValueError for numbers that JSON does not have."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"
