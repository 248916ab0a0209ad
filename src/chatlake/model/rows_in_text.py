"""The rows of a page that no JSON reader accepts whole.

One row with a NaN, a byte that is not UTF-8 or a hundred thousand brackets makes every strict
reader refuse the page around it. Strings and brackets still tell where each row begins and ends.
That is enough to read the other rows one by one.
"""

from __future__ import annotations

import re

from chatlake.errors import InvalidResponseError

_MARKS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]', re.DOTALL)
_PLAIN_STRING = re.compile(rb'"([!#-\[\]-~]{1,200})"')
_OPEN, _CLOSE = frozenset({b"[", b"{"}), frozenset({b"]", b"}"})


def split_rows(body: bytes) -> tuple[list[bytes], bytes]:
    """Return the texts of the rows in the page's `data`, and the page with an empty `data`.

    InvalidResponseError where the text is no object with an array `data`, or is cut.
    """
    depth, key, last_string, within = 0, b"", b"", False
    rows: list[bytes] = []
    row_start = data_start = data_end = -1
    for mark in _MARKS.finditer(body):
        token = mark.group()
        if token in _OPEN:
            depth += 1
            if depth == 2 and token == b"[" and key == b'"data"' and data_end < 0:
                within, data_start = True, mark.end()
                row_start = mark.end()
        elif token in _CLOSE:
            depth -= 1
            if within and depth == 1:
                within, data_end = False, mark.start()
                _take(rows, body[row_start:data_end])
        elif token == b"," and within and depth == 2:
            _take(rows, body[row_start : mark.start()])
            row_start = mark.end()
        elif depth == 1 and token[:1] == b'"':
            last_string = token
        elif depth == 1 and token == b":":
            key = last_string
    if data_end < 0 or depth != 0:
        raise InvalidResponseError(
            f"the response is not a list: {body[:80].decode('utf-8', 'replace')!r}"
        )
    return rows, body[:data_start] + body[data_end:]


def readable_id(row: bytes) -> str | None:
    """Return the `id` of a malformed row; None where it has none that can be read."""
    depth, key, last_string = 0, b"", b""
    for mark in _MARKS.finditer(row):
        token = mark.group()
        if token in _OPEN:
            depth += 1
        elif token in _CLOSE:
            depth -= 1
        elif depth == 1 and token == b":":
            key = last_string
        elif depth == 1 and token == b",":
            key = b""
        elif depth == 1 and token[:1] == b'"':
            found = _PLAIN_STRING.fullmatch(token)
            if key == b'"id"' and found is not None:
                return found.group(1).decode()
            last_string = token
    return None


def _take(rows: list[bytes], text: bytes) -> None:
    if text.strip():
        rows.append(text.strip())
