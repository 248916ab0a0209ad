"""What Prefect costs a run: the CPU of its server for each task run, against the run's own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench.backups import KEY, configuration
from bench.measured import ROOT, measured, python
from bench.prefect_server import PrefectServer, prefect_server
from bench.results import Row, Target
from bench.servers import Server, serving
from bench.stage import Stage

GROUP = "prefect"
PER_MINUTE = 3_000
_SHARE = Target("at most", 0.05)
_IDLE_S = 10.0


@dataclass(frozen=True, slots=True)
class _Flow:
    """A run of the flow; `server_s`: CPU of the server above what it takes when idle."""

    wall_s: float
    cpu_s: float
    server_s: float
    tasks: int


def measure(stage: Stage) -> Iterator[Row]:
    """Yield the server's CPU for the task runs, against the time of the fetching itself."""
    count, paced = stage.sizes.processes, stage.sizes.paced_s * PER_MINUTE // 60
    with prefect_server(stage.folder / "prefect-server") as prefect, serving(count) as server:
        idle = _idle(prefect)
        begin = _flow(stage, prefect, server.show_only(0), idle)  # the first of all: not counted
        begin = _flow(stage, prefect, server.show_only(0), idle)
        paced_run = _flow(stage, prefect, server.show_only(paced), idle, PER_MINUTE)
        full = _flow(stage, prefect, server.show_only(count), idle)
    for run, what, ours in (
        (paced_run, f"at {PER_MINUTE:,} a minute, against wall time", paced_run.wall_s),
        (full, "as fast as it goes, against the run's CPU", full.cpu_s),
    ):
        theirs_s = ours - (begin.cpu_s if run is full else begin.wall_s)
        server_s = run.server_s - begin.server_s
        done = count if run is full else paced
        yield Row(
            GROUP,
            f"CPU of Prefect's server for the tasks of {done:,} completions {what}",
            f"{server_s:.1f} s",
            f"{theirs_s:.0f} s",
            server_s / theirs_s,
            _SHARE,
            note=f"{run.tasks} task runs, {1000 * server_s / run.tasks:.0f} ms each",
        )


def _idle(prefect: PrefectServer) -> float:
    """Return the CPU seconds that the server takes in a second in which nobody asks."""
    before, began = prefect.cpu_s(), time.monotonic()
    time.sleep(_IDLE_S)
    return (prefect.cpu_s() - before) / (time.monotonic() - began)


def _flow(
    stage: Stage, prefect: PrefectServer, server: Server, idle: float, pace: int | None = None
) -> _Flow:
    config = configuration(stage.folder / f"{GROUP}-{server.completions}-{time.time_ns()}", server)
    if pace is not None:
        text = config.read_text(encoding="utf-8")
        limit = f"pace: {{requests_per_minute: {pace}, "
        config.write_text(text.replace("pace: {", limit), encoding="utf-8")
    before, tasks, began = prefect.cpu_s(), prefect.task_runs(), time.monotonic()
    command = python(ROOT / "flows" / "backup.py", "--config", config)
    run = measured(command, env={**KEY, **prefect.env})
    server_s = prefect.cpu_s() - before - idle * (time.monotonic() - began)
    return _Flow(run.wall_s, run.cpu_s, server_s, prefect.task_runs() - tasks)
