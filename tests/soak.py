"""A storm over one lake: growth, edits, deletions, faults, kills, damaged files; then a reckoning.

    python tests/soak.py --seconds 300 --seed 1

Each round changes what a simulator holds, makes it misbehave, and backs it up with a process that
may be killed; now and then a data file is damaged, and `verify` has to say so. What is chosen
follows from the seed, only the timing does not. At the end the faults stop, and the lake has to
hold what the source holds, value by value: nothing lost, nothing doubled. Exit code 1 if not.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import duckdb
import httpx
import msgspec

from chatlake.errors import ChatlakeError, LakeNotFoundError
from chatlake.lake import failpoints
from chatlake.lake.lake import Lake
from chatlake.lake.verify_findings import Kind
from chatlake.model.manifest import LakeState, PartFile
from chatlake.simulator.scenario import Scenario
from chatlake.simulator.world import World

# The storm begins shortly before midnight, so that growth makes a new partition meanwhile.
NOW = 1_760_054_380
DAYS = 6.0
KEY_VARIABLE = "CHATLAKE_SOAK_KEY"
SOURCE = "soak"
PACE = {"max_attempts": 4, "timeout": "5s", "give_up_after": "30s", "concurrency": 16}
CHILD_SECONDS = 180.0
"""Longer than any run may take: then it hangs."""
STOP_SECONDS = 30.0
"""Longer than a run may take to end after SIGINT or SIGTERM."""

COMMON_FAULTS = (
    "reset", "truncated", "error_429", "error_500", "error_502", "error_503", "html_200",
    "invalid_json", "slow",
)  # fmt: skip
RARE_FAULTS = (
    "error_504", "wrong_types", "empty_page", "repeated_page", "overlapping_page", "hang",
)  # fmt: skip
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
    SELECT completion_id FROM completions
    LEFT JOIN (SELECT completion_id, count(*) AS n FROM messages GROUP BY ALL) USING (completion_id)
    WHERE message_count <> coalesce(n, 0)"""

Change = tuple[str, dict[str, Any]]


