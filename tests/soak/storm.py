"""The storm: round after round of changes, faults, kills, pauses and damage."""

from __future__ import annotations

import time
from collections.abc import Set
from dataclasses import replace
from pathlib import Path

import msgspec

from chatlake.simulator.scenario import Scenario
from tests.soak.children import Children, Ended, ProcessGroup
from tests.soak.damage import do_damage
from tests.soak.disturbed_run import DisturbedRun
from tests.soak.figures import Figures
from tests.soak.permitted import permits
from tests.soak.rounds import SPECIAL, Round
from tests.soak.source import Source
from tests.soak.watch import Watch

# The storm begins shortly before midnight, so that growth makes a new partition meanwhile.
NOW = 1_760_054_380
PACE = {"max_attempts": 4, "timeout": "5s", "give_up_after": "30s", "concurrency": 16}
LOOKBACKS = ("48h", "5m")
"""A long one finds edits; a short one leaves it to the cursor alone that nothing is missed."""


class Storm:
    """Two sources, one lake, and what happens to them. All processes belong to `group`.

    With `odd`, answers of which `ancient` is to be the source, there is a third one: `time_page`
    gives it cursors by time, `unknown_after` an empty list for an unknown one.
    """

    def __init__(
        self,
        folder: Path,
        group: ProcessGroup,
        figures: Figures,
        *,
        completions: int,
        seed: int,
        odd: Set[str] = frozenset(),
    ) -> None:
        self.figures = figures
        self.lake = folder / "lake"
        # The same seed: the two have ids in common, which only the source's name keeps apart.
        sizes = {"wide": completions, "narrow": completions // 10}
        self.sources = [Source(name, _scenario(size, seed)) for name, size in sizes.items()]
        if odd:
            ancient = replace(
                _scenario(completions // 10, seed),
                cursors="time" if "time_page" in odd else "exact",
                unknown_after=200 if "unknown_after" in odd else 404,
            )
            self.sources.append(Source("ancient", ancient))
        self._mirrors = {source.name: source.mirror for source in self.sources}
        self.watch = Watch(self.lake, self._mirrors, self.figures)
        self._folder = folder
        self._group = group
        self._seed = seed
        config = folder / "chatlake.yaml"
        self.children = Children(group, config, self.lake, folder)

    def start(self) -> None:
        """Start the sources and write the configuration."""
        entries = []
        for place, source in enumerate(self.sources):
            source.start(self._group, self._folder)
            lookback = LOOKBACKS[(self._seed + place) % 2]
            entries.append(source.entry(lookback=lookback, pace=PACE))
        document = {"version": 1, "lake": "lake", "sources": entries}
        (self._folder / "chatlake.yaml").write_bytes(msgspec.yaml.encode(document))

    def blow(self, seconds: float) -> None:
        """Round after round until the time is up, or something is wrong; the special ones anyway."""
        end = time.monotonic() + seconds
        while not self.figures.problems:
            if time.monotonic() >= end and self.figures.rounds >= len(SPECIAL):
                break
            self._round(Round.choose(self._seed, self.figures.rounds + 1, self._mirrors))

    # One round

    def _round(self, plan: Round) -> None:
        began = time.monotonic()
        figures, watch = self.figures, self.watch
        figures.rounds = plan.number
        for source in self.sources:
            source.apply(plan.changes[source.name].before)
        told = self._do_damage(plan)
        if self.lake.exists() and (plan.verify or (watch.damage and plan.where < 0.6)):
            self._verify()
        if watch.damage is not None and watch.damage.undo is not None:
            watch.damage.undo()
            watch.damage = None
        for source in self.sources:
            figures.faults += source.set_faults(plan.faults[source.name])
        ended = self._back_up(plan)
        for source in self.sources:
            figures.faults += source.set_faults({})
        if ended[0].code == 0 and plan.full and not plan.changes_meanwhile:
            for mirror in self._mirrors.values():
                mirror.sweep_was_complete()
        watch.look(f"after round {plan.number}")
        if ended[0].code == 0 and not plan.changes_meanwhile:
            watch.check_complete()
        if plan.verify and self.lake.exists():
            self._verify()
        print(
            f"round {plan.number:3}  {time.monotonic() - began:5.1f} s  {plan}{told}  -> exit "
            f"{' and '.join(str(end.code) for end in ended)}, {figures.commits} commits, "
            f"{len(watch.stored)} stored",
            flush=True,
        )

    def _do_damage(self, plan: Round) -> str:
        if plan.damage is None or self.watch.damage is not None or not self.watch.stored:
            return ""
        # What the first source lost is healed by the first commit of a run.
        eye = self.sources[0].name if plan.number in SPECIAL else None
        damage = do_damage(self.lake, plan.damage, plan.where, source=eye)
        self.watch.damaged(damage)
        self.figures.damaged[plan.damage] += len(damage.files)
        return f"; {damage}"

    def _verify(self) -> None:
        ended = self.children.run("verify")
        self.figures.verified += 1
        findings = (ended.report or {}).get("findings", [])
        named = sorted((found["path"], found["kind"]) for found in findings)
        damage = self.watch.damage
        wanted = [] if damage is None else [(path, damage.kind) for path in sorted(damage.paths)]
        if named == wanted and ended.code == (7 if wanted else 0):
            self.figures.damage_named += len(named)
            return
        self.figures.wrong_end(
            f"verify was to find {wanted or 'nothing'}, and said {ended.code}: {findings}", ended
        )

    def _back_up(self, plan: Round) -> list[Ended]:
        if plan.full:
            for name, mirror in self._mirrors.items():
                mirror.sweep_begins(plan.changes[name].absent)
        run = DisturbedRun(plan, self.children, self.sources, self.watch, self.figures)
        ended = run.to_its_end()
        self._check_ended(plan, ended)
        return ended

    def _check_ended(self, plan: Round, ended: list[Ended]) -> None:
        figures = self.figures
        figures.runs += len(ended)
        figures.pairs += len(ended) > 1
        figures.turned_away += sum(end.code == 8 for end in ended)
        for end in ended:
            if not permits(plan, end, is_first=end is ended[0]):
                figures.wrong_end(f"round {plan.number}: it may not end with {end.code}", end)
            if "Traceback" in end.errors and end.code >= 0:
                figures.wrong_end(f"round {plan.number}: a traceback", end)
        if [end.code for end in ended] == [8, 8]:
            figures.wrong_end(f"round {plan.number}: of two at once none got the lock", ended[0])
        if ended[0].code in plan.disturbance.codes:
            figures.killed[plan.disturbance.name] += 1
        figures.late_rows += sum(
            action == "reveal"
            for changes in plan.changes.values()
            for action, _ in [*changes.before, *changes.meanwhile]
        )


def _scenario(completions: int, seed: int) -> Scenario:
    return Scenario(
        completions=completions,
        seed=seed,
        days=6.0,
        now=NOW,
        image_share=0.1,
        image_bytes=4000,
        odd_text=True,
    )
