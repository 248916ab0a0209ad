"""Keeps requests to this machine out of the proxy, such as those to a Prefect server on loopback.

Python's HTTP clients send every request to the proxy of `HTTP_PROXY`, even those to 127.0.0.1,
which no proxy can reach. Only `NO_PROXY` exempts it, and few people think of that for a program
whose server they never see.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Final

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_NAMES: Final = ("NO_PROXY", "no_proxy")


def exempt_loopback(environment: MutableMapping[str, str] | None = None) -> None:
    """Add loopback to `NO_PROXY` of an environment, by default this process's, and its children's.

    Both spellings get the entries of both, because some programs read one and some the other. `*`
    exempts everything already and stays alone.
    """
    environ = os.environ if environment is None else environment
    entries = [entry.strip() for name in _NAMES for entry in environ.get(name, "").split(",")]
    chosen = list(dict.fromkeys(entry for entry in [*entries, *LOOPBACK] if entry))
    value = "*" if "*" in chosen else ",".join(chosen)
    for name in _NAMES:
        environ[name] = value
