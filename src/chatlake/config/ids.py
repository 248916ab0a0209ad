"""Lists of completion ids, one a line, as `--ids-file` and `select.ids_file` take them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chatlake.errors import ConfigurationError, UsageError

LONGEST_ID = 512
ID_PATTERN = rf"^[^\x00-\x1f\x7f]{{1,{LONGEST_ID}}}$"
_ID = re.compile(ID_PATTERN)
_HEADERS = ("id", "completion_id")


@dataclass(frozen=True, slots=True)
class IdList:
    """Completion ids in the order of their first mention, and how often one came again."""

    ids: tuple[str, ...]
    duplicates: int = 0


def unique_ids(ids: Iterable[str]) -> IdList:
    """`ids` with every later mention of the same id dropped and counted."""
    found: dict[str, None] = {}
    count = 0
    for completion_id in ids:
        found[completion_id] = None
        count += 1
    return IdList(tuple(found), count - len(found))


def is_id(text: str) -> bool:
    """Whether `text` can be a completion id: servers choose freely, but no control characters."""
    return _ID.fullmatch(text) is not None and text.isprintable()


def parse_ids(
    lines: Iterable[str],
    *,
    name: str = "standard input",
    error: type[UsageError | ConfigurationError] = UsageError,
) -> IdList:
    """The ids in `lines`, one each.

    Blank lines, `#` comments, a byte order mark, whitespace and quotes around an id, and a
    first line `id` or `completion_id` (the heading of a CSV file) are passed over; an empty list is
    allowed. Raises `error`, naming `name` and the line, for anything that is not one id.
    """
    return unique_ids(_read(lines, name, error))


def read_ids(path: Path, *, error: type[UsageError | ConfigurationError] = UsageError) -> IdList:
    """The ids in the UTF-8 file `path`; raises `error` as `parse_ids` and if it is unreadable."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            return parse_ids(lines, name=str(path), error=error)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise error(f"{path}: the list of ids cannot be read: {reason}", hint="") from None


def _read(
    lines: Iterable[str], name: str, error: type[UsageError | ConfigurationError]
) -> Iterable[str]:
    hint = "Give a text file with one completion id a line."
    first = True  # of the lines that hold something
    try:
        for number, line in enumerate(lines, 1):
            text = line.removeprefix("\ufeff").strip()
            if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
                text = text[1:-1].strip()
            if not text or text.startswith("#"):
                continue
            if not is_id(text) or (first and text[0] in "{["):  # JSON is a likely mistake
                shown = ascii(text[:40])
                raise error(f"{name}:{number}: expected one completion id, got {shown}", hint=hint)
            if not (first and text in _HEADERS):
                yield text
            first = False
    except UnicodeDecodeError:
        raise error(f"{name}: not a list of ids: it is not UTF-8 text", hint=hint) from None
