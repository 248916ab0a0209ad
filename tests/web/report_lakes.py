"""Lakes that a report is made of: nights of real backups of the simulator, each at its time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine

from chatlake.config import Settings, load_settings
from chatlake.simulator import Running, Scenario, running
from tests.support import NOW, backup, write_config

TODAY = datetime.fromtimestamp(NOW, UTC)
COUNT = 120
DAYS = 12
MISSED = 4
"""Days before today; nobody backed up in that night."""
UNPRICED = "o4-mini-2025-04-16"
_PRICES = """
prices:
  - {model: "gpt-*", valid_from: 2025-01-01, input: 2, cached_input: 1, output: 8}
"""


@dataclass(frozen=True, slots=True)
class Nights:
    """The configuration, and the ids of the completions that changed or were lost."""

    settings: Settings
    gap: str
    deleted: str
    changed: str

    @property
    def config(self) -> str:
        """The path of the configuration."""
        return str(self.settings.path)


@contextmanager
def serving(**scenario: object) -> Iterator[Running]:
    """Serve completions of the last days."""
    options = {"completions": COUNT, "seed": 5, "days": DAYS, "now": NOW, **scenario}
    with running(Scenario(**options)) as server:  # type: ignore[arg-type]  # of several types
        yield server


def configured(server: Running, folder: Path) -> Settings:
    """Point a configuration at the server, with prices for all models but one."""
    options = {"full_sweep_every": None, "lookback": "1h", "pace": {"max_attempts": 2}}
    path = write_config(folder, server.base_url, **options)
    path.write_text(path.read_text() + _PRICES)
    return load_settings(path)


def live_through(server: Running, folder: Path) -> Nights:
    """Back up each night but one; one completion cannot be fetched, one goes, one changes."""
    settings = configured(server, folder)
    created = {
        entry["completion"]["id"]: entry["completion"]["created"] for entry in server.truth()
    }
    oldest_first = sorted(created, key=lambda key: created[key])
    gap, deleted, changed = oldest_first[10], oldest_first[2], oldest_first[3]
    server.refuse(gap, 403, ["get", "messages"])
    for key in created:
        server.hide(key)
    for back in range(DAYS, -1, -1):
        night = TODAY - timedelta(days=back)
        for key, at in created.items():
            if at <= night.timestamp() and (key != deleted or back > 3):
                server.reveal(key)
        if back == 3:
            server.delete(deleted)
            server.edit(changed, {"team": "renamed"})
        if back != MISSED:
            with time_machine.travel(night, tick=False):
                backup(settings, full=back in (1, 2))
    return Nights(settings, gap, deleted, changed)
