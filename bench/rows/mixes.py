"""On loads that chatlake was not tuned on (`bench.mixes`): time, memory, files, room."""

from __future__ import annotations

from collections.abc import Iterator

from bench.backups import Backup, back_up_all, bare_loop, configuration, files_written, lake_bytes
from bench.mixes import MIXES, MixName
from bench.results import Row, Target
from bench.rows.peers import run_peer
from bench.servers import Server, serving
from bench.stage import Stage

GROUP = "mixes"
MANY = 24_000
_NAMES: dict[MixName, str] = {"days": "days of 200", "prompts": "long prompts"}
BOUND_MB = 260


def measure(stage: Stage) -> Iterator[Row]:
    """Yield the figures of each mix, and the peak of memory with six times as many days."""
    for mix in MIXES:
        with serving(stage.sizes.mixed, mix=mix) as server:
            yield from _of_mix(stage, mix, server)
    with serving(stage.sizes.mixed * MANY // 4_000, mix="days") as server:
        backup = back_up_all(configuration(stage.folder / f"{GROUP}-many", server), server)
        yield _peak(f"{server.completions:,} completions of {_NAMES['days']}", backup)


def _of_mix(stage: Stage, mix: MixName, server: Server) -> Iterator[Row]:
    name, count = _NAMES[mix], server.completions
    config = configuration(stage.folder / f"{GROUP}-{mix}", server)
    ours = back_up_all(config, server)
    loop = bare_loop(server, direct=True)
    written, listed = files_written(config)
    stored = lake_bytes(config)
    tuned = run_peer(stage, server, "dlt_rest_api", "--tuned", apart=mix)
    start = _start(stage, mix, server)
    theirs, own = loop.cpu_s - start[1], ours.cpu_s - start[0]
    wall = ours.measured.wall_s
    yield _times(f"wall time, dlt tuned, {name}", wall, tuned.wall_s, Target("at least", 3.0))
    yield _times(f"CPU, dlt tuned, {name}", ours.cpu_s, tuned.cpu_s, Target("at least", 3.0))
    yield Row(
        GROUP,
        f"CPU a completion against fetching alone, {name}",
        f"{1000 * ours.cpu_s / count:.2f} ms",
        f"{1000 * theirs / count:.2f} ms",
        ours.cpu_s / theirs,
        Target("at most", 5.0),
        note="ours includes the start of the process; fetching alone does not",
    )
    yield Row(
        GROUP,
        f"the same without the start of the process, {name}",
        f"{1000 * own / count:.2f} ms",
        f"{1000 * theirs / count:.2f} ms",
        own / theirs,
    )
    yield Row(
        GROUP,
        f"files written against files listed at the end, {name}",
        str(written),
        str(listed),
        written / listed,
        Target("at most", 1.2),
    )
    yield _peak(f"{count:,} completions of {name}", ours)
    yield Row(
        GROUP,
        f"bytes on disk against the JSON received, {name}",
        f"{stored / 1e6:.1f} MB",
        f"{server.bytes / 1e6:.1f} MB",
        stored / server.bytes,
        Target("at most", 0.38) if mix == "days" else None,
    )


def _start(stage: Stage, mix: MixName, server: Server) -> tuple[float, float]:
    """Return the CPU of a backup and of the bare loop that find nothing."""
    nothing = server.show_only(0)
    config = configuration(stage.folder / f"{GROUP}-{mix}-start", nothing)
    return back_up_all(config, nothing).cpu_s, bare_loop(nothing, direct=True).cpu_s


def _times(what: str, ours: float, theirs: float, target: Target) -> Row:
    return Row(GROUP, what, f"{ours:.2f} s", f"{theirs:.2f} s", theirs / ours, target)


def _peak(what: str, backup: Backup) -> Row:
    peak, bound = backup.measured.peak_mb(), BOUND_MB
    target = Target("at most", 1.0)
    return Row(
        GROUP, f"peak of memory, {what}", f"{peak:.0f} MB", f"{bound} MB", peak / bound, target
    )
