"""The rules of redaction of one source, applied to what its API sends.

Everything that the API sends passes through here before anything else reads it. So what is stored,
shown or compared later is redacted alike: `raw`, columns, digests, errors.
"""

from __future__ import annotations

import hashlib
import json
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from chatlake.model.redaction.hints import Hints
from chatlake.model.redaction.patterns import READY, Pattern, own_pattern
from chatlake.model.redaction.places import FieldPlace, Places, page_of
from chatlake.model.redaction.texts import redact_text
from chatlake.model.redaction.walk import Hit, Walk

Counts = Mapping[str, int]
"""How many values were replaced: pattern, `dropped`, `hashed` or `image` -> count."""

NO_COUNTS: Final[Counts] = {}
_HASH_BYTES: Final = 16


class Redacted(NamedTuple):
    """A text without what the rules name, and what was replaced in each of its rows."""

    text: bytes
    counts: Sequence[Counts]

    @property
    def first(self) -> tuple[bytes, Counts]:
        """The text of one object, and what was replaced in it."""
        return self.text, self.of_row(0)

    def of_row(self, index: int) -> Counts:
        """Return what was replaced in a row."""
        return self.counts[index] if index < len(self.counts) else NO_COUNTS


@dataclass(frozen=True, slots=True)
class RuleTexts:
    """The rules as the configuration has them; `key` is needed if `hash` names anything."""

    drop: Sequence[str] = ()
    hash: Sequence[str] = ()
    patterns: Sequence[str] = ()
    expressions: Mapping[str, str] = field(default_factory=dict)
    drops_images: bool = False
    key: str = field(default="", repr=False)


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]


_PAGE: Final = msgspec.json.Decoder(_Page)


class Redaction:
    """The rules, ready for use. ValueError if a path or an expression cannot be used.

    `fingerprint`: changes with the rules, and with the key if anything is hashed; reveals neither.
    """

    def __init__(self, rules: RuleTexts) -> None:
        self.patterns: Sequence[Pattern] = [
            *(pattern for name, pattern in READY.items() if name in rules.patterns),
            *(own_pattern(name, text) for name, text in rules.expressions.items()),
        ]
        self.drops_images = rules.drops_images
        self._key = rules.key.encode("utf-8", "surrogateescape")
        self._places = Places(
            [*(("drop", path) for path in rules.drop), *(("hash", path) for path in rules.hash)]
        )
        self._hints = Hints(self.patterns, self._places.keys, drops_images=self.drops_images)
        self.fingerprint = self._fingerprint(rules)

    def completion(self, body: bytes, *, hit: Hit | None = None) -> Redacted:
        """Redact one completion; `hit` is called with each value."""
        return self._object(body, self._places.completion, hit)

    def completions(self, body: bytes) -> Redacted:
        """Redact a page of completions."""
        return self._page(body, self._places.completion)

    def message(self, body: bytes, *, hit: Hit | None = None) -> Redacted:
        """Redact one message; `hit` is called with each value."""
        return self._object(body, self._places.message, hit)

    def messages(self, body: bytes) -> Redacted:
        """Redact a page of messages."""
        return self._page(body, self._places.message)

    def words(self, text: str) -> str:
        """Return a text with the patterns applied that is not a completion's, such as an error."""
        return redact_text(text, self.patterns, lambda *_: None)

    def hashed(self, value: bytes) -> str:
        """Return what stands for a value: the same for equal values under the same key."""
        key = hashlib.blake2b(self._key).digest()
        hashed = hashlib.blake2b(value, key=key, digest_size=_HASH_BYTES)
        return f"hash:{hashed.hexdigest()}"

    def _object(self, body: bytes, place: FieldPlace, hit: Hit | None = None) -> Redacted:
        if not self._hints.may_hold(body):
            return Redacted(body, ())
        walk = Walk(self, hit=hit)
        return Redacted(walk.redact(body, place), walk.counts)

    def _page(self, body: bytes, place: FieldPlace) -> Redacted:
        try:
            rows = _PAGE.decode(body.removeprefix(BOM_UTF8)).data
        except (msgspec.MsgspecError, RecursionError):
            # The page may be unreadable as a whole although its rows can be read one by one.
            walk = Walk(self, row_depth=2)
            return Redacted(walk.redact(body, page_of(place)), walk.counts)
        pieces: list[bytes] = []
        counts: list[Counts] = []
        at = 0
        for row in map(bytes, rows):
            redacted = self._object(row, place)
            counts.append(redacted.of_row(0))
            if redacted.text is not row:
                start = body.index(row, at)
                pieces += [body[at:start], redacted.text]
                at = start + len(row)
        return Redacted(b"".join([*pieces, body[at:]]) if pieces else body, counts)

    def _fingerprint(self, rules: RuleTexts) -> str:
        said = json.dumps(
            [
                sorted(rules.drop),
                sorted(rules.hash),
                sorted(rules.patterns),
                sorted(rules.expressions.items()),
                rules.drops_images,
                self.hashed(b"chatlake") if rules.hash else "",
            ]
        )
        return hashlib.blake2b(said.encode(), key=b"redaction", digest_size=8).hexdigest()


def total(counts: Sequence[Counts]) -> dict[str, int]:
    """Return the sum of counts, by name in alphabetical order."""
    found: Counter[str] = Counter()
    for each in filter(None, counts):
        found.update(each)
    return dict(sorted(found.items()))
