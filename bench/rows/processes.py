"""What `runner: {kind: processes}` gains over threads, in the Prefect flow as a script."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bench.backups import KEY, configuration
from bench.measured import ROOT, BenchError, measured, python
from bench.results import Row
from bench.servers import Server, serving
from bench.stage import Stage

GROUP = "processes"
COUNT = "SELECT (SELECT count(*) FROM completions) AS c, (SELECT count(*) FROM messages) AS m"


def measure(stage: Stage) -> Iterator[Row]:
    """Yield wall time of both runners: what the whole command takes, and without its start."""
    count = stage.sizes.processes
    with serving(count) as server:
        threads_s = _flow(stage, server, "threads")
        processes_s = _flow(stage, server, "processes")
        start_s = _flow(stage, server.show_only(0), "threads")
    what = f"Prefect flow, {count:,} completions: threads against 2 processes"
    yield Row(
        GROUP, what, f"{processes_s:.0f} s", f"{threads_s:.0f} s", threads_s / processes_s,
        note=f"{start_s:.0f} s of each are Prefect's start",
    )  # fmt: skip
    processes_s, threads_s = processes_s - start_s, threads_s - start_s
    yield Row(
        GROUP,
        "the same without Prefect's start",
        f"{processes_s:.0f} s",
        f"{threads_s:.0f} s",
        threads_s / processes_s,
    )


def _flow(stage: Stage, server: Server, kind: str) -> float:
    folder = stage.folder / f"{GROUP}-{kind}-{server.completions}"
    config = configuration(folder, server, runner=f"{{kind: {kind}, workers: 2}}")
    env = {**KEY, "PREFECT_HOME": str(stage.folder / "prefect")}
    run = measured(python(ROOT / "flows" / "backup.py", "--config", config), env=env)
    counting = ("-m", "chatlake", "sql", COUNT, "--config", config, "--format", "json")
    stored = tuple(json.loads(measured(python(*counting), env=KEY).output)[0].values())
    if stored != (server.completions, server.messages + server.choices):
        raise BenchError(f"the flow with {kind} stored {stored}, the server has {server}")
    return run.wall_s
