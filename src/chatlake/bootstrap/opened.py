"""Opens the lake of a configuration."""

from __future__ import annotations

from chatlake.config import Settings
from chatlake.lake.lake import Lake


def open_lake(settings: Settings, *, create: bool = False) -> Lake:
    """Open the configured lake. LakeNotFoundError where there is none and `create` is False."""
    lake = Lake.open(settings.lake_location, access=settings.access, create=create)
    lake.follow_move()
    return lake
