"""Sizes as people write them: `512MiB`, `1GiB`, `64KiB`, `100MB`."""

from __future__ import annotations

import re

UNITS: dict[str, int] = {
    "GiB": 1 << 30,
    "MiB": 1 << 20,
    "KiB": 1 << 10,
    "GB": 10**9,
    "MB": 10**6,
    "KB": 10**3,
}
LEAST, MOST = 1 << 10, 64 << 30
EXPECTED = "a size such as 512MiB, 1GiB or 64KiB (units KiB, MiB, GiB, KB, MB, GB)"

PATTERN = rf"^[0-9]+({'|'.join(UNITS)})$"
_SHAPE = re.compile(PATTERN, re.ASCII)


def parse_size(text: str) -> int:
    """The bytes that `text` names, from 1KiB to 64GiB.

    Raises ValueError, with what is expected, for anything else: a number without a unit, a
    fraction, a sign, a space.
    """
    found = _SHAPE.fullmatch(text)
    if found is None:
        unit = re.fullmatch(r"[0-9]{1,18}", text, re.ASCII)
        alone = f"; a number needs a unit: write {text}MiB" if unit else ""
        raise ValueError(f"expected {EXPECTED}{alone}")
    digits = text[: found.start(1)]
    size = int(digits) * UNITS[found.group(1)] if len(digits) <= 18 else MOST + 1
    if not LEAST <= size <= MOST:
        raise ValueError("expected a size from 1KiB to 64GiB")
    return size


def format_size(size: int) -> str:
    """The shortest text that `parse_size` reads back; a number of bytes if no unit fits."""
    for unit, factor in UNITS.items():
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size} bytes"
