"""Prefect Secret blocks, for `secret:NAME` references."""

from __future__ import annotations

import os


def load_prefect_secret(name: str) -> str:
    """Return the value of a Prefect Secret block; ValueError where there is none."""
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "180")
    from prefect.blocks.system import Secret  # noqa: PLC0415 - takes seconds, rarely needed

    block = Secret.load(name, _sync=True)  # type: ignore[call-arg]
    return str(block.get())  # type: ignore[union-attr]
