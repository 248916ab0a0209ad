"""`export hf`: a folder that `datasets.load_dataset` loads."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from chatlake.exports.folders import entries, open_folder, write_file
from chatlake.exports.hf_rows import Shape, Style
from chatlake.exports.narrowing import Selection, chosen
from chatlake.exports.report import ExportReport, SkippedError
from chatlake.exports.stored import Json
from chatlake.exports.training_lines import (
    TrainingOptions,
    options_given,
    training_lines,
    warn_if_few,
)
from chatlake.lake.lake import Lake
from chatlake.model.counts import count

_ROWS_AT_ONCE: Final = 1000
_BYTES_AT_ONCE: Final = 32 << 20
_SHARD_BYTES: Final = 400 << 20
_IMAGES: Final = "SELECT coalesce(sum(image_count), 0) FROM completions SEMI JOIN selected USING \
(source, completion_id, created_date)"
_CARD: Final = """\
---
configs:
- config_name: default
  data_files:
{files}
---

# Chat completions

{conversations}, exported from stored chat completions by chatlake.

```python
from datasets import load_dataset

dataset = load_dataset("path/to/this/folder")
```

| column | meaning |
|---|---|
{columns}
"""
_MEANINGS: Final = {
    "id": "Id of the completion.",
    "messages": "The conversation with the reply as its last message.",
    "prompt": "The conversation before the reply.",
    "completion": "The reply.",
    "tools": "Tools that were offered, or null.",
    "images": "The images, in the order of the image parts.",
    "model": "Model that answered.",
    "created_at": "When the completion was created, UTC.",
    "finish_reason": "Why the reply ended.",
    "metadata": "The completion's metadata, as a JSON object in a string.",
}


def export_hf(
    lake: Lake,
    output: str | os.PathLike[str],
    selection: Selection | None = None,
    options: TrainingOptions | None = None,
    style: Style = "messages",
) -> ExportReport:
    """Write the folder: README.md and `data/{train,validation}-NNNNN.parquet`, a report beside.

    An image that is a link is skipped: a dataset contains bytes, and chatlake fetches no links.
    UsageError for a bad condition, option or path; LakeDamagedError for a damaged lake.
    """
    selection = selection or Selection()
    options = options or TrainingOptions()
    images = replace(options.rules.images, links=False)
    options = replace(options, rules=replace(options.rules, images=images, train_all=True))
    given = selection.as_options() | options_given(options) | {"style": style}
    given.pop("train")
    report = ExportReport("hf", lake.state.number, given)
    shape = Shape(style, with_images=images.images == "keep" and _has_images(lake, selection))
    sides = ("train", "validation")[: 1 if options.split is None else 2]
    with open_folder(output) as folder:
        (folder / "data").mkdir()
        with training_lines(lake, selection, options, report) as lines:
            files = {side: _Shards(folder / "data", side, shape) for side in sides}
            for line in lines:
                try:
                    row = shape.row(line)
                except SkippedError as skipped:
                    report.skip(skipped.reason)
                    continue
                files["train" if line.is_training else "validation"].add(row)
                report.wrote()
            for shards in files.values():
                shards.close()
        report.more["rows"] = {side: shards.rows for side, shards in files.items()}
        write_file(folder / "README.md", _card(shape, sides, report.written).encode())
        report.files.add_all(entries(folder))
    warn_if_few(report, files["train"].rows, "training row")
    report.write_beside(output)
    return report


def _has_images(lake: Lake, selection: Selection) -> bool:
    with chosen(lake, selection) as connection:
        (count,) = connection.execute(_IMAGES).fetchall()[0]
        return bool(count)


def _card(shape: Shape, sides: tuple[str, ...], written: int) -> str:
    files = "\n".join(f"  - split: {side}\n    path: data/{side}-*.parquet" for side in sides)
    columns = "\n".join(f"| `{name}` | {_MEANINGS[name]} |" for name in shape.features)
    return _CARD.format(files=files, conversations=count(written, "conversation"), columns=columns)


class _Shards:
    """The Parquet files of one split, in order; always at least one, even if it is empty."""

    def __init__(self, folder: Path, side: str, shape: Shape) -> None:
        self.rows = 0
        self._folder = folder
        self._side = side
        self._shape = shape
        self._waiting: list[Json] = []
        self._waiting_bytes = 0
        self._number = 0
        self._written = 0
        self._writer = self._open()

    def add(self, row: Json) -> None:
        self._waiting.append(row)
        self._waiting_bytes += _size(row)
        self.rows += 1
        if len(self._waiting) >= _ROWS_AT_ONCE or self._waiting_bytes >= _BYTES_AT_ONCE:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _open(self) -> pq.ParquetWriter:
        path = self._folder / f"{self._side}-{self._number:05d}.parquet"
        write_file(path, b"")
        return pq.ParquetWriter(path, self._shape.schema, compression="zstd")

    def _flush(self) -> None:
        if not self._waiting:
            return
        if self._written >= _SHARD_BYTES:
            self._writer.close()
            self._number += 1
            self._written = 0
            self._writer = self._open()
        self._writer.write_table(self._shape.table(self._waiting))
        self._written += self._waiting_bytes
        self._waiting, self._waiting_bytes = [], 0


def _size(row: Json) -> int:
    images = sum(len(image["bytes"]) for image in row.get("images", ()))
    return images + len(json.dumps({**row, "images": None}, default=str))
