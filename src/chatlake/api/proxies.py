"""Which proxy to use for a source: the configured one, else the environment's.

`HTTPS_PROXY`, `HTTP_PROXY` and `ALL_PROXY` name it, with a scheme or without; `NO_PROXY` names the
hosts that are reached directly, as curl and Go read it:

    *                          all of them
    example.org, .example.org  the host and everything below it; `*.example.org` too
    example.org:8443           only this port
    10.0.0.0/8, fd00::/8       addresses of a network
    ::1, [::1], [::1]:8080     one address

Loopback is never reached through a proxy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, getproxies_environment, proxy_bypass

from chatlake.errors import ConfigurationError

DIRECT: Final = "direct"
_PORTS: Final = {"http": 80, "https": 443}
_HINT: Final = "Use an HTTP proxy such as http://proxy.example.org:3128, or none."


def proxy_for(
    scheme: str, host: str, port: int | None = None, *, configured: str | None = None
) -> str | None:
    """Return the address of the proxy for a host, None for a direct connection.

    `configured`: what the configuration says; "direct" for no proxy, None to ask the environment.
    ConfigurationError if what is named is not a proxy that can be used.
    """
    if is_loopback(host) or configured == DIRECT:
        return None
    if configured is not None:
        return _address(configured, "proxy")
    named = getproxies()
    if _is_direct(host, port or _PORTS.get(scheme), named):
        return None
    if not getproxies_environment() and proxy_bypass(host):  # of the system's settings
        return None
    for name in (scheme, "all"):
        if named.get(name):
            return _address(named[name], f"{name.upper()}_PROXY")
    return None


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _address(text: str, where: str) -> str:
    """Return the whole address of a proxy; it may have no scheme. Credentials are never shown."""
    whole = text.strip() if "://" in text else f"http://{text.strip()}"
    shown = text.rpartition("@")[2]
    try:
        parts = urlsplit(whole)
        is_usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ConfigurationError(f"{where} is {shown!r}, which is not the address of a proxy",
                                 hint=_HINT)  # fmt: skip
    if parts.scheme.lower() not in {"http", "https"}:
        raise ConfigurationError(
            f"{where} names a {parts.scheme} proxy ({parts.hostname}): only http and https proxies "
            "can be used",
            hint=_HINT,
        )
    return whole


def _is_direct(host: str, port: int | None, named: Mapping[str, str]) -> bool:
    entries = (entry.strip().lower() for entry in named.get("no", "").split(","))
    return any(_matches(entry, host.lower().rstrip("."), port) for entry in entries if entry)


def _matches(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    network, address = _network(entry), _ip(host)
    if network is not None:
        return address is not None and address in network
    name, of_port = _split_port(entry)
    if of_port is not None and of_port != port:
        return False
    if (one := _ip(name)) is not None:
        return one == address
    name = name.removeprefix("*").strip(".")
    return bool(name) and address is None and (host == name or host.endswith(f".{name}"))


def _split_port(entry: str) -> tuple[str, int | None]:
    """Split `host:port`, `[address]:port`, `[address]`; a bare IPv6 address has no port."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, int(rest[1:]) if rest[1:].isdecimal() else None
    name, colon, port = entry.rpartition(":")
    if colon and ":" not in name and port.isdecimal():
        return name, int(port)
    return entry, None


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry, strict=False) if "/" in entry else None
    except ValueError:
        return None


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
