"""The usage section of a report: tokens, prices, and how the replies ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Usage:
    """Completions and tokens of one group. `dollars`: None if no summand has a price.

    `unpriced`: completions without a price. `unknown`: completions for which the API gave no
    tokens.
    """

    completions: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    unknown: int = 0
    unpriced: int = 0
    dollars: float | None = None

    @property
    def tokens(self) -> int:
        """Tokens of prompts and replies."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        known = [each for each in (self.dollars, other.dollars) if each is not None]
        return Usage(
            self.completions + other.completions,
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
            self.unknown + other.unknown,
            self.unpriced + other.unpriced,
            sum(known) if known else None,
        )


@dataclass(frozen=True, slots=True)
class UsageFacts:
    """Tokens and dollars. `prices`: how many prices are configured.

    `daily`: by UTC day and model. `key`: the metadata key that most completions have, `by_value`
    its values, `unlabelled` the completions without it, `values` how many values there are.
    """

    prices: int
    daily: tuple[tuple[date, str | None, Usage], ...]
    key: str | None
    by_value: tuple[tuple[str, Usage], ...]
    values: int
    unlabelled: Usage


@dataclass(frozen=True, slots=True)
class Quality:
    """How replies ended. `finish_reasons` counts choices, `tool_calls` calls of functions."""

    finish_reasons: tuple[tuple[str | None, int], ...]
    choices: int
    refusals: int
    tool_calls: int
    invalid_arguments: int


@dataclass(frozen=True, slots=True)
class Growth:
    """By UTC day: completions first stored, and bytes that the runs have added."""

    completions: tuple[tuple[date, int], ...]
    bytes_added: tuple[tuple[date, int], ...]
