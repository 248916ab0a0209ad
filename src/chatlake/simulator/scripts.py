"""Templates turned once into bytes that are already the inside of a JSON string.

Filling one is then a single `bytes % dict`, about a microsecond.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import msgspec

from chatlake.simulator import task_phrases
from chatlake.simulator.language import Language, Pair
from chatlake.simulator.phrases import LANGUAGES

BytesPair = tuple[bytes, bytes]
_SLOT = re.compile(r"«(\w+)»".encode())
_SLOT_NAMES = {b"name", b"order", b"product", b"city", b"n", b"amount"}


def compiled(text: str) -> bytes:
    """`text` as the inside of a JSON string, slots as `%(slot)b`."""
    inside = msgspec.json.encode(text)[1:-1].replace(b"%", b"%%")

    def slot(match: re.Match[bytes]) -> bytes:
        # Quotation marks of French and Spanish look the same as ours: only known slots count.
        return b"%(" + match[1] + b")b" if match[1] in _SLOT_NAMES else match[0]

    return _SLOT.sub(slot, inside)


@dataclass(frozen=True, slots=True)
class Script:
    """A conversation's material: `first` opens it, `further` continues it as long as needed.

    Everything is compiled; `pictures` are the pairs that go with an image.
    """

    system: bytes
    first: tuple[BytesPair, ...]
    further: tuple[BytesPair, ...]
    pictures: tuple[BytesPair, ...]
    weather: BytesPair
    refusal: BytesPair
    cut: bytes
    names: tuple[bytes, ...]
    products: tuple[bytes, ...]
    cities: tuple[bytes, ...]


def _pairs(pairs: tuple[Pair, ...]) -> tuple[BytesPair, ...]:
    return tuple((compiled(user), compiled(reply)) for user, reply in pairs)


def _words(words: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(msgspec.json.encode(word)[1:-1] for word in words)


def _material(kind: str, language: Language) -> tuple[str, tuple[Pair, ...], tuple[Pair, ...]]:
    if kind == "coding":
        return task_phrases.CODING_SYSTEM, task_phrases.CODING, task_phrases.CODING_FURTHER
    if kind == "extraction":
        return task_phrases.EXTRACTION_SYSTEM, task_phrases.EXTRACTION, task_phrases.EXTRACTION
    if kind == "translation":
        source = LANGUAGES.index(language)
        target = (source + 1) % len(LANGUAGES)
        system = task_phrases.TRANSLATION_SYSTEM.format(
            source=language.english_name, target=LANGUAGES[target].english_name
        )
        pairs = tuple((row[source], row[target]) for row in task_phrases.PARALLEL)
        return system, pairs, pairs
    return language.system, language.support, language.further


@functools.cache
def script(kind: str, language_index: int) -> Script:
    """The script of one kind of conversation in one language, compiled at its first use."""
    language = LANGUAGES[language_index]
    system, first, further = _material(kind, language)
    return Script(
        system=compiled(system),
        first=_pairs(first),
        further=_pairs(further),
        pictures=_pairs(language.picture),
        weather=_pairs((language.weather,))[0],
        refusal=_pairs((language.refusal,))[0],
        cut=compiled(language.cut),
        names=_words(language.names),
        products=_words(language.products),
        cities=_words(language.cities),
    )
