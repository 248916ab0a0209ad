"""What an export did: `selected` = `written` + the sum of `skipped`.

An export may write a file for each completion. So the list of files is kept as text, about 150
bytes each, and written one after the other.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
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


class FilesWritten:
    """The files of an export: path from the report's folder, bytes, SHA-256, and other figures.

    `bytes`: the size of all of them.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._count = 0
        self._lines = bytearray()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(json.loads, io.BytesIO(self._lines))

    def add_all(self, files: Iterable[dict[str, Any]]) -> None:
        """Take in several files."""
        for file in files:
            self.add(file)

    def add(self, file: dict[str, Any]) -> None:
        """Take in a file."""
        self._lines += json.dumps(file).encode() + b"\n"
        self._count += 1
        self.bytes += file["bytes"]


@dataclass(slots=True)
class ExportReport:
    """The figures of one export.

    `selected` counts completions; with `--choice all` it counts replies. `warnings` are sentences
    for people. `more` are figures of a single format.
    """

    format: str
    commit: int
    options: dict[str, Any] = field(default_factory=dict)
    selected: int = 0
    written: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    files: FilesWritten = field(default_factory=FilesWritten)
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

    def document(self, *, ascii_only: bool = False, **first: Any) -> Iterator[str]:
        """Yield the report as the text of a JSON object; the same export gives the same one.

        `first`: members that come before its own.
        """
        members = {
            **first,
            "format": self.format,
            "chatlake": __version__,
            "commit": self.commit,
            "options": self.options,
            "selected": self.selected,
            "written": self.written,
            "skipped": dict(sorted(self.skipped.items())),
            **self.more,
        }

        def text_of(members: dict[str, Any]) -> str:
            text = json.dumps(members, ensure_ascii=ascii_only, indent=2)
            return text.removeprefix("{").removesuffix("\n}")

        yield "{" + text_of(members) + ',\n  "files": ['
        separator = "\n    "
        for file in self.files:
            yield separator + json.dumps(file, ensure_ascii=ascii_only)
            separator = ",\n    "
        yield "\n  ]," if len(self.files) else "],"
        yield text_of({"warnings": self.warnings}) + "\n}\n"

    def write_beside(self, output: str | os.PathLike[str] | None) -> None:
        """Write the report beside an output; nothing is written for a stream."""
        if output is None or is_stream(output):
            return
        with open_export(report_path(output), is_json=True) as file:
            for text in self.document():
                file.write(text.encode("utf-8", "replace"))


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
