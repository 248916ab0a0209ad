"""Prefect settings for chatlake's own runs; whatever the user has set stays."""

from __future__ import annotations

import logging
import os

from chatlake.bootstrap.loopback import exempt_loopback
from chatlake.bootstrap.prefect_settings import active_profile
from chatlake.errors import ChatlakeError

DEFAULTS = {
    # Without an API address a server is started for the run: half a minute in a fresh home.
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    # Neither that server nor the client reports that chatlake runs here.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # The engine logs with the standard library; this brings its messages into the runs' logs.
    "PREFECT_LOGGING_EXTRA_LOGGERS": "chatlake",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # The lines of a process that runs for months have a date.
    "PREFECT_LOGGING_FORMATTERS_STANDARD_DATEFMT": "%Y-%m-%d %H:%M:%S",
}
_OLDER_NAMES = {"PREFECT_SERVER_EPHEMERAL_ENABLED": "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"}


def set_defaults() -> None:
    """Set `DEFAULTS` in the environment, unless it or the active Prefect profile sets them.

    Also exempt loopback from the proxy, because the servers started here listen there.
    """
    exempt_loopback()
    profile = active_profile()
    for name, value in DEFAULTS.items():
        names = {name, _OLDER_NAMES.get(name, name)}
        if names.isdisjoint(os.environ) and names.isdisjoint(profile):
            os.environ[name] = value


def hear_engine() -> None:
    """Pass the engine's info messages on to Prefect, unless a log level is already set.

    Make Prefect log only once, in words, how a run ended: for a deployment it would add the
    traceback of the state's error. And let a run outlive the worker that reads its output.
    """
    from chatlake.flows.shown.console import outlive_console  # noqa: PLC0415 - imports Prefect

    outlive_console()
    logger = logging.getLogger("chatlake")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    logging.getLogger("prefect.flow_runs").addFilter(_is_no_state)


def _is_no_state(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], ChatlakeError))
