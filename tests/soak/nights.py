"""Nights in a row over sources that are odd in one way each, all in one lake.

Nothing kills the runs: what has to be right is what they say and store. A night over sources of
which some completions fail ends with 3 and names just these; all else is stored, whatever its
neighbours are like, and nothing that was stored is lost, doubled or marked deleted.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tests.soak.children import Children, Ended, ProcessGroup
from tests.soak.figures import Figures, Key
from tests.soak.odd_sources import NIGHTS, ODD_SOURCES, SWEEPS, OddSource
from tests.soak.watch import Watch

PACE = {"max_attempts": 2, "timeout": "3s", "give_up_after": "10s", "concurrency": 16}


class Nights:
    """One odd source of each of these kinds. All processes belong to `group`."""

    def __init__(
        self,
        folder: Path,
        group: ProcessGroup,
        figures: Figures,
        *,
        kinds: Iterable[str],
        seed: int,
    ) -> None:
        self.figures = figures
        self.sources: list[OddSource] = [each(seed) for each in ODD_SOURCES if each.kind in kinds]
        self.lake = folder / "lake"
        self._mirrors = {source.name: source.mirror for source in self.sources}
        self.watch = Watch(self.lake, self._mirrors, figures)
        self._folder = folder
        self._group = group
        self.children = Children(group, folder / "chatlake.yaml", self.lake, folder)

    def start(self) -> None:
        """Start the sources and write the configuration."""
        self._folder.mkdir()
        for source in self.sources:
            source.start(self._group, self._folder)
        entries = [source.entry(lookback=source.lookback, pace=PACE) for source in self.sources]
        document = {"version": 1, "lake": "lake", "sources": entries}
        (self._folder / "chatlake.yaml").write_bytes(msgspec.yaml.encode(document))

    def pass_by(self) -> None:
        """Night after night, until something is wrong; in the end all sources recover."""
        for night in range(1, NIGHTS + 1):
            self._night(night)
            if self.figures.problems:
                return
        for source in self.sources:
            source.recover()

    def _night(self, night: int) -> None:
        began = time.monotonic()
        for source in self.sources:
            source.set_faults(source.evening(night))
        full = night in SWEEPS
        if full:
            for source in self.sources:
                source.mirror.sweep_begins(source.mirror.absent())
        ended = self.children.run("backup", *(["--full"] if full else []))
        for source in self.sources:
            happened = source.set_faults({})
            self.figures.odd[source.kind] += happened[source.answer]
        self.figures.nights += 1
        self.figures.runs += 1
        self._check(night, ended)
        print(
            f"night {night}  {time.monotonic() - began:5.1f} s  {self._told(ended)}  -> exit "
            f"{ended.code}, {self.figures.commits} commits, {len(self.watch.stored)} stored",
            flush=True,
        )

    def _check(self, night: int, ended: Ended) -> None:
        figures = self.figures
        wanted = 3 if any(source.failing for source in self.sources) else 0
        if ended.hangs or ended.code != wanted:
            words = f"night {night}: it ended with {ended.code}, not with {wanted}"
            figures.wrong_end(words, ended)
        if "Traceback" in ended.errors:
            figures.wrong_end(f"night {night}: a traceback", ended)
        self.watch.look(f"after night {night}")
        failing: set[Key] = {(each.name, name) for each in self.sources for name in each.failing}
        self.watch.check_complete(but=failing)
        for source in self.sources:
            complete = {
                key[1]
                for key, stored in self.watch.stored.items()
                if key[0] == source.name and stored.is_complete
            }
            wrong = source.wrong_names(_named(ended, source), complete)
            if wrong:
                figures.wrong_end(f"night {night}: of {source.name} it {wrong}", ended)

    def _told(self, ended: Ended) -> str:
        named = (f"{each.name} {len(_named(ended, each))}" for each in self.sources if each.failing)
        return f"named: {', '.join(named) or 'none'}"


def _named(ended: Ended, source: OddSource) -> set[str]:
    failures = (ended.report or {}).get("failures", [])
    return {each["completion_id"] for each in failures if each["source"] == source.name}
