"""The check of `chatlake doctor` that looks at the address of `notify`; nothing is posted."""

from __future__ import annotations

from collections.abc import Iterator

from chatlake.bootstrap.secrets import load_prefect_secret
from chatlake.cli.checks import Check, failed, passed
from chatlake.config import Settings
from chatlake.errors import ConfigurationError


def notify_checks(settings: Settings) -> Iterator[Check]:
    """Check that it resolves to an address, if the configuration has one."""
    if settings.notify is None:
        return
    try:
        settings.notify.resolve(load_prefect_secret)
    except ConfigurationError as error:
        yield failed("notify", error)
    else:
        yield passed("notify", f"{settings.notify} is valid; nothing was posted")
