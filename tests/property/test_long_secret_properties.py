"""Long secrets are found wherever the pattern of each of their characters finds them."""

from __future__ import annotations

import itertools
import json
import re
from html import escape
from urllib.parse import quote, quote_plus

from hypothesis import assume, given
from hypothesis import strategies as st

from chatlake.model.long_secrets import BEGINNING, LongSecret
from chatlake.model.outside_text import written

WAYS = (
    str,
    lambda text: quote(text, safe=""),
    lambda text: quote(quote(text, safe=""), safe="").lower(),
    quote_plus,
    lambda text: json.dumps(text)[1:-1],
    lambda text: "".join(f"\\u{ord(each):04x}" for each in text),
    lambda text: "".join(f"\\u{ord(each):04X}" for each in text),
    lambda text: "".join(each if each.isalnum() else f"\\{each}" for each in text),
    escape,
    lambda text: "".join(each if each.isalnum() else f"&#{ord(each)};" for each in text),
    lambda text: "".join(each if each.isalnum() else f"&#x00{ord(each):x};" for each in text),
)
# Few characters, and those that escape others: so that pieces of a secret resemble each other.
ALPHABET = "aab2%5\\&+ ;#u0"


@st.composite
def secrets_and_texts(draw: st.DrawFn) -> tuple[str, str]:
    """Draw a secret, and a text of pieces of it, each written in some way, and of noise."""
    seed = draw(st.text(ALPHABET, min_size=1, max_size=12))
    secret = (seed * 40)[: draw(st.integers(20, 40))] + draw(st.text(ALPHABET, max_size=8))
    pieces = []
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            cuts = sorted(draw(st.lists(st.integers(0, len(secret)), max_size=4)))
            ends = [0, *cuts, len(secret)] if draw(st.booleans()) else [*cuts, len(secret)]
            pieces += [
                draw(st.sampled_from(WAYS))(secret[start:end])
                for start, end in itertools.pairwise(ends)
            ]
        else:
            pieces.append(draw(st.text(ALPHABET, max_size=10)))
    return secret, "".join(pieces)


@given(secrets_and_texts())
def test_it_is_found_where_its_pattern_finds_it(drawn: tuple[str, str]) -> None:
    """Both find it or neither; and the place that is struck out has the first whole secret in it."""
    secret, text = drawn
    assume("\\" * 8 not in secret)  # there the pattern takes a time that doubles with each one
    pattern = re.compile(written(secret))
    long = LongSecret(secret, written(secret[:BEGINNING]))
    by_pattern, found = pattern.search(text), long.find(text, 0)
    assert (found is None) == (by_pattern is None)
    if found is not None and by_pattern is not None:
        assert found[0] <= by_pattern.start()
        assert pattern.search(text, found[0], found[1]) is not None
