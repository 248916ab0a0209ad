"""What many tests need: a configuration for a server, a backup, the lake's rows."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
from hypothesis import settings

from chatlake.backup.ports import SilentObserver
from chatlake.backup.report import BackupReport
from chatlake.bootstrap.backup import open_lake, run_backup
from chatlake.bootstrap.sources import jobs_for
from chatlake.config import Settings, load_settings
from chatlake.simulator import Running

QUICK_EXAMPLES = 20
"""How many examples of a property `make test` tries."""
KEY = "sk-test-9f8e7d6c5b4a"
KEY_VARIABLE = "CHATLAKE_TEST_KEY"
NOW = 1_760_000_000
"""The simulator's present in tests, UTC seconds: their data are the same every day."""


def examples(count: int) -> int:
    """Return how many examples hypothesis tries where not `QUICK_EXAMPLES`: `count`, if thorough."""
    return count if settings.default.max_examples > QUICK_EXAMPLES else max(2, count // 3)


def write_config(folder: Path, base_url: str, **source: Any) -> Path:
    """Write a configuration with one source, `openai`; `source` adds to it or replaces."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "version": 1,
        "lake": "lake",
        "sources": [
            {
                "name": "openai",
                "base_url": base_url,
                "api_key": f"${{{KEY_VARIABLE}}}",
                **source,
            }
        ],
    }
    path = folder / "chatlake.yaml"
    path.write_bytes(msgspec.yaml.encode(document))
    return path


def in_bucket(config: Path, lake: str) -> Settings:
    """Let a configuration that was written name a lake in a bucket, and load it."""
    config.write_bytes(config.read_bytes().replace(b"lake: lake", f"lake: {lake}".encode()))
    return load_settings(config)


def settings_for(folder: Path, base_url: str, **source: Any) -> Settings:
    """Write such a configuration and load it."""
    return load_settings(write_config(folder, base_url, **source))


def backup(
    settings: Settings, *, ids: Sequence[str] | None = None, full: bool = False, **options: Any
) -> BackupReport:
    """Back up in this process, quietly, with the tests' key."""
    with mock.patch.dict(os.environ, {KEY_VARIABLE: KEY}):
        jobs = jobs_for(settings, ids=ids, full=full)
        return run_backup(settings, jobs, SilentObserver(), **options)


@contextmanager
def waiting_briefly() -> Iterator[None]:
    """Let this process wait for 20 ms at most before it asks a source again."""
    with mock.patch("chatlake.api.retry.LONGEST_WAIT_S", 0.02):
        yield


def figures(report: BackupReport) -> dict[str, int]:
    """Return the figures of the only source that say what was found."""
    (source,) = report.sources
    names = ("listed", "new", "changed", "unchanged", "failed")
    return {name: getattr(source.run, name) for name in names}


def rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    """Ask the lake's views."""
    connection = open_lake(settings).connect()
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def part_files(settings: Settings) -> set[str]:
    """Return every data file in the lake's folder, by its path there."""
    lake = Path(settings.lake_location)
    return {
        str(path.relative_to(lake))
        for path in lake.rglob("*.parquet")
        if path.relative_to(lake).parts[0] != "schema"
    }


def metadata_of(completion: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata of a completion as the API sent it."""
    return dict(completion["metadata"] or {})


def wait_for_messages(server: Running, count: int) -> None:
    """Wait until so many requests for messages were sent."""
    end = time.monotonic() + 60
    while server.stats()["requests"].get("messages", 0) < count:
        assert time.monotonic() < end, "the backup does not get on"
        time.sleep(0.02)
