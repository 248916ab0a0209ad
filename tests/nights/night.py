"""One night after the other: a backup of the scripted server, and what the lake holds then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatlake.backup.run import BackupReport
from chatlake.bootstrap.backup import open_lake
from chatlake.config import Settings
from tests.faults.source_runs import WRONG, VirtualTime, backup_in
from tests.nights.server import NightServer
from tests.support import figures, rows, settings_for

PACE: dict[str, Any] = {"max_attempts": 2, "timeout": "300ms"}
"""Waits cost no time here; only what hangs costs its timeout, twice."""


@dataclass(frozen=True, slots=True)
class Night:
    """How a night ended, and how often each route was asked."""

    report: BackupReport
    requests: Counter[str]
    lists: list[dict[str, str]]

    @property
    def code(self) -> int:
        """The exit code."""
        return self.report.exit_code

    @property
    def figures(self) -> dict[str, int]:
        """What was found."""
        return figures(self.report)

    @property
    def named(self) -> set[str]:
        """The ids of the failures that this night names."""
        (source,) = self.report.sources
        return {failure.completion_id for failure in source.failures}

    @property
    def words(self) -> str:
        """What ended the source early, empty where nothing did."""
        (source,) = self.report.sources
        return "" if source.error is None else f"{source.error.message} {source.error.hint}"


@dataclass
class Nights:
    """A lake and the server that it is the backup of; `source` changes the configuration."""

    server: NightServer
    folder: Path
    source: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """The configuration of the coming night."""
        options = {"pace": PACE, "full_sweep_every": None} | self.source
        return settings_for(self.folder, self.server.base_url, **options)

    def night(
        self, *, full: bool = False, ids: Sequence[str] | None = None, dry_run: bool = False
    ) -> Night:
        """Back up once. Whatever it ends with, its figures add up and no key is doubled."""
        self.server.forget_requests()
        report = backup_in(VirtualTime(), self.settings, full=full, ids=ids, dry_run=dry_run)
        assert rows(self.settings, WRONG) == []
        night = Night(report, self.server.requests, self.server.lists())
        found = night.figures
        assert found["listed"] == sum(found[name] for name in found if name != "listed")
        if not dry_run:
            assert found["failed"] == len(night.named)
        return night

    def stored(self) -> set[str]:
        """Return the ids that the lake holds."""
        return {name for (name,) in rows(self.settings, "SELECT completion_id FROM completions")}

    def questions(self) -> dict[str, list[str]]:
        """Return the input messages of each stored completion, in order."""
        query = (
            "SELECT c.completion_id, list(m.content ORDER BY m.message_index)"
            " FILTER (m.direction = 'input') FROM completions c"
            " LEFT JOIN messages m USING (source, completion_id) GROUP BY 1"
        )
        return {name: found or [] for name, found in rows(self.settings, query)}

    def failures(self) -> dict[str, str]:
        """Return the open failures with their reasons."""
        return dict(rows(self.settings, "SELECT completion_id, reason FROM failures"))

    def attempts(self, name: str) -> int:
        """Return how often a failure was tried."""
        query = f"SELECT attempts FROM failures WHERE completion_id = '{name}'"
        return int(rows(self.settings, query)[0][0])

    def deleted(self) -> set[str]:
        """Return the ids that are marked as deleted."""
        query = "SELECT completion_id FROM completions WHERE deleted_at IS NOT NULL"
        return {name for (name,) in rows(self.settings, query)}

    def cursor(self) -> str | None:
        """Return the id that the lake keeps as the place to go on from."""
        cursor = open_lake(self.settings).state.cursors.get("openai")
        return None if cursor is None else cursor.completion_id

    def mentions(self, words: str) -> set[str]:
        """Return the views with a row in which these words stand."""
        views = rows(self.settings, "SELECT view_name FROM duckdb_views() WHERE NOT internal")
        return {
            view
            for (view,) in views
            if rows(
                self.settings,
                f"SELECT 1 FROM {view} AS v WHERE contains(to_json(v)::VARCHAR, '{words}') LIMIT 1",
            )
        }

    def check_holds_all(self, *, gaps: Iterable[str] = ()) -> None:
        """Fail unless the lake holds what the source shows, message by message.

        `gaps` may lack their messages; only they are named. Nothing that lives is marked deleted.
        """
        gaps, truth, held = set(gaps), self.server.questions(), self.questions()
        assert truth.keys() - held.keys() == set()
        whole = truth.keys() - gaps
        assert {name: held[name] for name in whole} == {name: truth[name] for name in whole}
        assert self.deleted() & truth.keys() == set()
        assert self.failures().keys() == gaps
