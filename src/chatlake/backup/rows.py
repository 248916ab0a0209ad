"""Rows waiting to be written, by table and partition."""

from __future__ import annotations

from collections.abc import Container, Mapping

from chatlake.backup.lake_port import Columns, StoredMessage
from chatlake.model.flatten import FlatCompletion, Row
from chatlake.model.image_references import EmbeddedImage
from chatlake.model.partitions import Partition
from chatlake.model.tables import COLUMNS, COMPLETIONS, CONTENT_PARTS, IMAGES, MESSAGES

_OWNER, _NAME, _DIRECTION, _RAW, _EXACT = (
    COLUMNS[MESSAGES].index(name)
    for name in ("completion_id", "message_id", "direction", "raw", "raw_exact")
)
_MESSAGE_COUNT = COLUMNS[COMPLETIONS].index("message_count")
_IMAGE_COUNT = COLUMNS[COMPLETIONS].index("image_count")
_ROW_BYTES = 700  # measured: a tuple of some 20 values, without their texts


class RowBuffer:
    """Collects flattened completions; `bytes` is about how much memory they take.

    `keep_images`: whether the bytes of embedded images are kept, or only their hashes.
    """

    def __init__(self, *, keep_images: bool) -> None:
        self.bytes = 0
        self._keep_images = keep_images
        self._rows: dict[tuple[str, Partition], list[Row]] = {}
        self._images: dict[Partition, dict[str, EmbeddedImage]] = {}

    def __bool__(self) -> bool:
        return bool(self._rows)

    def add(self, partition: Partition, flat: FlatCompletion) -> None:
        """Take in the rows of one completion."""
        rows = 1 + len(flat.messages) + len(flat.content_parts)
        self.bytes += flat.text_bytes + _ROW_BYTES * rows
        self._extend(COMPLETIONS, partition, [flat.completion])
        self._extend(MESSAGES, partition, flat.messages)
        self._extend(CONTENT_PARTS, partition, flat.content_parts)
        if self._keep_images and flat.images:
            waiting = self._images.setdefault(partition, {})
            for sha256, image in flat.images.items():
                if sha256 not in waiting:
                    waiting[sha256] = image
                    self.bytes += 4 * len(image.data)  # decoding and writing copy them

    def take_over(self, other: RowBuffer) -> None:
        """Take in the rows of another buffer, which has other partitions and is not used again."""
        self.bytes += other.bytes
        self._rows |= other._rows
        self._images |= other._images

    def messages(
        self, partition: Partition, completion_ids: Container[str]
    ) -> dict[str, list[StoredMessage]]:
        """Return the waiting messages of these completions, by completion id."""
        found: dict[str, list[StoredMessage]] = {}
        for row in self._rows.get((MESSAGES, partition), ()):
            if row[_OWNER] in completion_ids:
                text = row[_RAW] if row[_EXACT] is None else row[_EXACT]
                found.setdefault(row[_OWNER], []).append((row[_NAME], row[_DIRECTION], text))
        return found

    def drop_messages(
        self, partition: Partition, counts: Mapping[str, tuple[int, int | None]]
    ) -> None:
        """Drop the messages of completions whose stored ones stay.

        `counts`: completion id -> how many messages and image parts the lake holds.
        """
        for table in (MESSAGES, CONTENT_PARTS):
            rows = self._rows.get((table, partition), [])
            rows[:] = [row for row in rows if row[_OWNER] not in counts]
        rows = self._rows[COMPLETIONS, partition]
        for place, row in enumerate(rows):
            if row[0] in counts:
                values = list(row)
                values[_MESSAGE_COUNT], values[_IMAGE_COUNT] = counts[row[0]]
                rows[place] = tuple(values)

    def images(self) -> dict[Partition, dict[str, EmbeddedImage]]:
        """Return the images that wait, by partition and SHA-256."""
        return self._images

    def columns(self) -> dict[tuple[str, Partition], Columns]:
        """Return all rows as columns, those of the images included."""
        for partition, images in self._images.items():
            rows = [
                (image.sha256, image.media_type, len(image.data), *image.size(), image.data)
                for image in images.values()
            ]
            self._extend(IMAGES, partition, rows)
        self._images = {}
        return {key: columns_of(key[0], rows) for key, rows in self._rows.items() if rows}

    def _extend(self, table: str, partition: Partition, rows: list[Row]) -> None:
        if rows:
            self._rows.setdefault((table, partition), []).extend(rows)


def columns_of(table: str, rows: list[Row]) -> Columns:
    """Turn rows of a table into its columns."""
    return dict(zip(COLUMNS[table], map(list, zip(*rows, strict=True)), strict=True))
