"""Against a loop that only fetches the same bodies: what does everything else cost?"""

from __future__ import annotations

from collections.abc import Iterator

from bench.backups import back_up_all, bare_loop, configuration
from bench.results import Row, Target
from bench.servers import serving
from bench.stage import Stage

GROUP = "bare-loop"


def measure(stage: Stage) -> Iterator[Row]:
    """Yield CPU against the bare loop: with the start of the process, and where it is little."""
    sizes = stage.sizes
    yield _row(stage, sizes.mixed, Target("at most", 1.7))
    yield _row(stage, sizes.without_start, None)


def _row(stage: Stage, completions: int, target: Target | None) -> Row:
    with serving(completions) as server:
        loop = bare_loop(server)
        config = configuration(stage.folder / f"{GROUP}-{completions}", server)
        backup = back_up_all(config, server)
    return Row(
        GROUP,
        f"CPU against a loop that only fetches, {completions:,} completions",
        f"{backup.cpu_s:.1f} s",
        f"{loop.cpu_s:.1f} s",
        backup.cpu_s / loop.cpu_s,
        target,
    )
