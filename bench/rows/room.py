"""Bytes on disk against the bytes of JSON that came."""

from __future__ import annotations

from collections.abc import Iterator

from bench.results import Row, Target
from bench.stage import Stage

GROUP = "disk"


def measure(stage: Stage) -> Iterator[Row]:
    """Yield the room that the big lake takes: all tables, `raw` and the images included."""
    big = stage.big
    yield Row(
        GROUP,
        f"bytes on disk against the JSON received, {stage.sizes.many:,} completions",
        f"{big.many_bytes / 1e6:.0f} MB",
        f"{big.server.bytes / 1e6:.0f} MB",
        big.many_bytes / big.server.bytes,
        Target("at most", 0.35),
    )
