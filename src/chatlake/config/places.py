"""Where things are and when they were: addresses, folders, files, instants, secrets."""

from __future__ import annotations

import ipaddress
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, ValidationInfo

from chatlake.config.expected import did_you_mean
from chatlake.config.fields import Leaf, text_of
from chatlake.config.references import SECRET_PATTERN, SecretReference, Text

URL_PATTERN = r"^https?://[^\s/?#@]+(/[^\s?#]*)?$"
# Plain HTTP to another host; an address behind a reference is unknown until it is read.
OPEN_HTTP_PATTERN = r"^http://(?!(?:localhost|[^/:]*\.localhost|127(?:\.[0-9]+){3}|\[::1\]|[^/]*\$\{.*)(?::[0-9]*)?(?:/|$))"
_SHELL_SYNTAX = re.compile(r"\$(?P<name>[A-Za-z_][A-Za-z0-9_]*)|\$\(|`")
LAKE_SCHEMES = ("s3", "gs", "az")
_SHELL = r"\$[A-Za-z_(]|`"
LAKE_PATTERN = (
    rf"^(?!.*(?:{_SHELL}))"
    r"(?:(?!\s*$)(?![A-Za-z][A-Za-z0-9+.-]*://)[^\x00-\x1f\x7f]+"
    r"|(?:s3|gs|az)://[^\s/?#@*\[\]]+(?:/[^\s?#*\[\]]*)?)$"
)
INSTANT_PATTERN = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?$"


def _instant(value: object) -> datetime:
    expected = "expected a date such as 2026-01-31 or a time such as 2026-01-31T08:00:00Z"
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, str) and re.fullmatch(INSTANT_PATTERN, value, re.ASCII):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{expected}; there is no such day or time") from None
    else:
        raise ValueError(expected)
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{expected}; there is no such day or time") from None


def _base_url(value: object) -> str:
    expected = "an address such as https://api.openai.com/v1"
    text = text_of(value, expected)
    if "@" in text.partition("://")[2].partition("/")[0]:
        raise ValueError("expected no user name or password in the address; use api_key or headers")
    if "?" in text or "#" in text:
        raise ValueError("expected no ? or # in the address; put parameters under query")
    check_shell(value, text)
    try:
        valid = re.fullmatch(URL_PATTERN, text) and urlsplit(text).hostname
        _ = urlsplit(text).port
    except ValueError:
        valid = None
    if not valid or not text.isprintable():
        raise ValueError(f"expected {expected}")
    text = text.rstrip("/")
    if text.endswith("/chat/completions"):
        raise ValueError("expected the address without /chat/completions at its end")
    if isinstance(value, Text):  # it remembers its references
        return Text(text, written=value.written, where=value.where, resolved=value.resolved)
    return text


def is_loopback(host: str) -> bool:
    """Whether requests to this host stay on this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_open_http(url: str) -> bool:
    """Whether requests to this address can be read by others on their way, the key among them."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def _lake(value: object) -> str:
    text = text_of(value, "a folder or an s3://, gs:// or az:// address")
    check_shell(value, text)
    scheme, slashes, rest = text.partition("://")
    if slashes and scheme in LAKE_SCHEMES and "@" in rest.partition("/")[0]:
        raise ValueError("expected no user name or password in the address")
    if not re.fullmatch(LAKE_PATTERN, text):
        near = did_you_mean(scheme, LAKE_SCHEMES) if slashes else ""
        raise ValueError(f"expected a folder or an s3://, gs:// or az:// address{near}")
    _check_home(text)
    return text.rstrip("/") or text


def _path(value: object) -> Path:
    text = text_of(value, "the path of a file")
    if not text.strip() or not text.isprintable():
        raise ValueError("expected the path of a file")
    check_shell(value, text)
    _check_home(text)
    return Path(text)


def absolute(folder: Path, path: str) -> str:
    """`path`, with `~` expanded, absolute from `folder`; `..` by name, as a shell's cd does."""
    return os.path.abspath(folder / os.path.expanduser(path))  # noqa: PTH100, PTH111  links stay


def _from_folder(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder", Path())
    return Path(absolute(folder, str(path)))


def check_shell(value: object, text: str) -> None:
    """Raise ValueError for what only a shell replaces: `$HOME` would be the name of a folder."""
    found = _SHELL_SYNTAX.search(text)
    if found is None:
        return
    if found["name"] and found[0] in (value.written if isinstance(value, Text) else text):
        raise ValueError(f"expected ${{{found['name']}}} instead of {found[0]}, with braces")
    raise ValueError("expected no shell syntax such as $HOME, $(pwd) or `pwd`; use ${NAME}")


def _check_home(text: str) -> None:
    if text.startswith("~") and os.path.expanduser(text) == text:  # noqa: PTH111
        raise ValueError("expected the name of a user who has a home folder after ~")


INSTANT = Leaf(
    _instant,
    {"type": "string", "pattern": INSTANT_PATTERN},
    lambda found: found.isoformat().replace("+00:00", "Z"),
)
BASE_URL = Leaf(
    _base_url,
    {
        "type": "string",
        "pattern": URL_PATTERN,
        "not": {"pattern": f"/chat/completions/*$|{_SHELL}"},
    },
)
LAKE = Leaf(_lake, {"type": "string", "pattern": LAKE_PATTERN})
File = Annotated[
    Path,
    Leaf(_path, {"type": "string", "minLength": 1, "not": {"pattern": _SHELL}}, str),
    AfterValidator(_from_folder),
]


def _secret(value: object) -> SecretReference:
    if isinstance(value, SecretReference):
        return value
    return SecretReference.parse(value if isinstance(value, str) else "")


SECRET = Leaf(_secret, {"type": "string", "pattern": SECRET_PATTERN}, str, expands=False)
