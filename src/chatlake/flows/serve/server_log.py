"""The log of the Prefect server that `chatlake serve` starts: kept over restarts, and bounded.

What a server said before it died is of use after the restart, so the log is not emptied at a start.
The server writes to it by a descriptor of its own, in append mode. So a log that has grown too
large is copied to `.1`, and emptied under the server's hands; at most `KEPT` older parts stay.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

LARGEST: Final = 4 << 20
"""Bytes of a part of the log."""
KEPT: Final = 3


class ServerLog:
    """The log at `path`, and where in it the present server began."""

    def __init__(self, path: Path, *, largest: int = LARGEST) -> None:
        self.path = path
        self._largest = largest
        self._begun_at = 0

    def opened(self, what: str) -> IO[bytes]:
        """Open the log to append, after a dated line that says `what` begins. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.rotate()
        log = os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
        log.write(f"=== {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {what}\n".encode())
        log.flush()
        self._begun_at = os.fstat(log.fileno()).st_size
        return log

    def said(self) -> str:
        """Return what the present server has written since the last part began."""
        with self.path.open("rb") as log:
            if os.fstat(log.fileno()).st_size >= self._begun_at:
                log.seek(self._begun_at)
            return log.read().decode(errors="replace")

    def rotate(self) -> None:
        """Begin a new part if this one is too large; a disk that is full must not end the server.

        What is written between the copy and the truncation is lost: at most a few lines of 4 MiB.
        """
        with contextlib.suppress(OSError):
            if not self.path.exists() or self.path.stat().st_size <= self._largest:
                return
            for number in range(KEPT - 1, 0, -1):
                part = self._part(number)
                if part.exists():
                    part.replace(self._part(number + 1))
            private = os.open(self._part(1), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(private, "wb") as kept, self.path.open("rb") as log:
                shutil.copyfileobj(log, kept)
            os.truncate(self.path, 0)
            self._begun_at = 0

    def _part(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")
