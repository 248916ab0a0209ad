"""Card numbers and IBANs: numbers that prove themselves by check digits.

A card number (ISO/IEC 7812) has 13 to 19 digits. The last one is chosen so that ten divides the
Luhn sum. This is true of one number in ten by chance, so the first digit must be one that payment
cards have. An IBAN (ISO 13616) has the length of its country, and leaves 1 when divided by 97.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

GAP: Final = "[ \\t.\u00a0\u2007\u202f\u2010-\u2015-]"
"""What may stand between the groups of a card number."""
_RUN: Final = re.compile(rf"\d(?:{GAP}{{0,3}}\d){{12,}}")
_GROUP: Final = re.compile(r"\d+")
_HEX_WORD: Final = re.compile(r"[0-9a-fA-F]{32,}")
_SHORTEST, _LONGEST = 13, 19
_NEAR: Final = 128
_ISSUERS: Final = frozenset("345689")  # also 2200 to 2720, and 1 with 15 digits (airlines)
_MOST_GROUPS: Final = 6
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

_IBAN: Final = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ \u00a0\u202f-]?[A-Za-z0-9]){11,30}", re.ASCII
)
_IBAN_LENGTHS: Final = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FK FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK",
        21: "CH CR HR LI LV", 22: "BG BH DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip

COUNTRIES: Final = tuple(_IBAN_LENGTHS)
"""Codes of the countries that have IBANs."""


def find_cards(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each card number, whatever separates its groups of digits.

    A number begins and ends with a group: part of a longer number is not a card. It has at most six
    groups, or one for each digit, so a row of small numbers is not a card. Nor are the decimals of
    a fraction, or digits within a long hexadecimal word.
    """
    for run in _RUN.finditer(text):
        groups = [found.span() for found in _GROUP.finditer(text, run.start(), run.end())]
        first = 0
        while first < len(groups):
            last = _last_group(text, groups, first)
            if last is None:
                first += 1
            else:
                yield groups[first][0], groups[last][1]
                first = last + 1


def _last_group(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    """Return the last group of the longest card number that begins with a group."""
    if _is_fraction(text, *groups[first]):
        return None
    found, digits, singles = None, "", True
    for last in range(first, len(groups)):
        start, end = groups[last]
        singles = singles and end - start == 1
        digits += text[start:end]
        if len(digits) > _LONGEST or not (singles or last - first < _MOST_GROUPS):
            break
        if is_card(digits):
            found = last
    if found == first and _is_hexadecimal(text, *groups[first]):
        return None
    return found


def is_card(digits: str) -> bool:
    """Whether digits are a card number: its length, its first digit, its check digit."""
    if not _SHORTEST <= len(digits) <= _LONGEST:
        return False
    values = [int(digit) for digit in digits]  # of any script
    if not _has_issuer(values):
        return False
    doubled = sum(_DOUBLED[value] for value in values[-2::-2])
    return (sum(values[-1::-2]) + doubled) % 10 == 0


def _has_issuer(values: list[int]) -> bool:
    first, thousands = values[0], int("".join(map(str, values[:4])))
    if first == 2:
        return 2200 <= thousands <= 2720
    return str(first) in _ISSUERS or (first == 1 and len(values) == 15)


def _is_fraction(text: str, start: int, end: int) -> bool:
    return end - start > 4 and start > 1 and text[start - 1] == "." and text[start - 2].isdigit()


def _is_hexadecimal(text: str, start: int, end: int) -> bool:
    """Whether digits stand within a digest or the like."""
    before = max(0, start - _NEAR)
    return any(
        word.start() <= start - before < word.end() and not word.group().isdigit()
        for word in _HEX_WORD.finditer(text[before : end + _NEAR])
    )


def find_ibans(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each IBAN, in capitals or not, in groups or not."""
    at = 0
    while found := _IBAN.search(text, at):
        at = found.start() + 2
        length = _IBAN_LENGTHS.get(found.group()[:2].upper())
        if length is None:
            continue
        end, left = found.start(), length
        while left and end < found.end():
            left -= text[end].isalnum()
            end += 1
        iban = "".join(filter(str.isalnum, text[found.start() : end])).upper()
        is_whole = end == len(text) or not (text[end].isascii() and text[end].isalnum())
        if not left and is_whole and _remainder(iban) == 1:
            yield found.start(), end
            at = end


def _remainder(iban: str) -> int:
    moved = iban[4:] + iban[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97
