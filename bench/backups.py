"""`chatlake backup` as a contestant: its configuration, the run, and the check of what it wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measured import BenchError, Measured, measured, python
from bench.servers import Server

KEY = {"CHATLAKE_BENCH_KEY": "bench"}


@dataclass(frozen=True, slots=True)
class Backup:
    """One run: what it took, and its figures of the one source (`chatlake backup --json`)."""

    measured: Measured
    figures: Mapping[str, Any]

    @property
    def cpu_s(self) -> float:
        """User and system time of the whole process."""
        return self.measured.cpu_s


def configuration(
    folder: Path, server: Server, *, concurrency: int = 32, runner: str = "{kind: threads}"
) -> Path:
    """Write a configuration whose lake is `folder`/lake; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "chatlake.yaml"
    path.write_text(
        "version: 1\n"
        "lake: lake\n"
        "sources:\n"
        f"  - {{name: openai, base_url: '{server.base_url}', api_key: '${{CHATLAKE_BENCH_KEY}}',\n"
        f"     full_sweep_every: null, pace: {{concurrency: {concurrency}}}}}\n"
        f"runner: {runner}\n",
        encoding="utf-8",
    )
    return path


def back_up(config: Path) -> Backup:
    """Run `chatlake backup` once; BenchError unless it ends complete."""
    command = python("-m", "chatlake", "backup", "--config", config, "--json", "--no-progress")
    run = measured(command, env=KEY)
    document = json.loads(run.output)
    if document["status"] != "complete" or document["failures"]:
        raise BenchError(f"the backup ended {document['status']}")
    return Backup(run, document["sources"][0])


def back_up_all(config: Path, server: Server) -> Backup:
    """Back up everything into a new lake; BenchError unless all of it was stored."""
    backup = back_up(config)
    expected = (server.completions, server.messages + server.choices)
    stored = (backup.figures["new"], backup.figures["messages"])
    if stored != expected:
        raise BenchError(f"chatlake stored {stored}, the server has {expected}")
    return backup


def bare_loop(server: Server, *, pages: int | None = None, direct: bool = False) -> Measured:
    """Run the bare loop; BenchError unless it received everything.

    `pages`: it only lists, and no more than these. `direct`: it asks httpx's transport.
    """
    words = [*_list_only(pages), *(["--direct"] if direct else [])]
    run = measured(python("-m", "bench.peers.bare_loop", server.base_url, *words))
    found = json.loads(run.output)
    if pages is None and (found["completions"], found["messages"]) != (
        server.completions,
        server.messages,
    ):
        raise BenchError(f"the bare loop received {found}, the server has {server}")
    return run


def _list_only(pages: int | None) -> list[str]:
    return [] if pages is None else [f"--list-only={pages}"]


def ceiling(server: Server, *, requests: int, connections: int = 32) -> float:
    """Return how many requests a second the server answers for the simplest possible client."""
    words = (f"--requests={requests}", f"--connections={connections}")
    run = measured(python("-m", "bench.peers.raw_client", server.base_url, *words))
    found = json.loads(run.output)
    if found["requests"] != requests:
        raise BenchError(f"the raw client got {found['requests']} answers of {requests}")
    return float(found["requests"] / found["seconds"])


def files_written(config: Path) -> tuple[int, int]:
    """Return how many Parquet files the commits of a lake have added, and how many are left."""
    added: list[str] = []
    removed: set[str] = set()
    for path in (config.parent / "lake" / "manifests").glob("[0-9]*.json"):
        manifest = json.loads(path.read_bytes())
        added += [file["path"] for file in manifest.get("added", ())]
        removed.update(manifest.get("removed", ()))
    return len(added), len(set(added) - removed)


def lake_bytes(config: Path) -> int:
    """Return the bytes of all of a lake but its catalogue: data, manifests, checkpoints.

    Call it after a vacuum: for a week, merged files stay beside the files that replaced them.
    """
    vacuum = python("-m", "chatlake", "vacuum", "--older-than", "0s", "--yes", "--config", config)
    measured(vacuum, env=KEY)
    files = (file for file in (config.parent / "lake").rglob("*") if file.is_file())
    return sum(file.stat().st_size for file in files if file.suffix != ".duckdb")
