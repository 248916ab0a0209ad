"""The password of a Prefect server that chatlake starts on this machine.

Loopback is open to every user of a machine, and to every web page in a browser there. Prefect's
server answers all of them unless it has a password: it would start a run with any configuration,
change what a run does, or hand out a Secret block, all with this user's rights and keys. So a
server that chatlake starts always has one, new at each start. It travels in the environment, which
only this user can read, and never in the arguments of a process.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

USER: Final = "chatlake"
NO_ORIGIN: Final = ""
"""For `PREFECT_SERVER_CORS_ALLOWED_ORIGINS`: no web page of another server may send requests."""


def chosen_password() -> str | None:
    """Return what the user has set for Prefect servers on this machine. Imports Prefect."""
    from prefect.settings import PREFECT_SERVER_API_AUTH_STRING  # noqa: PLC0415 - takes seconds

    value = PREFECT_SERVER_API_AUTH_STRING.value()
    return str(value) if value else None


def new_password() -> str:
    """Return `user:password` in the form of Prefect's auth strings; it cannot be guessed."""
    return f"{USER}:{secrets.token_urlsafe(24)}"


@contextlib.contextmanager
def password_kept(file: Path, password: str) -> Iterator[None]:
    """Keep a password in a file that only this user can read; at the end it is removed."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.unlink(missing_ok=True)  # of a process that was killed
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with open(os.open(file, flags, 0o600), "w", encoding="ascii") as written:  # noqa: PTH123
        written.write(f"{password}\n")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_server_guarded() -> Iterator[None]:
    """Give a password to the server that Prefect may start for this process, and to its client.

    Prefect starts one if no API address is set, and keeps it until the process ends. So there is
    one password for the whole process. If an address is set, nothing changes. Imports Prefect.
    """
    from prefect.settings import (  # noqa: PLC0415 - takes seconds
        PREFECT_API_AUTH_STRING,
        PREFECT_API_URL,
        PREFECT_SERVER_API_AUTH_STRING,
        PREFECT_SERVER_CORS_ALLOWED_ORIGINS,
        temporary_settings,
    )

    if PREFECT_API_URL.value():
        yield
        return
    password = chosen_password() or _password_of_this_process()
    with temporary_settings(
        {
            PREFECT_API_AUTH_STRING: password,
            PREFECT_SERVER_API_AUTH_STRING: password,
            PREFECT_SERVER_CORS_ALLOWED_ORIGINS: NO_ORIGIN,
        }
    ):
        yield


@functools.cache
def _password_of_this_process() -> str:
    return new_password()
