"""`export images`: each embedded image once, and a table of where it is used. Links stay links."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from chatlake.exports.folders import entries, open_folder, write_file
from chatlake.exports.markdown import unreadable_reason
from chatlake.exports.narrowing import Selection, chosen
from chatlake.exports.readable import Block, kind_of, readable
from chatlake.exports.report import ExportReport
from chatlake.exports.stored import Stored, read_stored
from chatlake.lake.lake import Lake

COLUMNS: Final = (
    "sha256", "file", "media_type", "byte_size", "width", "height", "source", "completion_id",
    "created_at", "model", "message_index", "image_index", "role", "image_url",
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def export_images(
    lake: Lake, output: str | os.PathLike[str], selection: Selection | None = None
) -> ExportReport:
    """Write `<sha256>.<ext>` once for each image, and `index.csv` with a row for each use.

    A completion counts as written if the table has a row of it. A link is a row without a file;
    nothing is fetched. UsageError for a bad condition or path, LakeDamagedError for a damaged lake.
    """
    selection = selection or Selection()
    report = ExportReport("images", lake.state.number, selection.as_options())
    uses = links = 0
    with chosen(lake, selection) as connection, open_folder(output) as folder:
        index = folder / "index.csv"
        write_file(index, b"")
        with index.open("w", encoding="utf-8", errors="replace", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(COLUMNS)
            for stored in read_stored(lake, connection):
                if reason := unreadable_reason(stored):
                    report.skip(reason)
                    continue
                rows = [_row(stored, use, folder) for use in _uses(stored)]
                if not rows:
                    report.skip("no_image")
                    continue
                table.writerows(map(_harmless, rows))
                uses += len(rows)
                links += sum(row[0] is None for row in rows)
                report.wrote()
        report.files.add_all(entries(folder))
    report.more |= {"images": len(report.files) - 1, "uses": uses, "without_file": links}
    report.write_beside(output)
    return report


_Use = tuple[int, int, str, Block]


def _uses(stored: Stored) -> Iterator[_Use]:
    for place, message in enumerate(readable(stored)):
        shown = [block for block in message.blocks if block.kind in ("image", "link", "missing")]
        for number, block in enumerate(shown):
            yield place, number, message.role, block


def _row(stored: Stored, use: _Use, folder: Path) -> list[Any]:
    place, number, role, block = use
    common = [
        stored.source,
        stored.completion_id,
        stored.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        stored.completion.get("model"),
        place,
        number,
        role,
    ]
    if block.image is None:
        return [None] * 6 + [*common, block.text]
    image = block.image
    media_type, ending = kind_of(image.data) or (image.media_type, "bin")
    path = folder / f"{image.sha256}.{ending}"
    if not path.exists():
        write_file(path, image.data)
    width, height = image.size()
    return [image.sha256, path.name, media_type, len(image.data), width, height, *common, None]


def _harmless(row: list[Any]) -> list[Any]:
    """Return a row in which a spreadsheet reads no text as a formula."""
    return [
        f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
        for value in row
    ]
