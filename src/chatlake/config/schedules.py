"""Cron expressions of five fields, and names of time zones."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

from chatlake.config.fields import Leaf, text_of

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("weekday", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_PART = re.compile(r"(?:\*|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/0*[1-9][0-9]{0,3})?", re.ASCII)
_SPECIAL = {"day": re.compile(r"LW?"), "weekday": re.compile(r"[0-7](#[1-5]|L)")}
_FIELD_PATTERN = r"[0-9A-Za-z*,/#-]+"


def _cron(value: object) -> str:
    expected = "five fields, minute hour day month weekday, such as '0 2 * * *'"
    fields = text_of(value, expected).split()
    if len(fields) != 5:
        raise ValueError(f"expected {expected}")
    for field, (name, lowest, highest, names) in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            special = _SPECIAL.get(name)
            if not (special and special.fullmatch(part)) and not _in_range(
                part, lowest, highest, names
            ):
                raise ValueError(f"expected {expected}; the {name} is from {lowest} to {highest}")
    return " ".join(fields)


def _in_range(part: str, lowest: int, highest: int, names: dict[str, int]) -> bool:
    found = _PART.fullmatch(part)
    if found is None:
        return False
    numbers = []
    for word in (found["low"], found["high"]):
        if word is not None:
            number = names.get(
                word.upper(), int(word) if word.isdecimal() and len(word) < 4 else -1
            )
            numbers.append(number)
    return all(lowest <= number <= highest for number in numbers) and numbers == sorted(numbers)


def _timezone(value: object) -> str:
    expected = "the name of a time zone, such as UTC or Europe/Berlin"
    text = text_of(value, expected)
    if text != "UTC":
        try:
            ZoneInfo(text)
        except (LookupError, ValueError, OSError):
            raise ValueError(f"expected {expected}") from None
    return text


CRON = Leaf(
    _cron, {"type": "string", "pattern": rf"^\s*{_FIELD_PATTERN}(\s+{_FIELD_PATTERN}){{4}}\s*$"}
)
TIMEZONE = Leaf(_timezone, {"type": "string", "pattern": r"^[A-Za-z][A-Za-z0-9_+/-]*$"})
