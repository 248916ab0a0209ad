"""Whether a JSON text may hold anything to redact: most do not, and need not be taken apart.

A hint may be wrong in one direction only: it may promise what is not there. It looks at the whole
text with its escapes decoded, level by level, without regard to where a string ends. So it sees
whatever a pattern finds in one of the strings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from chatlake.model.redaction.cards import COUNTRIES, GAP, find_cards
from chatlake.model.redaction.patterns import LONE_SURROGATE, Pattern
from chatlake.model.redaction.texts import unescaped

_LEVELS: Final = 8
_NEAR: Final = 160
_NOTHING: Final = r"[^\s\S]"
_RUN: Final = rf"\d(?:{GAP}{{0,3}}\d){{12,}}"
_LOOSE: Final = {
    "email": r"[^\s\"]@[^\s\"]",
    "card": r"[0-9.]{13}[eE]",  # a number with an exponent; else see `_RUN`
    "iban": rf"(?:^|[^A-Za-z0-9])(?i:{'|'.join(COUNTRIES)})\d\d"
    "[ \u00a0\u202f-]?[A-Za-z0-9]",
    "phone": r"\+[1-9]\d|(?:^|\W)00[1-9]|\(\+?[02-9]\d|(?:^|\W)0\d{1,5}"
    "[ \u00a0/-]{1,3}"
    r"\d\d|\d{3}[ .)-]{1,2}\d{3}[ .-]\d{4}",
    "keys": r"(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16}|A(?:KIA|SIA|ROA|IDA)[A-Z0-9]{16}"
    r"|gh[opsur]_[A-Za-z0-9]{20}|github_pat_|glpat-|xox[a-z]-|AIza|hf_[A-Za-z0-9]{20}|npm_|pypi-"
    r"|ya29\.|SG\.[A-Za-z0-9_-]{16}|eyJ[A-Za-z0-9_-]{8}|-----BEGIN ",
}
"""Ready pattern -> an expression that matches wherever the pattern does, for RE2 and for Python."""


class Hints:
    """Tells whether a text may hold what the rules name. `keys`: the last key of each path."""

    def __init__(
        self, patterns: Sequence[Pattern], keys: Iterable[str], *, drops_images: bool
    ) -> None:
        names = {pattern.name for pattern in patterns}
        own = [pattern.anywhere for pattern in patterns if pattern.name not in _LOOSE]
        self._own = [search for search in own if search is not None]
        self._always = "*" in keys or len(self._own) < len(own)
        loose = [_LOOSE[name] for name in _LOOSE if name in names]
        loose += [rf'"{re.escape(key)}"\s*:\s*[^n\s]' for key in sorted(keys)]
        loose += [r'"(?i:data):'] if names else []
        loose += [r'"(?i:data:image/)', r'"image_url"'] if drops_images else []
        self._search: Callable[[str], Any] = _compiled("|".join(loose) or _NOTHING).search
        runs = _compiled(_RUN if "card" in names else _NOTHING)
        self._runs: Callable[[str], Iterable[Any]] = runs.finditer

    def may_hold(self, text: bytes) -> bool:
        """Whether the text may hold anything to redact."""
        if self._always:
            return True
        level = text.decode("utf-8", "surrogateescape")
        for _ in range(_LEVELS):
            level = unescaped(level)  # first the strings' escapes, then those of JSON within them
            try:
                level.encode()
            except UnicodeEncodeError:
                level = LONE_SURROGATE.sub("\ufffd", level)
            if self._search(level) is not None or any(map(_has_card, self._runs(level))):
                return True
            if any(search(level) is not None for search in self._own):
                return True
            if "\\" not in level:
                return False
        return True


def _has_card(run: Any) -> bool:
    """Whether there is a card number in a run of digits, with what stands around it."""
    return any(find_cards(run.string[max(0, run.start() - _NEAR) : run.end() + _NEAR]))


def _compiled(expression: str) -> Any:
    try:
        import re2  # noqa: PLC0415 - an extra, ten times as fast
    except ImportError:  # pragma: no cover - the tests have it
        return re.compile(expression)
    return re2.compile(expression.replace(r"\d", r"\p{Nd}"))  # RE2's \d knows only ASCII digits
