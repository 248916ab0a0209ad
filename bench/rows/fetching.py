"""Against a loop that only fetches the same bodies: what everything else costs."""

from __future__ import annotations

from collections.abc import Iterator

from bench.backups import back_up_all, bare_loop, ceiling, configuration
from bench.results import Row, Target
from bench.servers import serving
from bench.stage import Stage

GROUP = "bare-loop"


def measure(stage: Stage) -> Iterator[Row]:
    """Yield CPU against the bare loop: of the whole process, and without what its start takes."""
    count = stage.sizes.mixed
    with serving(count) as server:
        highest = ceiling(server, requests=count)
        loop = bare_loop(server)
        server.figures()
        backup = back_up_all(configuration(stage.folder / GROUP, server), server)
        sent = server.figures()
        nothing = server.show_only(0)
        loop_start = bare_loop(nothing)
        start = back_up_all(configuration(stage.folder / f"{GROUP}-start", nothing), nothing)
    yield Row(
        GROUP,
        "CPU against a loop that only fetches",
        f"{backup.cpu_s:.2f} s",
        f"{loop.cpu_s:.2f} s",
        backup.cpu_s / loop.cpu_s,
        Target("at most", 1.7),
    )
    ours, theirs = backup.cpu_s - start.cpu_s, loop.cpu_s - loop_start.cpu_s
    yield Row(
        GROUP,
        "the same for each completion, without the start of the process",
        f"{1000 * ours / count:.2f} ms",
        f"{1000 * theirs / count:.2f} ms",
        ours / theirs,
    )
    rate = sent.requests / sent.seconds
    yield Row(
        GROUP,
        "the server's own ceiling against the rate at which chatlake asks",
        f"{rate:,.0f}/s",
        f"{highest:,.0f}/s",
        highest / rate,
    )
