"""The rows of a page that no JSON reader accepts as a whole.

One row with a NaN, a byte that is not UTF-8 or a hundred thousand brackets makes every strict
reader refuse the page around it. Strings and brackets still tell where each row begins and ends.
That is enough to read the other rows one by one.
"""

from __future__ import annotations

import re

from chatlake.errors import InvalidResponseError
from chatlake.model.json_marks import CLOSE, OPEN, marks_of
from chatlake.model.json_text import quoted_start

_PLAIN_STRING = re.compile(rb'"([!#-\[\]-~]{1,200})"')
_MOST_MARKS = 5_000_000  # in a page: some seconds of work


def split_rows(body: bytes) -> tuple[list[bytes], bytes]:
    """Return the texts of the rows in the page's `data`, and the page with an empty `data`.

    InvalidResponseError if the text is not an object with an array `data`, is cut, or would take
    long to take apart.
    """
    key, last_string, within, is_whole = b"", b"", False, False
    rows: list[bytes] = []
    row_start = data_start = data_end = -1
    for number, (token, start, end, depth) in enumerate(marks_of(body)):
        if number >= _MOST_MARKS:
            raise InvalidResponseError("the page cannot be read, and is too long to split")
        if depth == 1 and token == b"[" and key == b'"data"' and data_end < 0 and not within:
            within, data_start = True, end
            row_start = end
        elif depth == 1 and within and token in CLOSE:
            within, data_end = False, start
            _take(rows, body[row_start:data_end])
        elif token == b"," and within and depth == 2:
            _take(rows, body[row_start:start])
            row_start = end
        elif depth == 1 and token[:1] == b'"':
            last_string = token
        elif depth == 1 and token == b":":
            key = last_string
        is_whole = depth == 0 and token in CLOSE
    if data_end < 0 or not is_whole:
        raise InvalidResponseError(f"the response is not a list{quoted_start(body)}")
    return rows, body[:data_start] + body[data_end:]


def readable_id(row: bytes) -> str | None:
    """Return the `id` of a malformed row; None if it has none that can be read."""
    key, last_string = b"", b""
    for token, _, _, depth in marks_of(row):
        if depth != 1 or token in OPEN or token in CLOSE:
            continue
        if token == b":":
            key = last_string
        elif token == b",":
            key = b""
        else:
            found = _PLAIN_STRING.fullmatch(token)
            if key == b'"id"' and found is not None:
                return found.group(1).decode()
            last_string = token
    return None


def _take(rows: list[bytes], text: bytes) -> None:
    if text.strip():
        rows.append(text.strip())
