"""The storm: round after round of changes, faults, kills, pauses and damage."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from chatlake.simulator.scenario import Scenario
from tests.soak.children import KEY_VARIABLE, Children, Ended, ProcessGroup
from tests.soak.damage import do_damage
from tests.soak.figures import Figures
from tests.soak.rounds import SPECIAL, Disturbance, Round
from tests.soak.source import Source
from tests.soak.watch import Watch

# The storm begins shortly before midnight, so that growth makes a new partition meanwhile.
NOW = 1_760_054_380
PACE = {"max_attempts": 4, "timeout": "5s", "give_up_after": "30s", "concurrency": 16}
LOOKBACKS = ("48h", "5m")
"""A long one finds edits; a short one leaves it to the cursor alone that nothing is missed."""
STOP_SECONDS = 30.0
"""Longer than a run may take to end after SIGINT or SIGTERM."""


class Storm:
    """Two sources, one lake, and what happens to them. All processes belong to `group`."""

    def __init__(self, folder: Path, group: ProcessGroup, *, completions: int, seed: int) -> None:
        self.figures = Figures()
        self.lake = folder / "lake"
        # The same seed: the two have ids in common, which only the source's name keeps apart.
        sizes = {"wide": completions, "narrow": completions // 10}
        self.sources = [Source(name, _scenario(size, seed)) for name, size in sizes.items()]
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
            entries.append(
                {
                    "name": source.name,
                    "base_url": source.base_url,
                    "api_key": f"${{{KEY_VARIABLE}}}",
                    "lookback": LOOKBACKS[(self._seed + place) % 2],
                    "full_sweep_every": None,
                    "pace": PACE,
                }
            )
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
        damage = do_damage(self.lake, plan.damage, plan.where)
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

    # One run, and what happens to it

    def _back_up(self, plan: Round) -> list[Ended]:
        words = ["backup", "--full"] if plan.full else ["backup"]
        if plan.full:
            for name, mirror in self._mirrors.items():
                mirror.sweep_begins(plan.changes[name].absent)
        first = self.children.start(
            *words, failpoint=plan.disturbance.failpoint, timezone=plan.timezone
        )
        began = time.monotonic()
        others: list[subprocess.Popen[bytes]] = []
        events: list[tuple[float, Callable[[], object]]] = []
        if plan.disturbance.number:
            events.append((plan.disturbance.after, lambda: self._signal(first, plan.disturbance)))
        if plan.pause_s is not None:
            events.append((0.0, lambda: others.extend(self._pause(first, plan))))
        elif plan.second_after is not None:
            events.append((plan.second_after, lambda: others.append(self.children.start("backup"))))
        if plan.look_after is not None and self.watch.damage is None:
            events.append((plan.look_after, self.watch.look_meanwhile))
        for source in self.sources:
            changes = plan.changes[source.name].meanwhile
            if changes:
                events.append((plan.meanwhile_after, lambda s=source, c=changes: s.apply(c)))
        for at, happens in sorted(events, key=lambda event: event[0]):
            # When the run has ended before, it happens at once: the next round counts on it.
            with_timeout(first, began + at - time.monotonic())
            happens()
        ended = [self.children.wait(child) for child in (first, *others)]
        self._check_ended(plan, ended)
        return ended

    def _pause(self, first: subprocess.Popen[bytes], plan: Round) -> list[subprocess.Popen[bytes]]:
        """Stop a run that has the lock for a while; one that is started meanwhile gets none."""
        second: list[subprocess.Popen[bytes]] = []
        if not self.children.wait_until_writing(first):
            return second
        first.send_signal(signal.SIGSTOP)
        try:
            if plan.second_after is not None:
                second.append(self.children.start("backup"))
                if not with_timeout(second[0], 60) or second[0].returncode != 8:
                    self.figures.problems.append(
                        f"round {plan.number}: another run had the lock, and this one ended with "
                        f"{second[0].returncode}, not with 8"
                    )
            time.sleep(plan.pause_s or 0.0)
        finally:
            first.send_signal(signal.SIGCONT)
        self.figures.paused += 1
        return second

    def _signal(self, child: subprocess.Popen[bytes], disturbance: Disturbance) -> None:
        if child.poll() is not None:
            return
        child.send_signal(disturbance.number)
        if not with_timeout(child, STOP_SECONDS):
            self.figures.problems.append(
                f"a backup went on for {STOP_SECONDS:.0f} s after {disturbance}"
            )

    def _check_ended(self, plan: Round, ended: list[Ended]) -> None:
        figures = self.figures
        figures.runs += len(ended)
        figures.pairs += len(ended) > 1
        figures.turned_away += sum(end.code == 8 for end in ended)
        for end in ended:
            if not plan.permits(end, is_first=end is ended[0]):
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


def with_timeout(child: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for a child so long; returns whether it has ended."""
    try:
        child.wait(max(0.0, seconds))
    except subprocess.TimeoutExpired:
        return False
    return True


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
