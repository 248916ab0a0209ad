"""Opens the lake of a configuration."""

from __future__ import annotations

from chatlake.config import Settings
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
