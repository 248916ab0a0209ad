"""What one language brings to the conversations; the texts are in `phrases`."""

from __future__ import annotations

from dataclasses import dataclass

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Language:
    """One language's material: pairs are (what the user says, what the model answers).

    `support[0]` is the question about an order and `weather` the one about the weather: tool
    calls use them. `cut` ends a reply that ran into its token limit.
    """

    code: str
    english_name: str
    system: str
    support: tuple[Pair, ...]
    further: tuple[Pair, ...]
    weather: Pair
    refusal: Pair
    picture: tuple[Pair, ...]
    cut: str
    names: tuple[str, ...]
    products: tuple[str, ...]
    cities: tuple[str, ...]
