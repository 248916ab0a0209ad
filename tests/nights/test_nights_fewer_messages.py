"""Nights in which `/messages` answers fewer than before: what was stored once stays readable."""

from __future__ import annotations

import pytest

from tests.nights.night import Nights
from tests.nights.server import NightServer

FULL = pytest.mark.parametrize("full", [False, True], ids=["incremental", "full"])


def settle_and_vacuum(nights: Nights) -> None:
    """Remove every file that no manifest lists, however young."""
    raise NotImplementedError


def talk(server: NightServer, count: int = 12) -> str:
    """Let there be some completions; one of them has three messages."""
    server.grow(count)
    name = server.ids()[5]
    server.converse(name, 3)
    return name
