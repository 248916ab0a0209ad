"""Text from outside, made safe to show and store: no secrets, no control characters, bounded.

A server may repeat what it was sent: the key in an error message, a parameter in an address, a
token in a request id. The exception of a library may do the same. Such text reaches logs, the
lake's ledger, Prefect and people's terminals, and all of it passes through here first. Stored
completions and messages do not: they stay as the service sent them.

A secret is remembered for the whole process as soon as it is read, because it may come back
in any text. It is found

- as written, percent-encoded, escaped as in JSON or HTML, or in a mixture of these;
- in base64, alone or within something longer, as in `Authorization: Basic`;
- truncated, if it has at least 16 characters: its first 8 identify it.

Patterns find all but whole secrets of more than 32 characters: those are in `long_secrets`.

Values of fewer than 4 characters are not removed, because that would ruin every text. Values of 4
to 7 characters are removed only if they are a separate word.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from chatlake.model.long_secrets import BEGINNING, LongSecret

DETAIL_LENGTH: Final = 500
"""Characters of an error's message, at most."""
ID_LENGTH: Final = 100
"""Characters of the service's id for a request, at most."""
SHORTEST_SECRET: Final = 4
STRUCK: Final = "[key]"

_ANYWHERE: Final = 8  # shorter ones only as words
_TELLING: Final = 8
_CUT_OFF_FROM: Final = 2 * _TELLING
_LONG: Final = 32  # longer ones, whole, have no pattern
_LONG_BASE64: Final = 64  # characters of base64 that identify a long secret
_STOPS: Final = "\"'<>,;"
_SCHEME: Final = re.compile(
    r"(?:bearer|basic|token|api-?key|key|digest|negotiate) +(\S.*)", re.IGNORECASE
)
_HTML: Final = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}


class KnownSecrets:
    """The secrets of a process; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: frozenset[str] = frozenset()
        self._ways: _Ways | None = None

    def note(self, value: str) -> None:
        """Remember a secret, and those within it: the token of `Bearer TOKEN`, a password."""
        found = {each for each in _within(value) if len(each) >= SHORTEST_SECRET}
        if found <= self._values:
            return
        with self._lock:
            self._values |= found
            # The longest first, whole ones before cut-off ones: a secret may begin with another.
            ordered = sorted(self._values, key=lambda each: (-len(each), each))
            forms = [form for value in ordered for form in _forms(value)]
            forms += [form for value in ordered for form in _cut_off(value)]
            self._ways = _Ways(
                re.compile("|".join(forms)),
                tuple(
                    LongSecret(value, written(value[:BEGINNING]))
                    for value in ordered
                    if len(value) > _LONG
                ),
            )

    def strike_out(self, text: str) -> str:
        """Return `text` with every secret in it replaced by `[key]`."""
        ways = self._ways
        return text if ways is None else ways.strike_out(text)

    def forget(self) -> None:
        """Forget all of them, for tests."""
        with self._lock:
            self._values, self._ways = frozenset(), None


@dataclass(frozen=True, slots=True)
class _Ways:
    """How the known secrets are found: one pattern, and those that are too long for it."""

    pattern: re.Pattern[str]
    long: tuple[LongSecret, ...]

    def strike_out(self, text: str) -> str:
        """Return `text` with every secret in it replaced by `[key]`, the first one first."""
        ways = [*(secret.find for secret in self.long), self._find]  # in the order of preference
        found = [find(text, 0) for find in ways]
        kept, at = [], 0
        while place := min(filter(None, found), key=itemgetter(0), default=None):
            kept += [text[at : place[0]], STRUCK]
            at = place[1]
            found = [
                find(text, at) if known and known[0] < at else known
                for find, known in zip(ways, found, strict=True)
            ]
        return "".join([*kept, text[at:]])

    def _find(self, text: str, at: int) -> tuple[int, int] | None:
        found = self.pattern.search(text, at)
        return found and found.span()


SECRETS: Final = KnownSecrets()
"""The secrets of this process."""


def note_secret(value: str) -> None:
    """Remember a secret of this process: from now on no text shows it."""
    SECRETS.note(value)


def strike_out(text: str) -> str:
    """Return `text`, which may have several lines, without the secrets of this process."""
    return SECRETS.strike_out(text)


def one_line(text: str, *, length: int = DETAIL_LENGTH) -> str:
    """Return text from outside as one printable line of at most `length` characters.

    Secrets are removed before it is cut. Control characters, direction marks and other invisible
    characters become spaces.
    """
    text = strike_out(text)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= length else text[: length - 1] + "…"


def request_id(text: str) -> str:
    """Return the service's id for a request, safe to show and store."""
    return one_line(text, length=ID_LENGTH)


def _within(value: str) -> set[str]:
    """Return a secret without the scheme before it, and the password of `Basic`."""
    value = value.strip()
    scheme = _SCHEME.fullmatch(value)
    token = scheme.group(1) if scheme else value
    found = {token}
    try:
        pair = base64.b64decode(token, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return found
    if pair.isprintable() and ":" in pair:
        found |= {pair, pair.partition(":")[2]}
    return found


def _forms(secret: str) -> list[str]:
    """Return patterns of a whole secret, in text if it is not long, and in base64."""
    if len(secret) < _ANYWHERE:
        return [rf"(?<![A-Za-z0-9]){written(secret)}(?![A-Za-z0-9])"]
    if len(secret) > _LONG:
        return _in_base64(secret)
    return [written(secret), *_in_base64(secret)]


def written(characters: str) -> str:
    """Return a pattern of characters in every way they may be written in text."""
    return "".join(map(_character, characters))


def _character(character: str) -> str:
    """Return a pattern of one character as written, or as URLs, JSON or HTML escape it."""
    code = ord(character)
    digits = "".join(
        f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in f"{code:02x}"
    )
    ways = [re.escape(character), rf"%(?:25)*{digits}", rf"\\u00{digits}"]
    if not character.isalnum():
        ways += [rf"\\{re.escape(character)}", rf"&#0*{code};", rf"&#[xX]0*{digits};"]
    if character == " ":
        ways.append(r"\+")
    if character in _HTML:
        ways.append(f"&{_HTML[character]};")
    return f"(?:{'|'.join(ways)})"


def _in_base64(secret: str) -> list[str]:
    """Return the base64 forms of a secret, whatever comes before and after it."""
    found = []
    for before in range(3):
        data = b"\0" * before + secret.encode("utf-8", "surrogatepass")
        text = base64.b64encode(data[: len(data) // 3 * 3]).decode()
        core = text[(0, 2, 3)[before] :][:_LONG_BASE64]
        if len(core) >= _ANYWHERE:
            found.append(re.escape(core).replace(r"\+", "[+-]").replace("/", "[/_]"))
    return [form + "[A-Za-z0-9+/_=-]*" for form in found]


def _cut_off(secret: str) -> list[str]:
    """Return a pattern of the beginning of a secret, and of what directly follows."""
    telling = secret[:_TELLING]
    if len(secret) < _CUT_OFF_FROM or "://" in secret or not re.search("[A-Za-z]", telling):
        return []
    stops = "".join(stop for stop in _STOPS if stop not in secret)
    return [written(telling) + rf"[^\s{re.escape(stops)}]*"]
