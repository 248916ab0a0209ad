"""`prices`: what tokens cost, so that the view `costs` can say dollars. chatlake ships none."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from chatlake.config.fields import Leaf, Section, words
from chatlake.config.references import Text

_HIGHEST = 1_000_000.0


def _amount(value: object) -> float:
    if isinstance(value, Text):  # it came from the environment
        try:
            value = float(value)
        except ValueError:
            value = None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= float(value) <= _HIGHEST:  # type: ignore[arg-type]
        raise ValueError(f"expected dollars per million tokens, from 0 to {_HIGHEST:.0f}")
    return float(value)  # type: ignore[arg-type]


def _day(value: object) -> date:
    try:
        if isinstance(value, str) and len(value) == len("2026-01-31"):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise ValueError("expected a day, such as 2026-01-31")


DOLLARS = Leaf(_amount, {"type": "number", "minimum": 0, "maximum": _HIGHEST})
DAY = Leaf(_day, {"type": "string", "format": "date"}, lambda day: day.isoformat(), expands=False)


class PriceEntry(Section):
    """The token prices of some models from a day on."""

    model: Annotated[str, words("a model, or a pattern with *", r"[^\s]{1,200}")] = Field(
        description=(
            "The model, or a pattern: * stands for any characters. The longest matching pattern "
            "applies."
        ),
        examples=["gpt-4o-2024-*"],
    )
    valid_from: Annotated[date, DAY] = Field(
        description="First UTC day of this price. To change the price later, add another entry.",
        examples=["2026-01-31"],
    )
    input: Annotated[float, DOLLARS] = Field(description="Dollars per million prompt tokens.")
    cached_input: Annotated[float, DOLLARS] | None = Field(
        default=None,
        description=(
            "Dollars per million prompt tokens read from the cache; null: the same as `input`."
        ),
    )
    output: Annotated[float, DOLLARS] = Field(
        description="Dollars per million completion tokens, including reasoning."
    )
