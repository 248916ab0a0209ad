"""A server and the lake that is its backup."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nights.night import Nights
from tests.nights.server import NightServer, serving


@pytest.fixture
def server() -> Iterator[NightServer]:
    """Serve nothing yet, exactly."""
    with serving() as server:
        yield server


@pytest.fixture
def nights(server: NightServer, tmp_path: Path) -> Nights:
    """Return the lake of that server before its first night."""
    return Nights(server, tmp_path)
