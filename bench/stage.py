"""What the rows share: how big everything is, a folder to work in, and the big backup."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.backups import Backup, back_up_all, configuration
from bench.servers import Server, serving


@dataclass(frozen=True, slots=True)
class Sizes:
    """Counts of completions, seconds, and messages."""

    mixed: int = 4_000
    without_start: int = 20_000
    few: int = 3_000
    some: int = 5_000
    many: int = 100_000
    night: int = 2_000
    peer_defaults: int = 1_000
    processes: int = 20_000
    paced_s: int = 60
    latency_s: int = 20
    messages: int = 1_000_000


FULL = Sizes()
QUICK = Sizes(
    mixed=500, without_start=1_000, few=500, some=1_000, many=4_000, night=300, peer_defaults=200,
    processes=1_000, paced_s=10, latency_s=5, messages=50_000,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BigBackup:
    """The backup of `Sizes.many` completions over 200 days into a new lake; the server still runs."""

    server: Server
    config: Path
    backup: Backup


class Stage:
    """Lives as long as the program; `folder` and every server that it started go at its end."""

    def __init__(self, folder: Path, sizes: Sizes, until_the_end: ExitStack) -> None:
        self.folder = folder
        self.sizes = sizes
        self._until_the_end = until_the_end

    @cached_property
    def big(self) -> BigBackup:
        """Make the big backup, once."""
        server = self._until_the_end.enter_context(serving(self.sizes.many, days=200))
        config = configuration(self.folder / "big", server)
        return BigBackup(server, config, back_up_all(config, server))
