"""The reckoning: undisturbed, the lake comes to hold what the sources hold, value by value."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from chatlake.lake.lake import Lake
from tests.soak.children import Children, Ended
from tests.soak.exact import exact
from tests.soak.figures import Figures, Key
from tests.soak.source import Source
from tests.soak.watch import KEYS, Watch


class Disturbed(Protocol):
    """What is over when the reckoning comes: the storm, or the nights."""

    figures: Figures
    watch: Watch
    lake: Path
    children: Children

    @property
    def sources(self) -> Sequence[Source]: ...


def reckon(storm: Disturbed) -> None:
    """Back up undisturbed, then compare everything with the sources."""
    _Reckoning(storm).reckon()


class _Reckoning:
    def __init__(self, storm: Disturbed) -> None:
        self._storm = storm
        self._figures = storm.figures
        self._watch = storm.watch
        self._swept = False

    def reckon(self) -> None:
        figures, sources = self._figures, self._storm.sources
        for source in sources:
            figures.faults += source.set_faults({})
            revealed = source.mirror.reveal()
            figures.late_rows += len(revealed)
            source.apply(revealed)
        for words in (["backup"], ["backup", "--full"], ["backup", "--full"]):
            full = "--full" in words
            for source in sources:
                if full:
                    source.mirror.sweep_begins(source.mirror.absent())
            self._swept |= full
            if self._must_succeed(*words).code == 0 and full:
                for source in sources:
                    source.mirror.sweep_was_complete()
            self._watch.look(f"after the last {' '.join(words)}")
            self._watch.check_complete()
        again = self._must_succeed("backup")
        figures_again = (again.report or {}).get("sources", [])
        if (again.report or {}).get("files_added") or any(told["new"] for told in figures_again):
            figures.wrong_end("a run without anything to do added files", again)
        self._must_succeed("verify")
        self._compare_exports()
        lake = Lake.open(self._storm.lake)
        self._watch.check_doubled(lake, KEYS)
        self._check_metadata(lake)
        figures.wrong_of("open failures are left", lake.state.failures)

    def _must_succeed(self, *words: str) -> Ended:
        return self._check_succeeded(self._storm.children.run(*words), words)

    def _check_succeeded(self, ended: Ended, words: tuple[str, ...]) -> Ended:
        self._figures.runs += words[0] == "backup"
        print(f"last run  {ended.words}  -> exit {ended.code}, {ended.seconds:.1f} s", flush=True)
        absent = {source.name: source.mirror.absent() for source in self._storm.sources}
        may_lack = words == ("backup",) and not self._swept and ended.lacks_only(absent)
        if ended.code != 0 and not may_lack:
            self._figures.wrong_end(f"exit code {ended.code} when nothing disturbed", ended)
        return ended

    def _compare_exports(self) -> None:
        # All at once: each spends most of its time on starting.
        started = []
        for source in self._storm.sources:
            path = self._storm.lake.with_name(f"{source.name}.jsonl")
            where = f"source = '{source.name}'"
            words = ("export", "raw", "--where", where, "--output", str(path))
            started.append((source, path, words, self._storm.children.start(*words)))
        for source, path, words, child in started:
            if self._check_succeeded(self._storm.children.wait(child), words).code == 0:
                self._compare(source, self._exported(source.name, path))

    def _exported(self, source: str, path: Path) -> dict[str, Any]:
        exported: dict[str, Any] = {}
        bare = 0
        twice: set[Key] = set()
        with path.open("rb") as file:
            for line in file:
                record = exact(line)
                if record["completion"] is None:
                    bare += 1
                    continue
                name = record["completion"]["id"]
                if name in exported:
                    twice.add((source, name))
                exported[name] = record
        self._figures.doubled |= {f"export {' '.join(key)}" for key in twice}
        self._figures.wrong_of("twice in the export", twice)
        if bare > len(self._watch.excused):
            self._figures.problems.append(f"{source}: {bare} exported without their completion")
        return exported

    def _compare(self, source: Source, exported: dict[str, Any]) -> None:
        lost: set[Key] = set()
        unlike: set[Key] = set()
        for truth in source.truth():
            key = source.name, truth["completion"]["id"]
            if key[1] not in exported:
                lost.add(key)
            elif exported.pop(key[1]) != truth:
                unlike.add(key)
        figures, stored = self._figures, self._watch.stored
        figures.lost |= {" ".join(key) for key in lost}
        figures.wrong_of("the source has it, the export does not", lost)
        figures.wrong_of("exported otherwise than the source has it", unlike)
        gone = {(source.name, name) for name in exported}
        figures.wrong_of(
            "exported, and never was at the source",
            gone - {(source.name, name) for name in source.mirror.deleted},
        )
        figures.wrong_of(
            "deleted at the source, and exported otherwise than it was",
            [
                key
                for key in gone - self._watch.excused
                if stored[key].is_complete and not source.mirror.once_sent(key[1], exported[key[1]])
            ],
        )

    def _check_metadata(self, lake: Lake) -> None:
        query = "SELECT source, completion_id, metadata, deleted_at IS NOT NULL FROM completions"
        with contextlib.closing(lake.connect()) as connection:
            shown = {
                (source, name): rest for source, name, *rest in connection.execute(query).fetchall()
            }
        wanted = {
            (source.name, truth["completion"]["id"]): [truth["completion"]["metadata"], False]
            for source in self._storm.sources
            for truth in source.truth()
        }
        unlike = [key for key in wanted if key in shown and shown[key] != wanted[key]]
        self._figures.wrong_of("metadata or deleted_at are not those of the source", unlike)
        unmarked = [key for key in shown.keys() - wanted.keys() if not shown[key][1]]
        self._figures.wrong_of("not marked deleted after two full sweeps", unmarked)
