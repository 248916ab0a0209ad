"""Redaction of one JSON text: values are replaced where they stand, all else keeps its spelling.

The text is read token by token, because a parser might refuse it as a whole. An unreadable row is
reported with what is wrong in it, and that report must not show more than readable rows do.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from chatlake.model.api_keys import NAMES
from chatlake.model.json_marks import STRING
from chatlake.model.redaction.data_urls import is_image_url, redact_data_url
from chatlake.model.redaction.json_values import (
    canonical,
    is_hashed,
    is_json,
    quoted,
    string_of,
    whole_number,
)
from chatlake.model.redaction.patterns import Pattern
from chatlake.model.redaction.places import KEPT, FieldPlace
from chatlake.model.redaction.texts import marker, redact_text

_TOKENS: Final = re.compile(
    rb"(" + STRING + rb")(\s*:)?|[\[\]{}]|-?[0-9][0-9.eE+-]*+|true|false|null", re.DOTALL
)
_QUOTE, _OPEN_LIST, _OPEN, _CLOSE = ord('"'), ord("["), frozenset(b"[{"), frozenset(b"]}")
_DEEPEST_TEXT: Final = 4  # levels of JSON within a text of JSON
_IMAGE: Final = "image"

Hit = Callable[[str, str, str], None]
"""Called with the kind, the path of keys, and what was replaced."""


class Rules(Protocol):
    """What to replace: see `chatlake.model.redaction.rules`."""

    patterns: Sequence[Pattern]
    drops_images: bool

    def hashed(self, value: bytes) -> str:
        """Return what stands for a value, given as canonical JSON."""
        ...


class Walk:
    """Redacts JSON texts; `counts` says what was replaced, row by row.

    `row_depth`: how many brackets enclose a row: 0 where the text is one object, 2 in a page.
    """

    def __init__(self, rules: Rules, *, row_depth: int = 0, hit: Hit | None = None) -> None:
        self.counts: list[Counter[str]] = []
        self._rules = rules
        self._row_depth = row_depth
        self._hit = hit
        self._path: list[str] = []
        self._shortest = min((each.shortest for each in rules.patterns), default=1 << 62)

    def redact(self, text: bytes, place: FieldPlace) -> bytes:
        """Return the text with what stands at and below a place redacted."""
        return self._json(text, place, within=0)

    def _json(self, text: bytes, place: FieldPlace, within: int) -> bytes:  # noqa: C901, PLR0912, PLR0915 - one pass over the tokens
        pieces: list[bytes] = []
        at = 0
        frames: list[
            tuple[FieldPlace, bool]
        ] = []  # the place of what is inside, whether it is a list
        keys: list[Counter[str]] = []
        path, outer = self._path, len(self._path)
        here, in_list, value_place = place, True, place
        skipped_to, skipped_from, skipped = -1, 0, place

        def put(start: int, end: int, new: bytes) -> None:
            nonlocal at
            pieces.append(text[at:start])
            pieces.append(new)
            at = end

        for token in _TOKENS.finditer(text):
            first = text[token.start()]
            if first in _OPEN:
                if not within and len(frames) == self._row_depth:
                    self.counts.append(Counter())
                target = here if in_list else value_place
                if skipped_to < 0 and target.action is not None:
                    skipped_to, skipped_from, skipped = len(frames), token.start(), target
                frames.append((here, in_list))
                here, in_list = target, first == _OPEN_LIST
                keys.append(Counter())
                path.append("")
            elif first in _CLOSE:
                if not frames:
                    break  # the text is broken, and is refused as a whole
                here, in_list = frames.pop()
                keys.pop()
                path.pop()
                if skipped_to == len(frames):
                    old = text[skipped_from : token.end()]
                    put(skipped_from, token.end(), self._replaced(old, skipped))
                    skipped_to = -1
            elif skipped_to >= 0:
                continue
            elif first == _QUOTE and token.group(2) is not None:
                key = string_of(token.group(1))
                value_place = here.of(key)
                if path:
                    path[-1] = key
                if not here.is_kept and value_place is not KEPT:
                    new = self._key(key, keys[-1] if keys else Counter())
                    if new != key:
                        put(token.start(1), token.end(1), quoted(new))
            else:
                target = here if in_list else value_place
                old = token.group()
                new_value = self._scalar(old, target, within)
                if new_value is not old:
                    put(token.start(), token.end(), new_value)
        if skipped_to >= 0:  # the value to replace never ends
            put(skipped_from, len(text), self._replaced(text[skipped_from:], skipped))
        del path[outer:]
        if not pieces:
            return text
        pieces.append(text[at:])
        return b"".join(pieces)

    def _scalar(self, old: bytes, place: FieldPlace, within: int) -> bytes:
        if place.is_kept:
            return old
        if place.action is not None:
            return self._replaced(old, place)
        if old[0] == _QUOTE:
            if len(old) == 2:
                return old
            text = string_of(old)
            new = self._text(text, place, within)
            return old if new is text else quoted(new)
        number = whole_number(old)
        if number is None or len(number) < self._shortest:
            return old
        new = redact_text(number, self._rules.patterns, self._note)
        return old if new is number else quoted(new if new.startswith("[") else marker("number"))

    def _text(self, text: str, place: FieldPlace, within: int) -> str:
        rules = self._rules
        if rules.drops_images and is_image_url(text, self._path):
            if text == marker(_IMAGE):
                return text
            self._note(_IMAGE, text)
            return marker(_IMAGE)
        if text[:5].lower() == "data:" and "," in text:
            return redact_data_url(text, lambda part: self._text(part, place, within))
        start = text.lstrip()[:1]
        if start and start in "[{" and within < _DEEPEST_TEXT and is_json(text):
            sent = text.encode("utf-8", "surrogatepass")
            new = self._json(sent, place, within + 1)
            return text if new is sent else new.decode("utf-8", "surrogatepass")
        if len(text) < self._shortest:
            return text
        return redact_text(text, rules.patterns, self._note)

    def _key(self, key: str, others: Counter[str]) -> str:
        """Return a key without what the patterns find; no two keys of an object become the same.

        The API's own keys stay even if a configured expression matches them: the columns come from
        them. `others`: each new key of the object so far -> how many keys have become it.
        """
        if len(key) < self._shortest or key in NAMES:
            return key
        new = redact_text(key, self._rules.patterns, self._note)
        if new is key:
            return key
        others[new] += 1
        return new if others[new] == 1 else f"{new} ({others[new]})"

    def _replaced(self, old: bytes, place: FieldPlace) -> bytes:
        if old == b"null":
            return old
        if place.action == "drop":
            self._note("dropped", old.decode("utf-8", "replace"))
            return b"null"
        text = string_of(old) if old[0] == _QUOTE else None
        if text is not None and is_hashed(text):
            return old
        self._note("hashed", old.decode("utf-8", "replace"))
        return quoted(self._rules.hashed(canonical(old, text)))

    def _note(self, kind: str, what: str) -> None:
        if not self.counts:
            self.counts.append(Counter())
        self.counts[-1][kind] += 1
        if self._hit is not None:
            self._hit(kind, ".".join(filter(None, self._path)), what)
