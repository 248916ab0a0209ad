"""What no report can show, because the API does not store it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Missing:
    """A question that the data cannot answer, and why."""

    name: str
    why: str


NOT_IN_THE_DATA: Final = (
    Missing(
        "Latency",
        "The API stores when a completion was created, in whole seconds, but not how long it took.",
    ),
    Missing(
        "Times of messages",
        "Messages have no time of their own. Each has the time of its completion.",
    ),
    Missing(
        "Prices",
        "The API stores tokens, but not what they cost. Dollars come from `prices` in the "
        "configuration and are not an invoice.",
    ),
    Missing(
        "Requests that were not stored",
        "Only requests with store=true are kept. Failed requests, other endpoints and the "
        "Responses API are not in the list.",
    ),
    Missing(
        "Who sent a request",
        "The API stores no user or key, unless your program puts one into the metadata.",
    ),
    Missing(
        "What was there before the first backup",
        "Completions that the source had already dropped are unknown, and not counted as gaps.",
    ),
)
"""Ordered by how often people ask."""
