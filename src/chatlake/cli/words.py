"""Numbers, sizes, durations and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def size(octets: int) -> str:
    """Return a number of bytes as `512 B`, `34.5 MiB`."""
    if octets < 1024:
        return f"{octets} B"
    number = float(octets)
    for unit in ("KiB", "MiB", "GiB"):
        number /= 1024
        if number < 999.95:
            return f"{number:.1f} {unit}"
    return f"{number / 1024:,.1f} TiB"


def duration(seconds: float) -> str:
    """Return seconds as `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    rest = round(seconds)
    parts: list[tuple[int, str]] = []
    for length, unit in _UNITS:
        amount, rest = divmod(rest, length)
        if amount or parts:
            parts.append((amount, unit))
    return " ".join(f"{amount} {unit}" for amount, unit in parts[:2] if amount)


def moment(at: datetime) -> str:
    """Return a time as `2026-01-31 08:15:00 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago `at` was, `3 h 5 min ago`; a time in the future is `just now`."""
    seconds = (now - at).total_seconds()
    return "just now" if seconds < 1 else f"{duration(seconds)} ago"


def shortened(text: str, width: int) -> str:
    """Return `text` with at most `width` characters, an ellipsis for what was cut."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"
