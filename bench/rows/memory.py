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
IMAGE_COMPLETIONS = 600
IMAGE_BYTES = 8_000_000
IMAGES_AT_LEAST = 100
IMAGES = {"image_share": 0.9, "photo_bytes": IMAGE_BYTES}


def measure(stage: Stage) -> Iterator[Row]:
    """Yield the peak at two sizes, their ratio, and the peak with images of 8 MB."""
    sizes = stage.sizes
    few = _peak_mb(stage, sizes.few)
    many = stage.big.backup.measured.rss_mb
    yield _bounded(f"peak of memory, {sizes.many:,} completions", many)
    yield Row(
        GROUP,
        f"peak of memory, {sizes.many:,} completions against {sizes.few:,}",
        f"{many:.0f} MB",
        f"{few:.0f} MB",
        many / few,
        Target("at most", 1.2),
    )
    yield _bounded(
        f"peak of memory, images of 8 MB in a sixth of {IMAGE_COMPLETIONS} completions",
        _peak_mb(stage, IMAGE_COMPLETIONS, **IMAGES),
    )


def _peak_mb(stage: Stage, completions: int, **options: float) -> float:
    with serving(completions, **options) as server:
        if options and server.bytes < IMAGES_AT_LEAST * IMAGE_BYTES * 4 / 3:
            raise BenchError("there are fewer images of 8 MB than there should be")
        config = configuration(stage.folder / f"{GROUP}-{completions}", server)
        return back_up_all(config, server).measured.rss_mb


def _bounded(what: str, peak_mb: float) -> Row:
    return Row(
        GROUP,
        what,
        f"{peak_mb:.0f} MB",
        f"{BOUND_MB} MB",
        peak_mb / BOUND_MB,
        Target("at most", 1.0),
    )
