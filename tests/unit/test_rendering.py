"""Markdown and code as HTML, in bounded time."""

import itertools

from chatlake.web.rendering import Rendering


def test_the_time_of_a_block_of_code_counts_once() -> None:
    """Code is coloured until rendering has taken `patience_s`, which nested steps do not shorten."""
    ticks = itertools.count()
    rendering = Rendering(3.5, clock=lambda: float(next(ticks)))
    first, second, third = (rendering.code("1", "json") for _ in range(3))
    assert "<span" in first
    assert "<span" in second
    assert "<span" not in third
