"""What grows with the lake, and should not: CPU a completion, a night, a night without news."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from bench.backups import Backup, back_up, bare_loop
from bench.measured import BenchError
from bench.results import Row, Target
from bench.servers import Server
from bench.stage import Stage

GROUP = "growth"
IDLE_S = 2.0


def measure(stage: Stage) -> Iterator[Row]:
    """Yield the growth of the cost of a completion and of a night; a night with nothing new."""
    sizes, big = stage.sizes, stage.big
    start_s = big.start.cpu_s
    some_s = sum(run.cpu_s for run in big.some) / len(big.some)
    some_ms = 1000 * (some_s - start_s) / sizes.some
    many_ms = 1000 * (big.many.cpu_s - start_s) / sizes.many
    yield Row(
        GROUP,
        f"CPU a completion, {sizes.many:,} completions against {sizes.some:,}",
        f"{many_ms:.2f} ms",
        f"{some_ms:.2f} ms",
        many_ms / some_ms,
        Target("at most", 1.1),
    )
    yield _idle(big.server, big.many_config)
    ours = _night(stage, big.many_config, sizes.many)
    theirs = _night(stage, big.few_config, sizes.few)
    yield Row(
        GROUP,
        f"CPU of a night with {sizes.night} new, lake of {sizes.many:,} against {sizes.few:,}",
        f"{ours:.2f} s",
        f"{theirs:.2f} s",
        ours / theirs,
        Target("at most", 1.1),
    )


def _idle(server: Server, config: Path) -> Row:
    server.figures()
    backup = back_up(config)
    if backup.figures["new"] or backup.figures["changed"]:
        raise BenchError("the night with nothing new found something")
    pages = server.figures().requests
    listing_s: float = json.loads(bare_loop(server, pages=pages).output)["seconds"]
    beside_s = backup.measured.wall_s - listing_s
    return Row(
        GROUP,
        f"a night with nothing new, lake of {server.completions:,}, beside the listing",
        f"{beside_s:.2f} s",
        f"{IDLE_S:g} s",
        beside_s / IDLE_S,
        Target("at most", 1.0),
        note=f"the listing: {pages} pages, {listing_s:.2f} s",
    )


def _night(stage: Stage, config: Path, before: int) -> float:
    """Return the least CPU of some nights in a row: interference only adds."""
    nights = [
        _one_night(stage, config, before + number * stage.sizes.night)
        for number in range(1, stage.sizes.nights + 1)
    ]
    return min(night.cpu_s for night in nights)


def _one_night(stage: Stage, config: Path, visible: int) -> Backup:
    stage.big.server.show_only(visible)
    night = back_up(config)
    if night.figures["new"] != stage.sizes.night:
        raise BenchError(f"a night found {night.figures['new']} new completions")
    return night
