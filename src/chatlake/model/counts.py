"""A number with what it counts, as sentences have it."""

from __future__ import annotations


def count(number: int, noun: str = "", nouns: str = "") -> str:
    """Return 1234 as `1,234`; with a noun `1 row`, `2 rows`; `nouns`: the plural if irregular."""
    if not noun:
        return f"{number:,}"
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"
