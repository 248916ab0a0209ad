"""The peak of memory: bounded, and the same whatever the size of the source."""

from __future__ import annotations

from collections.abc import Iterator

from bench.backups import back_up_all, configuration
from bench.measured import BenchError
from bench.results import Row, Target
from bench.servers import serving
from bench.stage import Stage

GROUP = "memory"
BOUND_MB = 300
IMAGE_COMPLETIONS = 300
IMAGE_BYTES = 8_000_000
IMAGES_AT_LEAST = 50
IMAGE_SHARE = 0.9


def measure(stage: Stage) -> Iterator[Row]:
    """Yield the peak at two sizes, their ratio, and the peak with images of 8 MB."""
    sizes, big = stage.sizes, stage.big
    few, many = big.few.measured.peak_mb(), big.many.measured.peak_mb()
    yield _bounded(f"peak of memory, {sizes.many:,} completions", many)
    yield Row(
        GROUP,
        f"peak of memory, {sizes.many:,} completions against {sizes.few:,}",
        f"{many:.0f} MB",
        f"{few:.0f} MB",
        many / few,
        Target("at most", 1.2),
    )
    yield _bounded("peak of memory with an image of 8 MB in every sixth completion", _images(stage))


def _images(stage: Stage) -> float:
    with serving(IMAGE_COMPLETIONS, image_share=IMAGE_SHARE, photo_bytes=IMAGE_BYTES) as server:
        if server.bytes < IMAGES_AT_LEAST * IMAGE_BYTES * 4 / 3:
            raise BenchError("there are fewer images of 8 MB than there should be")
        config = configuration(stage.folder / f"{GROUP}-images", server)
        return back_up_all(config, server).measured.peak_mb()


def _bounded(what: str, peak_mb: float) -> Row:
    ours, theirs = f"{peak_mb:.0f} MB", f"{BOUND_MB} MB"
    return Row(GROUP, what, ours, theirs, peak_mb / BOUND_MB, Target("at most", 1.0))