class Source:
    """The simulator's process, and a mirror of what it holds."""

    def __init__(self, completions: int, seed: int, folder: Path) -> None:
        self.scenario = Scenario(
            completions=completions,
            seed=seed,
            days=DAYS,
            now=NOW,
            image_share=0.1,
            image_bytes=4000,
            odd_text=True,
        )
        self.mirror = World(self.scenario)
        self.visible = [self._name(index) for index in range(completions)]
        self.hidden: list[str] = []
        self.deleted: list[str] = []
        self.ever_hidden: set[str] = set()
        self.sweeps = 0
        self._gone_since: dict[str, int] = {}
        self.edits: dict[str, list[dict[str, str]]] = {}
        self.faults: Counter[str] = Counter()
        self._log = folder / "simulator.log"
        self._http = httpx.Client(trust_env=False, timeout=60)
        self.base_url = ""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process and wait for its address."""
        command = [sys.executable, "-m", "chatlake.simulator", "--port", "0", "--exit-with-parent"]
        defaults = Scenario()
        for spec in dataclasses.fields(Scenario):
            value = getattr(self.scenario, spec.name)
            if value != getattr(defaults, spec.name):
                flag = "--" + spec.name.replace("_", "-")
                command += [flag] if value is True else [flag, str(value)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        assert self.process.stdout is not None
        self.base_url = self.process.stdout.readline().decode().strip()
        if not self.base_url:
            raise RuntimeError(f"the simulator did not start: {self._log.read_text()}")

    def stop(self) -> None:
        """End the process."""
        self._http.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()

    def ask(self, action: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """Send a request to the admin route `action`: POST with a body, GET without."""
        url = f"{self.base_url.removesuffix('/v1')}/_simulator/{action}"
        answer = self._http.get(url) if body is None else self._http.post(url, json=body)
        return answer.raise_for_status()

    def set_faults(self, faults: dict[str, Any]) -> None:
        """Replace the faults; those that happened until now are added up."""
        self.faults.update(self.ask("stats").json()["faults"])
        self.ask("faults", faults)

    def truth(self) -> Iterator[dict[str, Any]]:
        """Everything that the source shows, oldest first."""
        for line in self.ask("truth").content.splitlines():
            yield exact(line)

    def plan(self, rng: random.Random, *, calm: bool) -> list[Change]:
        """Choose changes and apply them to the mirror; `apply` sends them."""
        changes: list[Change] = []
        grown = rng.choice((0, 1, 3, 8, 20) if calm else (0, 1, 5, 60, 150, 300))
        if grown:
            self.visible += self.mirror.grow(grown)
            changes.append(("grow", {"n": grown}))
        # Often the newest: there are the cursor, the late rows and the neighbours of both.
        for name in self._some(rng, rng.choice((0, 1, 3, 10, 40))):
            pairs = {f"k{rng.randrange(4)}": rng.choice(("", "x", "Größe", str(rng.random())))}
            self.edits.setdefault(name, []).append(pairs)
            changes.append(("edit", {"id": name, "metadata": pairs}))
        for name in self._some(rng, rng.choice((0, 0, 1, 2, 6))):
            self.visible.remove(name)
            self.deleted.append(name)
            self._gone_since[name] = self.sweeps
            changes.append(("delete", {"id": name}))
        shown = self.hidden[: rng.randrange(4)]
        del self.hidden[: len(shown)]
        for name in shown:
            self.visible.append(name)
            changes.append(("reveal", {"id": name}))
        for name in self._some(rng, rng.choice((0, 0, 1, 3))):
            self.visible.remove(name)
            self.hidden.append(name)
            self.ever_hidden.add(name)
            self._gone_since[name] = self.sweeps
            changes.append(("hide", {"id": name}))
        return changes

    def apply(self, changes: Iterable[Change]) -> None:
        """Make the changes at the source."""
        for action, body in changes:
            self.ask(action, body)

    def reveal_all(self) -> None:
        """Show what is still hidden."""
        self.apply([("reveal", {"id": name}) for name in self.hidden])
        self.visible += self.hidden
        self.hidden.clear()

    def may_be_marked(self, name: str) -> bool:
        """Whether two full sweeps can have missed it; what was hidden once may still be marked."""
        gone = name in self._gone_since and self.sweeps - self._gone_since[name] >= 2
        return gone or (name in self.ever_hidden and name not in self.hidden)

    def once_sent(self, name: str, sent: dict[str, Any]) -> bool:
        """Whether the source has ever held `sent` under this name; for what it no longer has."""
        index = self.mirror.index_of(name)
        if index is None:
            return False
        wanted = exact(self.mirror.record(index))
        metadata = [wanted["completion"]["metadata"], *self.edits.get(name, [])]
        sent = {**sent, "completion": dict(sent["completion"])}
        return sent["completion"].pop("metadata") in metadata and _without(
            sent, "created"
        ) == _without(wanted, "created", "metadata")

    def _some(self, rng: random.Random, count: int) -> list[str]:
        """Choose some of the visible: any, among the newest, or neighbours."""
        count = min(count, len(self.visible) // 2)
        if not count:
            return []
        where = rng.random()
        if where < 0.4:
            return rng.sample(self.visible, count)
        if where < 0.8:
            return rng.sample(self.visible[-max(100, count) :], count)
        start = rng.randrange(len(self.visible) - count)
        return self.visible[start : start + count]

    def _name(self, index: int) -> str:
        return self.mirror.identifier(index).decode()


@dataclass(slots=True)
class Stored:
    """What the lake holds of a completion: its day, with all of its messages, marked deleted."""

    day: str
    is_complete: bool
    is_deleted: bool


@dataclass(slots=True)
class Ended:
    """How a child process ended."""

    code: int
    seconds: float
    words: str
    errors: str
    report: dict[str, Any] | None = None


class Children:
    """The command line in processes of its own; none outlives this one."""

    def __init__(self, config: Path, folder: Path) -> None:
        self._config = config
        self._folder = folder
        self._running: dict[subprocess.Popen[bytes], tuple[float, str, Path]] = {}
        self.started = 0

    def start(self, *words: str, failpoint: str = "") -> subprocess.Popen[bytes]:
        """Start `chatlake WORDS --json`."""
        self.started += 1
        path = self._folder / f"{self.started:04}-{words[0]}"
        environment = {**os.environ, KEY_VARIABLE: "sk-soak-000000000000"}
        environment.pop(failpoints.VARIABLE, None)
        if failpoint:
            environment[failpoints.VARIABLE] = failpoint
        command = [sys.executable, "-m", "chatlake", *words, "--json"]
        with path.with_suffix(".out").open("wb") as out, path.with_suffix(".err").open("wb") as err:
            child = subprocess.Popen(
                [*command, "--config", str(self._config)], stdout=out, stderr=err, env=environment
            )
        self._running[child] = time.monotonic(), " ".join(words), path
        return child

    def wait(self, child: subprocess.Popen[bytes]) -> Ended:
        """Wait until it ends; killed where it hangs, which the words then say."""
        began, words, path = self._running[child]
        try:
            child.wait(max(1.0, began + CHILD_SECONDS - time.monotonic()))
        except subprocess.TimeoutExpired:
            words += " HANGS"
            child.kill()
            child.wait()
        del self._running[child]
        report = None
        with contextlib.suppress(ValueError):
            report = json.loads(path.with_suffix(".out").read_bytes())
        errors = path.with_suffix(".err").read_text(errors="backslashreplace")
        return Ended(child.returncode, time.monotonic() - began, words, errors, report)

    def run(self, *words: str) -> Ended:
        """Start it and wait."""
        return self.wait(self.start(*words))

    def stop(self) -> None:
        """Kill what still runs."""
        for child in self._running:
            child.kill()
            child.wait()


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What happens to a backup: a signal after some seconds, or a fail-point that kills it."""

    name: str = "none"
    number: int = 0
    after: float = 0.0
    failpoint: str = ""

    @classmethod
    def choose(cls, rng: random.Random) -> Disturbance:
        """Choose one."""
        kind = rng.choices(("none", "SIGKILL", "SIGTERM", "SIGINT", "fail-point"), (4, 4, 2, 1, 5))
        after = rng.triangular(0.2, 4.0, 1.1)
        # Few commits write a checkpoint.
        weights = [1 if name.startswith("checkpoint.") else 4 for name in failpoints.NAMES]
        (name,) = rng.choices(failpoints.NAMES, weights)
        nth = rng.randint(1, 12 if name.startswith("part.") else 2)
        if kind == ["none"]:
            return cls()
        if kind == ["fail-point"]:
            return cls("fail-point", failpoint=f"{name}:kill:{nth}")
        return cls(kind[0], signal.Signals[kind[0]].value, after)

    @property
    def codes(self) -> set[int]:
        """The exit codes that it may lead to, besides those of an undisturbed run."""
        if self.failpoint:
            return {-signal.SIGKILL}
        return {
            "none": set[int](),
            "SIGKILL": {-signal.SIGKILL},
            # Before the command is there to handle it, the signal ends the interpreter itself.
            "SIGTERM": {143, -signal.SIGTERM},
            "SIGINT": {130, -signal.SIGINT},
        }[self.name]

    def __str__(self) -> str:
        if self.number:
            return f"{self.name} after {self.after:.1f} s"
        return self.failpoint or "undisturbed"


