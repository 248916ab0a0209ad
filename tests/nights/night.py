"""One night after the other: a backup of the scripted server, and what the lake holds then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyarrow.parquet import ParquetFile

from chatlake.backup.report import BackupReport
from chatlake.bootstrap.backup import open_lake
from chatlake.config import Settings
from chatlake.lake import Lake
from chatlake.model.manifest import PartFile
from chatlake.model.tables import COMPLETIONS, MESSAGES
from chatlake.storage.memory import MemoryStorage
from tests.faults.source_runs import VirtualTime, backup_in
from tests.nights.server import MOST, NightServer
from tests.support import figures, settings_for

PACE: dict[str, Any] = {"max_attempts": 2}
"""Waits cost no time here; only what hangs costs its timeout, twice."""
PATIENT, HASTY = {"timeout": "10s"}, {"timeout": "300ms"}
"""A busy machine may take a second for an answer, so only a night in which one hangs is hasty."""


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
    """A lake and the server that it is the backup of; `source` changes the configuration.

    The lake is in memory, which spares each night the catalogue: its tables are read, not its
    views. `on_disk`: it is in a folder, with its views.
    """

    server: NightServer
    folder: Path
    source: dict[str, Any] = field(default_factory=dict)
    on_disk: bool = False
    _storage: MemoryStorage = field(default_factory=MemoryStorage)
    _opened: Lake | None = None

    @property
    def settings(self) -> Settings:
        """The configuration of the coming night."""
        timeout = HASTY if self.server.hangs else PATIENT
        options = {"full_sweep_every": None} | self.source
        options["pace"] = PACE | timeout | self.source.get("pace", {})
        return settings_for(self.folder, self.server.base_url, **options)

    def lake(self) -> Lake:
        """Return the lake as the last night left it."""
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def _open(self) -> Lake:
        """Open the lake again, as each night does."""
        if self.on_disk:
            self._opened = open_lake(self.settings, create=True)
            return self._opened
        begun = self._opened is not None
        self._opened = Lake(self._storage)
        if not begun:
            self._opened.create()
        return self._opened

    def night(
        self,
        *,
        full: bool = False,
        ids: Sequence[str] | None = None,
        dry_run: bool = False,
        doubled: Collection[str] = (),
    ) -> Night:
        """Back up once. Whatever it ends with, its figures add up and no key is doubled.

        `doubled`: completions that the lake may hold once for each day that they claimed.
        """
        self.server.forget_requests()
        report = backup_in(
            VirtualTime(turn_s=0.0002),
            self.settings,
            full=full,
            ids=ids,
            dry_run=dry_run,
            lake=self._open(),
            serving=self.server.here(),
        )
        assert len(self.server.asked) <= MOST, "the night would not end"
        night = Night(report, self.server.requests, self.server.lists())
        found = night.figures
        assert found["listed"] == sum(found[name] for name in found if name != "listed")
        if not dry_run:
            assert found["failed"] == len(night.named)
        self._check_sound(doubled)
        return night

    def table(self, name: str, *columns: str) -> list[dict[str, Any]]:
        """Return the rows of a table, from the files that the newest manifest lists."""
        lake, found = self.lake(), []
        for file in lake.state.files.values():
            if file.table == name:
                found += self._rows(lake, file, *columns)
        return found

    def _rows(self, lake: Lake, file: PartFile, *columns: str) -> list[dict[str, Any]]:
        with lake.storage.open_input(file.path) as opened:
            rows: list[dict[str, Any]] = (
                ParquetFile(opened).read(columns=list(columns) or None).to_pylist()
            )
            return rows

    def stored(self) -> set[str]:
        """Return the ids that the lake holds."""
        return {row["completion_id"] for row in self.table(COMPLETIONS, "completion_id")}

    def questions(self) -> dict[str, list[str]]:
        """Return the input messages of each stored completion, in order."""
        found: dict[str, list[str]] = {name: [] for name in self.stored()}
        columns = ("completion_id", "message_index", "direction", "content")
        for row in sorted(self.table(MESSAGES, *columns), key=lambda row: row["message_index"]):
            if row["direction"] == "input":
                found[row["completion_id"]].append(row["content"])
        return found

    def failures(self) -> dict[str, str]:
        """Return the open failures with their reasons."""
        return {key[1]: failure.reason for key, failure in self.lake().state.failures.items()}

    def attempts(self, name: str) -> int:
        """Return how often a failure was tried."""
        return self.lake().state.failures["openai", name].attempts

    def deleted(self) -> set[str]:
        """Return the ids that are marked as deleted."""
        found = self.table(COMPLETIONS, "completion_id", "deleted_at")
        return {row["completion_id"] for row in found if row["deleted_at"] is not None}

    def cursor(self) -> str | None:
        """Return the id that the lake keeps as the place to continue from."""
        cursor = self.lake().state.cursors.get("openai")
        return None if cursor is None else cursor.completion_id

    def lost(self, *words: str) -> list[str]:
        """Return those of the words that stand in no listed file, and so in no view."""
        lake = self.lake()
        texts = [str(self._rows(lake, file)) for file in lake.state.files.values()]
        return [word for word in words if not any(word in text for text in texts)]

    def unreadable(self, *words: str) -> list[str]:
        """Return those of the words that no view of the lake shows any more; for one on disk."""
        views = "SELECT view_name FROM duckdb_views() WHERE NOT internal"
        with open_lake(self.settings).connect() as connection:
            texts = [
                str(connection.execute(f"SELECT to_json(v)::VARCHAR FROM {view} AS v").fetchall())
                for (view,) in connection.execute(views).fetchall()
            ]
        return [word for word in words if not any(word in text for text in texts)]

    def check_holds_all(self, *, gaps: Iterable[str] = ()) -> None:
        """Fail unless the lake holds what the source shows, message by message.

        `gaps` may lack their messages; only they are named. Nothing that lives is marked deleted.
        """
        assert self.server.questions().keys() <= self.stored()
        self.check_holds_all_but(gaps)
        assert self.failures().keys() == set(gaps)

    def check_holds_all_but(self, without: Iterable[str]) -> None:
        """Fail unless all the others are held, and nothing that lives is marked deleted."""
        truth, held = self.server.questions(), self.questions()
        whole = truth.keys() - set(without)
        assert whole - held.keys() == set()
        assert {name: held[name] for name in whole} == {name: truth[name] for name in whole}
        assert self.deleted() & truth.keys() == set()

    def _check_sound(self, doubled: Collection[str]) -> None:
        held = [
            (row["completion_id"], row["message_count"])
            for row in self.table(COMPLETIONS, "completion_id", "message_count")
            if row["completion_id"] not in doubled
        ]
        messages = self.table(MESSAGES, "completion_id", "message_id")
        messages = [row for row in messages if row["completion_id"] not in doubled]
        assert _doubled(name for name, _ in held) == []
        assert _doubled(row["message_id"] for row in messages) == []
        counted = Counter(row["completion_id"] for row in messages)
        known = {name: count for name, count in held if count is not None}  # None: it is a gap
        assert {name: counted[name] for name in known} == known
        for run in self.lake().state.runs.values():
            assert run.listed == run.new + run.changed + run.unchanged + run.failed


def _doubled(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
