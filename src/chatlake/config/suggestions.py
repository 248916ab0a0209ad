"""The nearest valid word to a wrong one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: object, options: Iterable[str]) -> str | None:
    """The option that `word` most likely meant (case, `-` and `_` don't count), or None."""
    plain = {option.lower().replace("-", "_"): option for option in options}
    wanted = str(word).lower().replace("-", "_")
    found = get_close_matches(wanted, plain, n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def did_you_mean(word: object, options: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest option, or nothing."""
    found = nearest(word, options)
    return f"; did you mean {found!r}?" if found else ""
