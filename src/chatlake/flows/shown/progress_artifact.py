"""A run's progress in Prefect: an artifact that is updated while commits continue."""

from __future__ import annotations

import contextvars
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from chatlake.flows.shown.observer import LogObserver, counts, logger
from chatlake.model.manifest import Manifest

PROGRESS_KEY = "chatlake-progress"
UPDATE_SECONDS = 5.0


class ProgressObserver(LogObserver):
    """Logs, and keeps a progress artifact: how much of the lists is read, and the figures.

    It is sent from a separate thread: neither the run nor its event loop waits for Prefect, and a
    run never fails because Prefect does not accept it. Use it as a context manager.
    """

    def __init__(self, sources: int) -> None:
        super().__init__()
        self._sources = max(1, sources)
        self._begun = 0
        self._what = ""
        self._artifact: UUID | None = None
        self._told_at = 0.0
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="chatlake-progress")
        self._sending: Future[None] | None = None
        self._is_refused = False

    def __enter__(self) -> ProgressObserver:
        return self

    def __exit__(self, *_: object) -> None:
        self._sender.shutdown()

    @property
    def has_begun(self) -> bool:
        """Whether the run holds the lock and has begun with a source."""
        return self._begun > 0

    def source_started(self, source: str, mode: str) -> None:
        """Log that the source begins, and show it."""
        super().source_started(source, mode)
        self._begun += 1
        self._what = f"{source}: {mode}"
        self._tell(self._percent())

    def committed(self, manifest: Manifest) -> None:
        """Log the figures, and show them."""
        super().committed(manifest)
        if manifest.runs:
            self._what = "; ".join(f"{run.source}: {counts(run)}" for run in manifest.runs)
        self._tell(self._percent())

    def ended(self, what: str) -> None:
        """Show that the run has read all that there was, and how it went."""
        self._what = what
        self._tell(100.0, at_last=True)

    def _percent(self) -> float:
        done = max(0, self._begun - 1) + (self._fraction or 0.0)
        return min(99.0, round(100 * done / self._sources, 1))

    def _tell(self, percent: float, *, at_last: bool = False) -> None:
        is_early = time.monotonic() - self._told_at < UPDATE_SECONDS
        is_sending = self._sending is not None and not self._sending.done()
        if self._is_refused or (not at_last and (is_early or is_sending)):
            return
        self._told_at = time.monotonic()
        context = contextvars.copy_context()
        self._sending = self._sender.submit(context.run, self._send, percent, self._what)

    def _send(self, percent: float, what: str) -> None:
        try:
            if self._artifact is None:
                self._artifact = cast("UUID", create_progress_artifact(percent, PROGRESS_KEY, what))
            else:
                update_progress_artifact(self._artifact, percent, what)
        except Exception as error:  # noqa: BLE001 - what is in the lake counts
            self._is_refused = True
            logger.warning("Prefect did not accept the run's progress: %s", error)
