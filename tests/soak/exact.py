"""JSON that is equal only where it was sent equal."""

from __future__ import annotations

import json
from typing import Any


def exact(text: str | bytes) -> Any:
    """Parse JSON so that equal means equal: numbers by their digits, surrogates as they are."""
    return json.loads(text, parse_float=lambda t: ("float", t), parse_int=lambda t: ("int", t))


def without(record: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return an exported record without these keys of its completion."""
    kept = {name: value for name, value in record["completion"].items() if name not in names}
    return {**record, "completion": kept}
