"""`export html`: conversations as pages without scripts, in one file or one for each."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from chatlake.exports.destination import is_stream, open_export
from chatlake.exports.folders import entries, open_folder, write_file
from chatlake.exports.html_page import FOOT, article, head, index_entry
from chatlake.exports.markdown import Names, unreadable_reason
from chatlake.exports.narrowing import Selection, chosen
from chatlake.exports.report import CountedFile, ExportReport
from chatlake.exports.stored import Stored, read_stored
from chatlake.lake.lake import Lake

_ENDINGS: Final = frozenset({".html", ".htm"})


def export_html(
    lake: Lake, output: str | os.PathLike[str], selection: Selection | None = None
) -> ExportReport:
    """Write one page where `output` ends in `.html` or is a stream, else a folder with a page each.

    UsageError for a bad condition or path, LakeDamagedError for a damaged lake.
    """
    selection = selection or Selection()
    report = ExportReport("html", lake.state.number, selection.as_options())
    if is_stream(output) or Path(output).suffix.lower() in _ENDINGS:
        _write_one(lake, output, selection, report)
    else:
        _write_each(lake, output, selection, report)
    report.write_beside(output)
    return report


def _write_one(
    lake: Lake, output: str | os.PathLike[str], selection: Selection, report: ExportReport
) -> None:
    with (
        chosen(lake, selection) as connection,
        open_export(output, is_json=False) as opened,
    ):
        file = CountedFile(opened)
        file.write(_bytes(head("Chat completions")))

        def write(stored: Stored) -> None:
            file.write(_bytes(article(stored)))

        for stored in read_stored(lake, connection):
            _take(stored, report, write)
        file.write(_bytes(FOOT.format(count=report.written)))
    entry = file.entry(Path(output).name)
    del entry["lines"]
    report.files.add(entry)


def _write_each(
    lake: Lake, output: str | os.PathLike[str], selection: Selection, report: ExportReport
) -> None:
    with chosen(lake, selection) as connection, open_folder(output) as folder:
        names = Names(".html")
        index = folder / "index.html"
        write_file(index, b"")
        with index.open("wb") as file:
            file.write(_bytes(head("Chat completions") + "<ol class=list>\n"))

            def write(stored: Stored) -> None:
                path = names.path_of(stored)
                text = head(stored.completion_id) + article(stored) + FOOT.format(count=1)
                write_file(folder / path, _bytes(text))
                file.write(_bytes(index_entry(stored, path)))

            for stored in read_stored(lake, connection):
                _take(stored, report, write)
            file.write(_bytes("</ol>\n" + FOOT.format(count=report.written)))
        report.files.add_all(entries(folder))


def _take(stored: Stored, report: ExportReport, write: Callable[[Stored], None]) -> None:
    if reason := unreadable_reason(stored):
        report.skip(reason)
        return
    write(stored)
    report.wrote()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
