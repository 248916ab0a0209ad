"""Prefect settings for chatlake's own runs; whatever the user has set stays."""

from __future__ import annotations

import logging
import os

from chatlake.bootstrap.loopback import exempt_loopback
from chatlake.bootstrap.prefect_settings import active_profile
from chatlake.errors import ChatlakeError

DEFAULTS = {
    # Without an API address a server is started for the run; a fresh home takes it half a minute.
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    # Neither that server nor the client reports that chatlake runs here.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # The engine logs with the standard library; this brings its messages into the runs' logs.
    "PREFECT_LOGGING_EXTRA_LOGGERS": "chatlake",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
_OLDER_NAMES = {"PREFECT_SERVER_EPHEMERAL_ENABLED": "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"}


def set_defaults() -> None:
    """Set `DEFAULTS` in the environment, but for what it or the active Prefect profile holds.

    And take loopback out of the proxy: the servers that are started are there.
    """
    exempt_loopback()
    profile = active_profile()
    for name, value in DEFAULTS.items():
        names = {name, _OLDER_NAMES.get(name, name)}
        if names.isdisjoint(os.environ) and names.isdisjoint(profile):
            os.environ[name] = value


def hear_engine() -> None:
    """Let what the engine logs as information reach Prefect, unless a level is set already.

    And let Prefect's log say only once, and in words, how a run ended: where a deployment runs, it
    would add the traceback of the error that the state carries. And let a run outlive the worker
    that reads what it prints.
    """
    from chatlake.flows.shown.console import outlive_console  # noqa: PLC0415 - imports Prefect

    outlive_console()
    logger = logging.getLogger("chatlake")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    logging.getLogger("prefect.flow_runs").addFilter(_is_no_state)


def _is_no_state(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], ChatlakeError))
