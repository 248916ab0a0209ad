"""What a run logs while it is running."""

from __future__ import annotations

import logging
import time

from chatlake.backup.ports import SilentObserver
from chatlake.model.manifest import Manifest, SourceRun

logger = logging.getLogger("chatlake.flows")

LOG_SECONDS = 10.0
LONG_WAIT_SECONDS = 5.0


class LogObserver(SilentObserver):
    """Logs each source's start, and its figures every `LOG_SECONDS` while commits continue."""

    def __init__(self) -> None:
        self._logged_at = time.monotonic()
        self._fraction: float | None = None

    def source_started(self, source: str, mode: str) -> None:
        """Log that the source begins."""
        what = "the given completions" if mode == "ids" else f"{mode} backup"
        logger.info("%s: %s begins", source, what)
        self._logged_at = time.monotonic()
        self._fraction = None

    def progressed(
        self,
        source: str,  # noqa: ARG002
        run: SourceRun,  # noqa: ARG002
        fraction: float | None = None,
    ) -> None:
        """Keep the fraction for the next commit's line."""
        if fraction is not None:
            self._fraction = fraction

    def waiting(self, source: str, seconds: float, why: str) -> None:
        """Log a long wait."""
        if seconds >= LONG_WAIT_SECONDS:
            logger.info("%s: waiting %.0f s (%s)", source, seconds, why)

    def committed(self, manifest: Manifest) -> None:
        """Log the figures, now and then."""
        now = time.monotonic()
        if now - self._logged_at < LOG_SECONDS:
            return
        self._logged_at = now
        for run in manifest.runs:
            done = "" if self._fraction is None else f", {self._fraction:.0%} of the list"
            logger.info(
                "%s: commit %d: %s%s, %s messages",
                run.source,
                manifest.number,
                counts(run),
                done,
                f"{run.messages:,}",
            )


def counts(run: SourceRun) -> str:
    """The figures of a run in a few words: `150 new, 3 unchanged, 0 failed`."""
    optional = [
        f"{number:,} {word}"
        for word, number in (
            ("changed", run.changed),
            ("unchanged", run.unchanged),
            ("deleted", run.deleted),
        )
        if number
    ]
    return ", ".join([f"{run.new:,} new", *optional, f"{run.failed:,} failed"])
