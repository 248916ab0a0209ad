"""What the rows share: how big everything is, a folder to work in, and the big backup."""

from __future__ import annotations

import itertools
import math
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.backups import Backup, back_up_all, configuration, lake_bytes
from bench.measured import ROOT, BenchError, measured, python
from bench.servers import Server, serving

PATTERN_DAYS = 4
DAYS_OF_YEAR = 365
MESSAGES_A_COMPLETION = 5.7
"""In the simulator's conversations it is a little more, replies included."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Counts of completions, of messages, and seconds."""

    mixed: int = 4_000
    few: int = 3_000
    some: int = 5_000
    many: int = 100_000
    nights: int = 3
    night: int = 500
    peer_defaults: int = 1_000
    processes: int = 20_000
    paced_s: int = 60
    latency_s: int = 30
    messages: int = 1_000_000

    @property
    def days(self) -> int:
        """Over how many days the big server's completions are spread: a night's worth on each."""
        return max(1, self.many // self.night)


FULL = Sizes()
QUICK = Sizes(
    mixed=500, few=500, some=1_000, many=4_000, night=200, peer_defaults=200, processes=1_000,
    paced_s=10, latency_s=5, messages=50_000,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BigBackup:
    """Three backups of one server's completions, each of the first ones into a new lake.

    `server` has `Sizes.nights` nights more than `many`, and shows `many`. `start`: a run that finds
    nothing at all.
    """

    server: Server
    start: Backup
    few: Backup
    few_config: Path
    some: tuple[Backup, Backup]
    many: Backup
    many_config: Path
    many_bytes: int


def peers_python() -> Path:
    """Return the Python that has the peers; `make bench` installs it."""
    found = ROOT / ".venv" / "bench-peers" / "bin" / "python"
    if not found.exists():
        raise BenchError("the peers are not installed: `make bench-peers`")
    return found


class Stage:
    """Lives as long as the program; `folder` and every server that it started go at its end.

    `beside`: does one thing after the other, beside what else is measured.
    """

    def __init__(self, folder: Path, sizes: Sizes, until_the_end: ExitStack) -> None:
        self.folder = folder
        self.sizes = sizes
        self._until_the_end = until_the_end
        self.beside = until_the_end.enter_context(ThreadPoolExecutor(1))
        self._year: Future[Path] | None = None

    def begin_year(self) -> Future[Path]:
        """Begin to write the lake of a year, beside what else is measured."""
        if self._year is None:
            self._year = self.beside.submit(self._write_year)
        return self._year

    def year(self) -> Path:
        """Return the lake of a year with `Sizes.messages` messages."""
        return self.begin_year().result()

    def _write_year(self) -> Path:
        # Two days more than the pattern needs, since the first and the last are not whole.
        days = PATTERN_DAYS + 2
        a_day = math.ceil(self.sizes.messages / DAYS_OF_YEAR / MESSAGES_A_COMPLETION)
        with serving(a_day * days, days=days) as server:
            config = configuration(self.folder / "pattern", server)
            back_up_all(config, server)
        lake = self.folder / "year"
        measured(python("-m", "bench.million", config.parent / "lake", lake))
        return lake

    @cached_property
    def big(self) -> BigBackup:
        """Make the big backups, once."""
        sizes = self.sizes
        total = sizes.many + sizes.nights * sizes.night
        server = self._until_the_end.enter_context(
            serving(total, days=sizes.days * total / sizes.many)
        )

        numbers = itertools.count()

        def back_up_first(count: int) -> tuple[Backup, Path]:
            config = configuration(self.folder / f"first-{count}-{next(numbers)}", server)
            return back_up_all(config, server.show_only(count)), config

        start, _ = back_up_first(0)
        few, few_config = back_up_first(sizes.few)
        some, _ = back_up_first(sizes.some)
        many, many_config = back_up_first(sizes.many)
        again, _ = back_up_first(sizes.some)  # machines slow down and speed up in such a time
        return BigBackup(
            server.show_only(sizes.many),
            start,
            few,
            few_config,
            (some, again),
            many,
            many_config,
            lake_bytes(many_config),
        )
