"""A run's log on its standard error, which may end before the run does.

A worker reads what its runs print. When it is killed, the next line of the log breaks a pipe. Rich,
which prints for Prefect, then raises SystemExit in the thread that logged. The event loop of the
backup would end silently, and the run would wait for it forever while it holds the lock of the
lake. So such lines are dropped.
"""

from __future__ import annotations

import contextlib
import io
import logging
from typing import IO, TextIO, cast

from prefect.logging.handlers import PrefectConsoleHandler


class Outlived(io.TextIOBase):
    """Writes to a stream for as long as it has a reader; then drops the text."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str, /) -> int:
        """Write the text, or drop it; returns its length."""
        with contextlib.suppress(BrokenPipeError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what was written, if there is a reader."""
        with contextlib.suppress(BrokenPipeError):
            self._stream.flush()

    def isatty(self) -> bool:
        """Say whether it is a terminal, for the colours."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the stream's descriptor."""
        return self._stream.fileno()


def outlive_console() -> None:
    """Keep Prefect's handlers from ending this process's threads when the reader has gone."""
    names = list(logging.root.manager.loggerDict)
    for logger in (logging.getLogger(), *map(logging.getLogger, names)):
        for handler in logger.handlers:
            if not isinstance(handler, PrefectConsoleHandler):
                continue
            if not isinstance(handler.console.file, Outlived):
                handler.console.file = cast("TextIO", Outlived(handler.console.file))