@dataclass(frozen=True, slots=True)
class Round:
    """What one round does, chosen before it begins."""

    number: int
    before: list[Change]
    meanwhile: list[Change] | None
    meanwhile_after: float
    faults: dict[str, Any]
    full: bool
    second_after: float | None
    disturbance: Disturbance
    damage: str | None
    where: float
    verify: bool
    look_after: float | None

    @classmethod
    def choose(cls, seed: int, number: int, source: Source) -> Round:
        """Choose it, from seed and number alone."""
        rng = random.Random(f"{seed}-{number}")
        chosen = cls(
            number=number,
            before=source.plan(rng, calm=False),
            meanwhile=source.plan(rng, calm=True) if rng.random() < 0.35 else None,
            meanwhile_after=rng.uniform(0.5, 3.0),
            faults=choose_faults(rng),
            full=rng.random() < 0.3,
            second_after=rng.uniform(0, 1.5) if rng.random() < 0.2 else None,
            disturbance=Disturbance.choose(rng),
            damage=rng.choice(("delete", "truncate", "flip")) if rng.random() < 0.2 else None,
            where=rng.random(),
            verify=rng.random() < 0.3,
            look_after=rng.uniform(0.5, 3.0) if rng.random() < 0.4 else None,
        )
        return chosen if number > 1 else dataclasses.replace(chosen, **FIRST)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing hinders the run from being complete."""
        return not (self.faults or self.meanwhile or self.disturbance.codes)

    @property
    def codes(self) -> set[int]:
        """The exit codes that the disturbed run may end with."""
        if self.is_quiet:
            return {0}
        codes = {0, 3, 6} if self.faults else {0, 3}
        return codes | self.disturbance.codes | ({5} if "error_401" in self.faults else set())

    def __str__(self) -> str:
        changes = Counter(
            {action: body.get("n", 1) for action, body in self.before if action == "grow"}
        )
        changes.update(
            action for action, _ in [*self.before, *(self.meanwhile or [])] if action != "grow"
        )
        words = [f"{action} {count}" for action, count in sorted(changes.items())]
        faults = [name for name in self.faults if not name.startswith(("retry_after", "slow_s"))]
        return "; ".join(
            part
            for part in (
                " ".join(words) + (" meanwhile too" if self.meanwhile else ""),
                " ".join(sorted(faults)),
                ("full" if self.full else "")
                + (" two at once" if self.second_after is not None else ""),
                str(self.disturbance),
            )
            if part
        )


FIRST: dict[str, Any] = {
    "faults": {"slow": 0.6, "slow_seconds": 0.6, "reset": 0.02, "error_503": 0.02},
    "disturbance": Disturbance("SIGKILL", signal.SIGKILL.value, 13.5),
}
"""The first round: a slow source, and a kill after the first commit in the middle of the list."""


def choose_faults(rng: random.Random) -> dict[str, Any]:
    """Choose a mix of faults with modest rates; each fourth time none."""
    names = rng.sample(COMMON_FAULTS, rng.randint(1, 4)) + rng.sample(RARE_FAULTS, 1)
    rates = {name: round(rng.uniform(0.01, 0.06), 4) for name in names}
    for costly in {names[-1], "error_429"} & rates.keys():
        rates[costly] = round(rates[costly] / 4, 4)
    told = {
        "retry_after": rng.choice(("none", "none", "seconds", "fraction", "ms", "date")),
        "retry_after_seconds": 0.4,
        "slow_seconds": 0.3,
    }
    extra: dict[str, Any] = rng.choice(
        ({}, {}, {}, {}, {"missing": 0.02}, {"outage_after": 1.5, "outage_seconds": 2.5})
    )
    if rng.random() < 0.06:
        rates["slow"] = 0.4
    refused = {"error_401": 0.002} if rng.random() < 0.08 else {}
    return {} if rng.random() < 0.25 else {**rates, **told, **extra, **refused}


def exact(text: str | bytes) -> Any:
    """Parse JSON so that equal means equal: numbers by their digits, surrogates as they are."""
    return json.loads(text, parse_float=lambda t: ("float", t), parse_int=lambda t: ("int", t))


def _without(record: dict[str, Any], *names: str) -> dict[str, Any]:
    kept = {name: value for name, value in record["completion"].items() if name not in names}
    return {**record, "completion": kept}


@dataclass(slots=True)
class Damage:
    """Data files that the storm has damaged, and how `verify` has to call it."""

    paths: set[str]
    kind: Kind
    undo: Callable[[], object] | None = None


@dataclass(slots=True)
class Figures:
    """What is told at the end."""

    rounds: int = 0
    runs: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    damaged: Counter[str] = field(default_factory=Counter)
    verified: int = 0
    looks: int = 0
    commits: int = 0
    lost: set[str] = field(default_factory=set)
    doubled: set[str] = field(default_factory=set)


class Soak:
    """The storm and the reckoning; `problems` is empty where all is well."""

    def __init__(self, folder: Path, *, completions: int, seed: int) -> None:
        self.problems: list[str] = []
        self.figures = Figures()
        self._seed = seed
        self._folder = folder
        self._lake = folder / "lake"
        self.source = Source(completions, seed, folder)
        self.children = Children(folder / "chatlake.yaml", folder)
        self._stored: dict[str, Stored] = {}
        self._excused: set[str] = set()
        self._damage: Damage | None = None

    def storm(self, seconds: float) -> None:
        """Round after round until the time is up, or something is wrong."""
        self.source.start()
        source = {
            "name": SOURCE,
            "base_url": self.source.base_url,
            "api_key": f"${{{KEY_VARIABLE}}}",
            # A long one finds edits; a short one leaves it to the cursor alone that nothing is missed.
            "lookback": "48h" if self._seed % 2 else "5m",
            "full_sweep_every": None,
            "pace": PACE,
        }
        document = {"version": 1, "lake": "lake", "sources": [source]}
        (self._folder / "chatlake.yaml").write_bytes(msgspec.yaml.encode(document))
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.problems:
            self._round(Round.choose(self._seed, self.figures.rounds + 1, self.source))

    def reckon(self) -> None:
        """Back up undisturbed, then compare everything with the source."""
        self.source.set_faults({})
        self.source.reveal_all()
        for words in (["backup"], ["backup", "--full"], ["backup", "--full"]):
            self.source.sweeps += "--full" in words
            self._must_succeed(*words)
            self._look(f"after the last {' '.join(words)}")
            self._check_complete()
        again = self._must_succeed("backup")
        if again.report is not None and (
            again.report["files_added"] or again.report["sources"][0]["new"]
        ):
            self._wrong("a run without anything to do added files", again)
        self._must_succeed("verify")
        path = self._folder / "export.jsonl"
        if self._must_succeed("export", "raw", "--output", str(path)).code == 0:
            self._compare(path)
        lake = Lake.open(self._lake)
        self._check_doubled(lake, KEYS)
        self._check_metadata(lake)
        if lake.state.failures:
            self._say_wrong("open failures are left", [key[1] for key in lake.state.failures])

    # One round

    def _round(self, plan: Round) -> None:
        began = time.monotonic()
        self.figures.rounds = plan.number
        self.source.apply(plan.before)
        told = self._do_damage(plan)
        if self._lake.exists() and (plan.verify or (self._damage and plan.where < 0.6)):
            self._verify()
        if self._damage is not None and self._damage.undo is not None:
            self._damage.undo()
            self._damage = None
        self.source.set_faults(plan.faults)
        codes = self._back_up(plan)
        self.source.set_faults({})
        commits = self._look(f"after round {plan.number}")
        if codes[0] == 0 and not plan.meanwhile:
            self._check_complete()
        if plan.verify and self._lake.exists():
            self._verify()
        print(
            f"round {plan.number:3}  {time.monotonic() - began:5.1f} s  {plan}{told}  -> exit "
            f"{' and '.join(map(str, codes))}, {commits} commits, {len(self._stored)} stored",
            flush=True,
        )

    def _back_up(self, plan: Round) -> list[int]:
        words = ["backup", "--full"] if plan.full else ["backup"]
        disturbance = plan.disturbance
        self.source.sweeps += plan.full
        children = [self.children.start(*words, failpoint=disturbance.failpoint)]
        began = time.monotonic()
        events: list[tuple[float, Callable[[], object]]] = []
        if disturbance.number:
            events.append((disturbance.after, lambda: self._signal(children[0], disturbance)))
        if plan.second_after is not None:
            start = self.children.start
            events.append((plan.second_after, lambda: children.append(start("backup"))))
        if plan.look_after is not None and self._damage is None:
            events.append((plan.look_after, self._look_meanwhile))
        if plan.meanwhile:
            changes = plan.meanwhile
            events.append((plan.meanwhile_after, lambda: self.source.apply(changes)))
        for at, happens in sorted(events, key=lambda event: event[0]):
            # When the run has ended before, it happens at once: the next round counts on it.
            with contextlib.suppress(subprocess.TimeoutExpired):
                children[0].wait(max(0.0, began + at - time.monotonic()))
            happens()
        ended = [self.children.wait(child) for child in children]
        self.figures.runs += len(ended)
        self._check_ended(plan, ended)
        return [end.code for end in ended]

    def _signal(self, child: subprocess.Popen[bytes], disturbance: Disturbance) -> None:
        if child.poll() is not None:
            return
        child.send_signal(disturbance.number)
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.problems.append(f"a backup went on for {STOP_SECONDS:.0f} s after {disturbance}")

    def _check_ended(self, plan: Round, ended: list[Ended]) -> None:
        two = len(ended) > 1
        for place, end in enumerate(ended):
            codes = plan.codes if place == 0 else plan.codes - plan.disturbance.codes | {0, 3}
            if end.code not in codes | ({8} if two else set()):
                self._wrong(f"round {plan.number}: exit code {end.code}, not of {codes}", end)
            if "Traceback" in end.errors and end.code >= 0:
                self._wrong(f"round {plan.number}: a traceback", end)
        if [end.code for end in ended] == [8, 8]:
            self._wrong(f"round {plan.number}: of two at once none got the lock", ended[0])
        if ended[0].code in plan.disturbance.codes:
            self.figures.killed[plan.disturbance.name] += 1

    # Damage

    def _do_damage(self, plan: Round) -> str:
        if plan.damage is None or self._damage is not None or not self._stored:
            return ""
        files = self._files_to_damage(plan)
        tables = " and ".join(file.table for file in files)
        told = f"; {plan.damage} {tables} of {files[0].created_date}"
        self.figures.damaged[plan.damage] += len(files)
        if plan.damage == "flip":
            # A backup does not read what it does not need, so this one is put right again.
            path = self._lake / files[0].path
            data = path.read_bytes()
            place = int(plan.where * len(data))
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            self._damage = Damage({files[0].path}, "altered", lambda: path.write_bytes(data))
            return told
        # What the source no longer has cannot come back.
        for name, stored in self._stored.items():
            if stored.day == files[0].created_date:
                self._excused.add(name)
        for file in files:
            if plan.damage == "delete":
                (self._lake / file.path).unlink()
            else:
                os.truncate(self._lake / file.path, int(plan.where * file.bytes))
        kind: Kind = "missing" if plan.damage == "delete" else "size"
        self._damage = Damage({file.path for file in files}, kind)
        return told

    def _files_to_damage(self, plan: Round) -> list[PartFile]:
        """Choose a file, and perhaps some of the same day in other tables."""
        state = Lake.open(self._lake).state
        rng = random.Random(plan.where)
        table = rng.choice(sorted({file.table for file in state.files.values()}))
        first = rng.choice(sorted(state.table_files(table), key=lambda file: file.path))
        same_day = {file.table: file for file in state.partition_files(first.partition)}
        others = [file for name, file in sorted(same_day.items()) if name != table]
        count = 0 if plan.damage == "flip" else rng.choice((0, 0, 0, 1, 2))
        return [first, *rng.sample(others, min(count, len(others)))]

    def _verify(self) -> None:
        ended = self.children.run("verify")
        self.figures.verified += 1
        found = (ended.report or {}).get("findings", [])
        damaged = [(found["path"], found["kind"]) for found in found]
        damage = self._damage
        wanted = [] if damage is None else [(path, damage.kind) for path in sorted(damage.paths)]
        if sorted(damaged) != wanted or ended.code != (7 if wanted else 0):
            said = f"{ended.code}: {json.dumps(found, indent=1)}"
            self._wrong(f"verify was to find {wanted or 'nothing'}, and said {said}", ended)

    # Looking at the lake

    def _look(self, when: str) -> int:
        """Compare the lake with what it held before; returns the number of commits."""
        try:
            lake = Lake.open(self._lake)
        except LakeNotFoundError:
            return 0
        self.figures.looks += 1
        self.figures.commits = lake.state.number
        self._check_ledger(lake.state, when)
        if self._damage is not None:
            if self._damage.paths & lake.state.files.keys():
                return lake.state.number  # the views cannot be read until a run heals it
            self._damage = None
        stored: dict[str, Stored] = {}
        for partition in lake.state.partitions(SOURCE):
            for name, version in lake.stored_versions(partition).items():
                stored[name] = Stored(
                    partition.created_date, version.digest is not None, version.deleted
                )
        complete = {name for name, now in stored.items() if now.is_complete}
        lost = self._stored.keys() - stored.keys() - self._excused
        self.figures.lost |= lost
        self._say_wrong(f"{when}: lost, though it was committed", lost)
        were = {name for name, before in self._stored.items() if before.is_complete}
        self._say_wrong(
            f"{when}: lost messages that were committed",
            (were & stored.keys()) - complete - self._excused,
        )
        self._say_wrong(
            f"{when}: marked deleted, and no two full sweeps can have missed it",
            [
                name
                for name, now in stored.items()
                if now.is_deleted and not self.source.may_be_marked(name)
            ],
        )
        self._stored = stored
        self._excused -= complete
        self._check_doubled(lake, ("completions", "messages", "content_parts"))
        self._check_counts(lake, when)
        return lake.state.number

    def _check_complete(self) -> None:
        """After a complete run, full or not, all is there that was never hidden from the list."""
        complete = {name for name, stored in self._stored.items() if stored.is_complete}
        lost = set(self.source.visible) - self.source.ever_hidden - complete
        self.figures.lost |= lost
        self._say_wrong("a complete run passed over", lost)

    def _look_meanwhile(self) -> None:
        """Read as any other program does, while a backup writes."""
        try:
            lake = Lake.open(self._lake)
            self._check_counts(lake, "in the middle of a run")
            self._check_doubled(lake, ("completions", "messages"))
        except LakeNotFoundError:
            return
        except (ChatlakeError, duckdb.Error) as error:
            self.problems.append(f"a reader failed in the middle of a run: {error!r}")

    def _check_counts(self, lake: Lake, when: str) -> None:
        with contextlib.closing(lake.connect()) as connection:
            unlike = {name for (name,) in connection.execute(UNLIKE_COUNT).fetchall()}
        self._say_wrong(f"{when}: not as many messages as counted", unlike - self._excused)

    def _check_doubled(self, lake: Lake, views: Iterable[str]) -> None:
        with contextlib.closing(lake.connect()) as connection:
            for view in views:
                query = f"SELECT {KEYS[view]} FROM {view} GROUP BY ALL HAVING count(*) > 1"
                doubled = {f"{view} {key}" for key in connection.execute(query).fetchall()}
                self.figures.doubled |= doubled
                self._say_wrong(f"doubled rows in {view}", doubled)

    def _check_ledger(self, state: LakeState, when: str) -> None:
        wrong = [
            run.run_id
            for run in state.runs.values()
            if run.listed != run.new + run.changed + run.unchanged + run.failed
        ]
        self._say_wrong(f"{when}: the ledger does not add up for the runs", wrong)

    def _check_metadata(self, lake: Lake) -> None:
        query = "SELECT completion_id, metadata, deleted_at IS NOT NULL FROM completions"
        with contextlib.closing(lake.connect()) as connection:
            shown = {name: rest for name, *rest in connection.execute(query).fetchall()}
        wanted = {
            truth["completion"]["id"]: [truth["completion"]["metadata"], False]
            for truth in self.source.truth()
        }
        unlike = [name for name in wanted if name in shown and shown[name] != wanted[name]]
        self._say_wrong("metadata or deleted_at are not those of the source", unlike)
        unmarked = [name for name in shown.keys() - wanted.keys() if not shown[name][1]]
        self._say_wrong("not marked deleted after two full sweeps", unmarked)

    def _compare(self, path: Path) -> None:
        """Compare an export with what the source holds."""
        exported: dict[str, Any] = {}
        bare = 0
        with path.open("rb") as file:
            for line in file:
                record = exact(line)
                if record["completion"] is None:
                    bare += 1
                    continue
                name = record["completion"]["id"]
                if name in exported:
                    self.figures.doubled.add(f"export {name}")
                exported[name] = record
        unlike = []
        for truth in self.source.truth():
            name = truth["completion"]["id"]
            if name not in exported:
                self.figures.lost.add(name)
            elif exported.pop(name) != truth:
                unlike.append(name)
        if bare > len(self._excused):
            self.problems.append(f"{bare} exported without their completion")
        self._say_wrong("the source has it, the export does not", self.figures.lost)
        self._say_wrong("twice in the export", self.figures.doubled)
        self._say_wrong("exported otherwise than the source has it", unlike)
        self._say_wrong(
            "exported, and never was at the source", exported.keys() - set(self.source.deleted)
        )
        incomplete = {name for name, stored in self._stored.items() if not stored.is_complete}
        self._say_wrong(
            "deleted at the source, and exported otherwise than it was",
            [
                name
                for name, record in exported.items()
                if name not in incomplete | self._excused
                and not self.source.once_sent(name, record)
            ],
        )

    # Words

    def _must_succeed(self, *words: str) -> Ended:
        ended = self.children.run(*words)
        self.figures.runs += words[0] == "backup"
        print(f"last run  {ended.words}  -> exit {ended.code}, {ended.seconds:.1f} s", flush=True)
        if ended.code != 0:
            self._wrong(f"exit code {ended.code} when nothing disturbed", ended)
        return ended

    def _say_wrong(self, what: str, names: Iterable[str]) -> None:
        some = sorted(names)
        if some:
            more = f" and {len(some) - 8} more" if len(some) > 8 else ""
            self.problems.append(f"{what}: {', '.join(some[:8])}{more}")

    def _wrong(self, what: str, ended: Ended) -> None:
        errors = "\n    ".join(ended.errors.splitlines()[-12:])
        self.problems.append(f"{what}\n  chatlake {ended.words}\n    {errors}")


def _told(counts: Counter[str]) -> str:
    return " ".join(f"{name} {count}" for name, count in counts.most_common()) or "none"


def main() -> int:
    """Storm, reckon, tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300, help="how long the storm lasts [300]")
    parser.add_argument("--seed", type=int, default=1, help="what is chosen follows from it [1]")
    parser.add_argument("--completions", type=int, default=3000, help="at the start [3000]")
    parser.add_argument(
        "--keep", action="store_true", help="keep the folder when something is wrong"
    )
    options = parser.parse_args()
    began = time.monotonic()

    def stop(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    folder = Path(tempfile.mkdtemp(prefix="chatlake-soak-"))
    soak = Soak(folder, completions=options.completions, seed=options.seed)
    keep = False
    try:
        soak.storm(options.seconds)
        if not soak.problems:
            soak.reckon()
        keep = options.keep and bool(soak.problems)
    finally:
        soak.children.stop()
        soak.source.stop()
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    figures = soak.figures
    print(
        f"runs {figures.runs} in {figures.rounds} rounds, {figures.commits} commits\n"
        f"killed {figures.killed.total()}: {_told(figures.killed)}\n"
        f"faults {soak.source.faults.total()}: {_told(soak.source.faults)}\n"
        f"files damaged {figures.damaged.total()}: {_told(figures.damaged)}; "
        f"verified {figures.verified} times, looked {figures.looks} times\n"
        f"lost {len(figures.lost)}, doubled {len(figures.doubled)}, "
        f"{time.monotonic() - began:.0f} s, seed {options.seed}"
    )
    for problem in soak.problems:
        print(f"WRONG: {problem}")
    if keep:
        print(f"kept: {folder}")
    return 1 if soak.problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
