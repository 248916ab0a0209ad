"""Prefect Secret blocks, for `secret:NAME` references."""

from __future__ import annotations

import os

from chatlake.config import Settings


def load_prefect_secret(name: str) -> str:
    """Return the value of a Prefect Secret block; ValueError if there is none.

    It is read from the server of `PREFECT_API_URL`, else from your Prefect home.
    Raises ChatlakeError if Prefect is not installed, or a later one has changed the database there.
    """
    # Most configurations have no such reference.
    from chatlake.bootstrap.loopback import exempt_loopback  # noqa: PLC0415
    from chatlake.bootstrap.prefect_database import require_known_database  # noqa: PLC0415
    from chatlake.bootstrap.prefect_password import temporary_server_guarded  # noqa: PLC0415
    from chatlake.bootstrap.runners import require_prefect  # noqa: PLC0415

    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "180")
    exempt_loopback()
    require_prefect()
    from prefect.blocks.system import Secret  # noqa: PLC0415 - takes seconds, rarely needed
    from prefect.settings import PREFECT_API_URL  # noqa: PLC0415

    if not PREFECT_API_URL.value():
        require_known_database()
    with temporary_server_guarded():
        block = Secret.load(name, _sync=True)  # type: ignore[call-arg]
    return str(block.get())  # type: ignore[union-attr]


def needs_prefect_secrets(settings: Settings) -> bool:
    """Say whether a configuration refers to a Prefect Secret block, wherever it may."""
    references = [each for source in settings.sources for each in source.secrets().values()]
    for target in settings.notify:
        found = [address.reference for _, address in target.addresses()]
        references += [reference for reference in found if reference is not None]
    rules = [settings.redact_of(source) for source in settings.sources]
    references += [each.hash_key for each in rules if each.hash_key is not None]
    return any(reference.kind == "prefect" for reference in references)
