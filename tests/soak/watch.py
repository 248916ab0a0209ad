"""Looking at the lake: what was committed stays, once, and readers see whole commits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path

import duckdb

from chatlake.errors import ChatlakeError, LakeNotFoundError
from chatlake.lake.lake import Lake
from chatlake.model.manifest import LakeState
from tests.soak.damage import Damage
from tests.soak.figures import Figures, Key
from tests.soak.mirror import Mirror

KEYS = {
    "completions": "source, completion_id",
    "messages": "source, message_id",
    "content_parts": "source, message_id, part_index",
    "text_parts": "source, message_id, part_index",
    "image_parts": "source, message_id, part_index",
    "images": "source, created_date, sha256",
    "tool_calls": "source, message_id, call_index",
    "metadata": "source, completion_id, key",
    "transcripts": "source, completion_id",
    "daily_usage": "source, created_date, model",
    "completion_history": "source, completion_id, observed_at, change",
    "runs": "run_id, source",
    "failures": "source, completion_id",
}
"""View -> the columns of which no two rows may have the same values."""
UNLIKE_COUNT = """
    SELECT source, completion_id FROM completions
    LEFT JOIN (SELECT source, completion_id, count(*) AS n FROM messages GROUP BY ALL)
    USING (source, completion_id)
    WHERE message_count <> coalesce(n, 0)"""


@dataclass(slots=True)
class Stored:
    """What the lake holds of a completion: its day, with all of its messages, marked deleted."""

    day: str
    is_complete: bool
    is_deleted: bool


class Watch:
    """Remembers what the lake held, and compares. `excused` is what damage took away."""

    def __init__(self, lake: Path, mirrors: dict[str, Mirror], figures: Figures) -> None:
        self.stored: dict[Key, Stored] = {}
        self.excused: set[Key] = set()
        self.damage: Damage | None = None
        self._lake = lake
        self._mirrors = mirrors
        self._figures = figures

    def damaged(self, damage: Damage) -> None:
        """Take note of damage that stays: what the source no longer has cannot come back."""
        self.damage = damage
        partition = damage.partition
        if damage.undo is None:
            self.excused |= {
                key
                for key, stored in self.stored.items()
                if (key[0], stored.day) == (partition.source, partition.created_date)
            }

    def look(self, when: str) -> None:
        """Compare the lake with what it held before."""
        try:
            lake = Lake.open(self._lake)
        except LakeNotFoundError:
            return
        figures = self._figures
        figures.looks += 1
        figures.commits = lake.state.number
        self._check_ledger(lake.state, when)
        if self.damage is not None:
            if self.damage.paths & lake.state.files.keys():
                return  # the views cannot be read until a run heals it
            self.damage = None
        stored = self._read(lake)
        lost = self.stored.keys() - stored.keys() - self.excused
        figures.lost |= {" ".join(key) for key in lost}
        figures.wrong_of(f"{when}: lost, though it was committed", lost)
        complete = {key for key, now in stored.items() if now.is_complete}
        were = {key for key, before in self.stored.items() if before.is_complete}
        figures.wrong_of(
            f"{when}: lost messages that were committed",
            (were & stored.keys()) - complete - self.excused,
        )
        figures.wrong_of(
            f"{when}: marked deleted, and no two full sweeps can have missed it",
            [
                key
                for key, now in stored.items()
                if now.is_deleted and not self._mirrors[key[0]].may_be_marked(key[1])
            ],
        )
        self.stored = stored
        self.excused -= complete
        self.check_doubled(lake, ("completions", "messages", "content_parts"))
        self._check_counts(lake, when)

    def look_meanwhile(self) -> None:
        """Read as any other program does, while a backup writes."""
        try:
            lake = Lake.open(self._lake)
            self._check_counts(lake, "in the middle of a run")
            self.check_doubled(lake, ("completions", "messages"))
        except LakeNotFoundError:
            return
        except (ChatlakeError, duckdb.Error) as error:
            self._figures.problems.append(f"a reader failed in the middle of a run: {error!r}")

    def check_complete(self, but: Set[Key] = frozenset()) -> None:
        """After a complete run, full or not, all is there that was never hidden from the list.

        `but`: those that the run named, or had to name.
        """
        complete = {key for key, stored in self.stored.items() if stored.is_complete}
        shown = {
            (source, name)
            for source, mirror in self._mirrors.items()
            for name in set(mirror.visible) - mirror.ever_hidden
        }
        lost = shown - complete - but
        self._figures.lost |= {" ".join(key) for key in lost}
        self._figures.wrong_of("a complete run passed over", lost)

    def check_doubled(self, lake: Lake, views: Iterable[str]) -> None:
        """No two rows of these views have the same key."""
        with contextlib.closing(lake.connect()) as connection:
            for view in views:
                query = f"SELECT {KEYS[view]} FROM {view} GROUP BY ALL HAVING count(*) > 1"
                doubled = {f"{view} {key}" for key in connection.execute(query).fetchall()}
                self._figures.doubled |= doubled
                self._figures.wrong_of(f"doubled rows in {view}", doubled)

    def _read(self, lake: Lake) -> dict[Key, Stored]:
        return {
            (source, name): Stored(
                partition.created_date,
                # Without a digest the version is to be fetched again; its messages may be there.
                version.digest is not None or version.inputs is not None,
                version.deleted,
            )
            for source in self._mirrors
            for partition in lake.state.partitions(source)
            for name, version in lake.stored_versions(partition).items()
        }

    def _check_counts(self, lake: Lake, when: str) -> None:
        with contextlib.closing(lake.connect()) as connection:
            unlike = set(connection.execute(UNLIKE_COUNT).fetchall())
        self._figures.wrong_of(f"{when}: not as many messages as counted", unlike - self.excused)

    def _check_ledger(self, state: LakeState, when: str) -> None:
        wrong = [
            run.run_id
            for run in state.runs.values()
            if run.listed != run.new + run.changed + run.unchanged + run.failed
        ]
        self._figures.wrong_of(f"{when}: the ledger does not add up for the runs", wrong)
