"""Long output through the user's pager, on a terminal."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Final, TextIO, cast

from chatlake.cli.output import say

_LESS: Final = "FRSX"  # ends on a short text, keeps colours, does not wrap, leaves the text


def show_lines(lines: Iterable[str]) -> None:
    """Write lines to standard output, or to the pager if they need more than one screen.

    The lines may have colours; the caller has escaped every other terminal code.
    """
    text = list(lines)
    columns, rows = shutil.get_terminal_size()
    taken = sum(1 + max(0, len(line) - 1) // columns for line in text)
    if taken < rows or not (sys.stdin.isatty() and sys.stdout.isatty()):
        say("\n".join(text))
        return
    with paged_output(options="FRX") as stream:
        stream.write("\n".join(text) + "\n")


@contextmanager
def paged_output(options: str = _LESS) -> Iterator[TextIO]:
    """Yield a stream to `$PAGER` or `less`, or standard output if there is no pager.

    If the reader quits early, the block ends silently. `options`: what `less` does, unless the user
    has set `LESS`.
    """
    command = _pager()
    if command is None:
        yield sys.stdout
        return
    environment = {**os.environ, "LESS": os.environ.get("LESS", options)}
    sys.stdout.flush()
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as process:  # noqa: S603 - the user's own $PAGER
        stream = io.TextIOWrapper(
            cast("IO[bytes]", process.stdin), encoding="utf-8", errors="backslashreplace"
        )
        try:
            with suppress(BrokenPipeError):
                yield stream
        finally:
            with suppress(BrokenPipeError):
                stream.close()
            _wait(process)


def _pager() -> list[str] | None:
    if os.environ.get("TERM", "dumb") == "dumb":  # no pager can work there
        return None
    words = shlex.split(os.environ.get("PAGER", "less"))
    return words if words and shutil.which(words[0]) else None


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Wait for the pager, which handles Ctrl-C itself."""
    while True:
        try:
            process.wait()
        except KeyboardInterrupt:
            continue
        return
