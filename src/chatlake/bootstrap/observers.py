"""An observer that reports nothing."""

from __future__ import annotations

from chatlake.model.manifest import Manifest, SourceRun


class SilentObserver:
    """Ignores every event; subclasses override those that they need."""

    def source_started(self, source: str, mode: str) -> None:
        """Ignore it."""

    def progressed(self, source: str, run: SourceRun, fraction: float | None = None) -> None:
        """Ignore it."""

    def waiting(self, source: str, seconds: float, why: str) -> None:
        """Ignore it."""

    def committed(self, manifest: Manifest) -> None:
        """Ignore it."""
