"""Cron expressions of five fields, and names of time zones."""

from __future__ import annotations

import datetime
import itertools
import re
from datetime import timedelta
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
_START = datetime.date(2024, 1, 1)
_DAYS_LOOKED_AT = tuple(map(timedelta, range(4 * 366)))  # a leap year and three others
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


def longest_pause(cron: str) -> timedelta | None:
    """Return the longest time between two runs of a cron expression, None if it is not clear.

    Clock changes are ignored: a day of 25 hours counts as 24. None for days such as `L`, `LW` or
    `5#2`.
    """
    minute, hour, day, month, weekday = cron.split()
    try:
        minutes, hours, days, months, weekdays = (
            _numbers(text, *field[1:])
            for text, field in zip((minute, hour, day, month, weekday), _FIELDS, strict=True)
        )
    except ValueError:
        return None
    weekdays = {number % 7 for number in weekdays}
    either = not day.startswith("*") and not weekday.startswith("*")  # cron takes both days then

    def runs_on(date: datetime.date) -> bool:
        is_day, is_weekday = date.day in days, date.isoweekday() % 7 in weekdays
        fits = (is_day or is_weekday) if either else (is_day and is_weekday)
        return date.month in months and fits

    times = sorted(60 * at + past for at in hours for past in minutes)
    dates = [date for date in map(_START.__add__, _DAYS_LOOKED_AT) if runs_on(date)]
    between = [(later - earlier).days for earlier, later in itertools.pairwise(dates)]
    if not between:
        return None
    overnight = 1440 * max(between) + times[0] - times[-1]
    by_day = [later - earlier for earlier, later in itertools.pairwise(times)]
    return timedelta(minutes=max([overnight, *by_day]))


def _numbers(text: str, lowest: int, highest: int, names: dict[str, int]) -> set[int]:
    """Return the meaning of a field; ValueError for syntax that only some schedulers know."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        low, _, high = span.partition("-")
        if span == "*":
            first, last = lowest, highest
        else:
            first = _number(low, names)
            last = _number(high, names) if high else highest if step else first
        found.update(range(first, last + 1, int(step or 1)))
    return found


def _number(word: str, names: dict[str, int]) -> int:
    return names[word.upper()] if word.upper() in names else int(word)
