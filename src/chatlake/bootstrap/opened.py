"""Opens the lake of a configuration, and checks the names of sources that a user gives."""

from __future__ import annotations

from collections.abc import Collection

from chatlake.config import Settings
from chatlake.errors import UsageError
from chatlake.lake.lake import Lake
from chatlake.model.prices import Price


def open_lake(settings: Settings, *, create: bool = False, to_ask: bool = False) -> Lake:
    """Open the configured lake. LakeNotFoundError where there is none and `create` is False.

    `to_ask`: the caller calls `connect`, which itself notices that the lake was moved or copied.
    """
    prices = [Price(**dict(entry)) for entry in settings.prices]
    lake = Lake.open(settings.lake_location, access=settings.access, create=create, prices=prices)
    if not to_ask:
        lake.follow_move()
    return lake


def require_sources(settings: Settings, lake: Lake, names: Collection[str]) -> None:
    """Raise UsageError for a name that neither the configuration nor the lake has."""
    if not names:
        return  # without reading the manifests
    known = {source.name for source in settings.sources}
    known |= {file.partition.source for file in lake.state.files.values()}
    known |= {source for _, source in lake.state.runs}
    for name in names:
        if name not in known:
            raise UsageError(
                f"--source {name!r}: there is no such source",
                hint=f"Give one of {', '.join(sorted(known))}.",
            )
