"""Whether stored rows and derived rows agree, by columns and by rows.

JSON texts count as equal however they escape the mark of an image's reference.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from chatlake.lake.files.arrow import to_values
from chatlake.model.image_references import HIDDEN_MARK, MARK


def by_owner(rows: pa.Table) -> dict[str, list[dict[str, Any]]]:
    """Return completion id -> its rows as dictionaries, times as microseconds since 1970."""
    found: dict[str, list[dict[str, Any]]] = {}
    columns = [to_values(column) for column in rows.columns]
    for values in zip(*columns, strict=True):
        row = dict(zip(rows.column_names, values, strict=True))
        found.setdefault(row["completion_id"], []).append(row)
    return found


def has_mark(text: str) -> bool:
    """Say whether a stored text is not as it was sent.

    It contains the reference of an image, or a user's text that looks like one, escaped.
    """
    return MARK in text or HIDDEN_MARK in text


def same_text(one: str | None, other: str | None) -> bool:
    """Whether two JSON texts are equal, however they escape the mark of a reference."""
    if one is None or other is None or one == other:
        return one == other
    return _plain(one) == _plain(other)


def _plain(text: str) -> str:
    return text.replace(HIDDEN_MARK, MARK)


def tables_agree(one: pa.Table, other: pa.Table) -> bool:
    """Whether two tables have the same rows in the same order."""
    return one.num_rows == other.num_rows and all(
        _same(one[name], other[name]) for name in one.column_names
    )


def _same(one: pa.ChunkedArray[Any], other: pa.ChunkedArray[Any]) -> bool:
    if one.equals(other):
        return True
    one, other = _storage(one), _storage(other)
    if not pa.types.is_string(one.type):
        return False
    replaced = (pc.replace_substring(each, HIDDEN_MARK, MARK) for each in (one, other))
    return next(replaced).equals(next(replaced))


def _storage(column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    """Return JSON as its text."""
    is_json = isinstance(column.type, pa.BaseExtensionType)
    return column.cast(pa.string()) if is_json else column


def owners_that_differ(one: pa.Table, other: pa.Table) -> set[str]:
    """Return the completions whose rows are not the same in both tables."""
    stored, derived = by_owner(one), by_owner(other)
    texts = {name for name in one.column_names if pa.types.is_string(_storage(one[name]).type)}

    def agree(row: dict[str, Any], twin: dict[str, Any]) -> bool:
        return all(
            same_text(value, twin[name]) if name in texts else value == twin[name]
            for name, value in row.items()
        )

    found = set()
    for owner in stored.keys() | derived.keys():
        rows, twins = stored.get(owner, []), derived.get(owner, [])
        if len(rows) != len(twins) or not all(map(agree, rows, twins)):
            found.add(owner)
    return found
