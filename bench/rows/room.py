"""Bytes on disk against the bytes of JSON that came."""

from __future__ import annotations

from collections.abc import Iterator

from bench.backups import back_up_all, configuration, lake_bytes
from bench.results import Row, Target
from bench.servers import serving
from bench.stage import Stage

GROUP = "disk"


def measure(stage: Stage) -> Iterator[Row]:
    """Yield the room that lakes take, `raw` included: of texts alone, with images, in many days."""
    texts = _room(stage, image_share=0.0)
    yield _row(f"{stage.sizes.mixed:,} completions without images", *texts)
    mixed = _room(stage, image_share=0.06)
    yield _row(f"{stage.sizes.mixed:,} completions, every sixteenth with images", *mixed)
    big = stage.big
    days = stage.sizes.days
    what = f"{stage.sizes.many:,} such completions in {days} days"
    yield _row(what, big.many_bytes, big.server.bytes)


def _room(stage: Stage, *, image_share: float) -> tuple[int, int]:
    with serving(stage.sizes.mixed, image_share=image_share) as server:
        config = configuration(stage.folder / f"{GROUP}-{image_share}", server)
        back_up_all(config, server)
        return lake_bytes(config), server.bytes


def _row(what: str, stored: int, received: int) -> Row:
    return Row(
        GROUP,
        f"bytes on disk against the JSON received, {what}",
        f"{stored / 1e6:.1f} MB",
        f"{received / 1e6:.1f} MB",
        stored / received,
        Target("at most", 0.35),
    )
