"""Lists of completion ids, one per line, as `--ids-file` and `select.ids_file` take them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TextIO

from chatlake.errors import ConfigurationError, UsageError

LONGEST_ID = 512
LONGEST_LINE = 4096
LARGEST_FILE = 128 << 20
_OPEN_PIPES = re.compile(r"/dev/(fd/[0-9]+|stdin)|/proc/(self|[0-9]+)/fd/[0-9]+")
_HINT = "Give a text file with one completion id per line."
ID_PATTERN = rf"^[^\x00-\x1f\x7f]{{1,{LONGEST_ID}}}$"
_ID = re.compile(ID_PATTERN)
_HEADERS = ("id", "completion_id")


_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder, not a file"),
    (stat.S_ISFIFO, "a FIFO, not a file"),
    (stat.S_ISCHR, "a device, not a file"),
    (stat.S_ISBLK, "a device, not a file"),
)


@dataclass(frozen=True, slots=True)
class IdList:
    """Completion ids in the order of their first mention, and the number of duplicates."""

    ids: tuple[str, ...]
    duplicates: int = 0


def unique_ids(ids: Iterable[str]) -> IdList:
    """`ids` with every later mention of the same id dropped and counted."""
    found: dict[str, None] = {}
    total = 0
    for completion_id in ids:
        found[completion_id] = None
        total += 1
    return IdList(tuple(found), total - len(found))


def is_id(text: str) -> bool:
    """Whether `text` can be a completion id: 1 to 512 printable characters."""
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
        with _open(path, error) as file:
            return parse_ids(
                lines_of(file, name=str(path), error=error), name=str(path), error=error
            )
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise error(f"{path}: the list of ids cannot be read: {reason}", hint="") from None


def lines_of(
    file: TextIO,
    *,
    name: str = "standard input",
    error: type[UsageError | ConfigurationError] = UsageError,
) -> Iterator[str]:
    """The lines of an open file.

    Raises `error` if a line or the whole file is too large for a list. Only one line is in memory
    at a time.
    """
    left = LARGEST_FILE
    for number in count(1):
        line = file.readline(LONGEST_LINE + 1)
        if not line:
            return
        if len(line) > LONGEST_LINE:
            raise error(
                f"{name}:{number}: the line is longer than {LONGEST_LINE} characters", hint=_HINT
            )
        left -= len(line)
        if left < 0:
            raise error(
                f"{name}: the list of ids is larger than {LARGEST_FILE >> 20} MiB",
                hint="Split it, and run a backup for each part.",
            )
        yield line


def _open(path: Path, error: type[UsageError | ConfigurationError]) -> TextIO:
    """Open a list of ids without waiting for the writer of a FIFO; raises `error` for devices."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    is_pipe = stat.S_ISFIFO(mode) and _OPEN_PIPES.fullmatch(str(path)) is not None
    if not (stat.S_ISREG(mode) or is_pipe):
        os.close(descriptor)
        kind = next((word for is_kind, word in _KINDS if is_kind(mode)), "not a regular file")
        raise error(f"{path}: the list of ids is {kind}", hint=_HINT)
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, encoding="utf-8-sig")


def _read(
    lines: Iterable[str], name: str, error: type[UsageError | ConfigurationError]
) -> Iterable[str]:
    first = True  # of the lines that are not empty
    try:
        for number, line in enumerate(lines, 1):
            text = line.removeprefix("\ufeff").strip()
            if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
                text = text[1:-1].strip()
            if not text or text.startswith("#"):
                continue
            if not is_id(text) or (first and text[0] in "{["):  # JSON is a likely mistake
                shown = ascii(text[:40])
                raise error(f"{name}:{number}: expected one completion id, got {shown}", hint=_HINT)
            if not (first and text in _HEADERS):
                yield text
            first = False
    except UnicodeDecodeError:
        raise error(f"{name}: not a list of ids: it is not UTF-8 text", hint=_HINT) from None
