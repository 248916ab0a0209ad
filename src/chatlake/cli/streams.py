"""The standard streams of this process: closed, full, or a pipe whose reader has ended.

The work of a command matters more than its messages. So a standard error that cannot be written is
ignored. A standard output that cannot be written ends a command whose work is its output. A command
that has done its work (a backup) warns in one line, and ends with the exit code of that work.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from chatlake.cli.output import warn

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class OutputLostError(OSError):
    """Standard output is closed, full or broken."""


class _Output(io.FileIO):
    """Standard output, whose errors can be told from errors elsewhere."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write bytes. BrokenPipeError if the reader has gone, else OutputLostError."""
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            why = "it is closed" if error.errno == errno.EBADF else error.strerror
            raise OutputLostError(error.errno, why) from error


class _Notes(io.FileIO):
    """Standard error; what cannot be written is dropped."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write bytes, or pretend to."""
        with suppress(OSError):
            return super().write(data)
        return memoryview(data).nbytes


def watch() -> None:
    """Replace the process's standard streams by ones that behave as this module says."""
    # Closed streams now have something to write to; Python had set them to None before.
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - for the whole process
    sys.stdout = _watched(_Output(1, "wb", closefd=False), sys.stdout)
    sys.stderr = _watched(_Notes(2, "wb", closefd=False), sys.stderr, each_line=True)


def _watched(raw: io.FileIO, before: TextIO | None, *, each_line: bool = False) -> TextIO:
    if before is not None:
        before.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding="utf-8" if before is None else before.encoding,
        errors="backslashreplace",
        line_buffering=each_line or raw.isatty(),
    )


def drop_output() -> None:
    """Discard what is still to be written to standard output."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def settle() -> None:
    """Flush standard output here, because the interpreter would end with its own code.

    If it fails, the command has already said so.
    """
    try:
        sys.stdout.flush()
    except OSError:
        drop_output()


@contextmanager
def after_the_work() -> Iterator[None]:
    """Show inside the block what was done; if it cannot be shown, that is not an error."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()
    except OutputLostError as error:
        drop_output()
        warn(f"cannot write to standard output: {error.strerror}. What was done is kept.")
