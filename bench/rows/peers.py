"""Against what a user would build instead: on dlt's rest_api source, on the client library."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from bench.backups import back_up_all, ceiling, configuration
from bench.measured import BenchError, Measured, measured, python
from bench.results import Row, Target
from bench.servers import Server, serving
from bench.stage import Stage, peers_python

GROUP = "peers"
TABLES = ("completions", "messages")


def measure(stage: Stage) -> Iterator[Row]:
    """Yield wall time and CPU of the whole process, from its start to its end."""
    sizes = stage.sizes
    with serving(sizes.mixed) as server:
        highest = ceiling(server, requests=sizes.mixed)
        server.figures()
        ours = back_up_all(configuration(stage.folder / GROUP, server), server).measured
        sent = server.figures()
        tuned = run_peer(stage, server, "dlt_rest_api", "--tuned")
        script = run_peer(stage, server, "openai_script")
        fewer = server.show_only(sizes.peer_defaults)
        defaults = run_peer(stage, fewer, "dlt_rest_api")
    rates = f"the server could answer {highest:,.0f} requests a second; chatlake sent {{:,.0f}}"
    note = rates.format(sent.requests / sent.seconds)
    yield _row("wall time, dlt tuned", tuned.wall_s, ours.wall_s, Target("at least", 5.0), note)
    yield _row("CPU, dlt tuned", tuned.cpu_s, ours.cpu_s, Target("at least", 4.0))
    scale = sizes.mixed / sizes.peer_defaults
    note = f"dlt ran on {sizes.peer_defaults:,} completions; its time is shown {scale:g} times"
    yield _row("wall time, dlt with its defaults", scale * defaults.wall_s, ours.wall_s, note=note)
    yield _row("CPU, dlt with its defaults", scale * defaults.cpu_s, ours.cpu_s, note=note)
    yield _row("wall time, script on the openai client", script.wall_s, ours.wall_s)
    yield _row("CPU, script on the openai client", script.cpu_s, ours.cpu_s)


def run_peer(
    stage: Stage, server: Server, module: str, *words: str, apart: str = GROUP
) -> Measured:
    """Run a peer into a folder of its own, named by `apart`.

    BenchError unless its files have every row.
    """
    folder = stage.folder / "-".join((apart, module, *words))
    interpreter = str(peers_python())
    run = measured(
        python(
            "-m", f"bench.peers.{module}", server.base_url, folder, *words, interpreter=interpreter
        )
    )
    written = folder / _last_line(run)["folder"]
    rows = _last_line(
        measured(python("-m", "bench.peers.rows_in", written, interpreter=interpreter))
    )
    stored = [rows.get(table) for table in TABLES]
    if stored != [server.completions, server.messages]:
        raise BenchError(f"{module} stored {stored}, the server has {server}")
    return run


def _last_line(run: Measured) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run.output.splitlines()[-1])
    return found


def _row(
    what: str, theirs: float, ours: float, target: Target | None = None, note: str = ""
) -> Row:
    return Row(GROUP, what, f"{ours:.2f} s", f"{theirs:.2f} s", theirs / ours, target, note)
