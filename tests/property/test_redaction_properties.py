"""Redaction, whatever the spelling: what was planted is gone, and all else stays as it is."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatlake.model.redaction.cards import is_card
from chatlake.model.redaction.patterns import READY
from chatlake.model.redaction.places import Places
from chatlake.model.redaction.rules import Redaction, RuleTexts
from chatlake.model.redaction.walk import Walk

CARDS = Redaction(RuleTexts(patterns=["card"]))
ALL = Redaction(
    RuleTexts(patterns=list(READY), drop=["input_user"], expressions={"own": r"[g-m]\d|\n\pL"})
)


def checked(digits: str) -> str:
    """Return digits with the check digit of Luhn after them."""
    return next(digits + check for check in "0123456789" if luhn(digits + check))


def luhn(digits: str) -> bool:
    """Say by the standard's own words whether the check digit is right."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


numbers = st.from_regex(r"(4[0-9]{14}|5[1-5][0-9]{13}|3[47][0-9]{12}|6[0-9]{17})", fullmatch=True)
cards = numbers.map(checked)
words = st.text(
    st.characters(codec="utf-8", exclude_characters="0123456789.", exclude_categories=["Nd", "Cs"])
)


@st.composite
def spelled(draw: st.DrawFn, text: str) -> str:
    """Return the inside of a JSON string that says a text, each character escaped or not."""
    escaped = draw(st.lists(st.booleans(), min_size=len(text), max_size=len(text)))
    return "".join(
        "".join(
            rf"\u{int.from_bytes(unit, 'big'):04x}"
            for unit in zip(*[iter(each.encode("utf-16-be"))] * 2, strict=True)
        )
        if is_escaped
        else json.dumps(each, ensure_ascii=False)[1:-1]
        for each, is_escaped in zip(text, escaped, strict=True)
    )


@st.composite
def planted(draw: st.DrawFn) -> tuple[str, bytes]:
    """Return a card number and a completion that holds it somewhere, in some spelling."""
    card = draw(cards)
    gap = draw(st.sampled_from(["", " ", "-", "\u00a0", " - "]))
    grouped = gap.join(card[at : at + 4] for at in range(0, len(card), 4))
    if gap and len(card) % 4 == 1:  # a last group of one digit is a row of numbers' too
        grouped = card
    text = draw(words) + grouped + draw(words)
    for _ in range(draw(st.integers(0, 3))):  # JSON within a string, and in that again
        text = draw(
            st.sampled_from(
                [f'{{"card": "{draw(spelled(text))}"}}', f'[{{"{draw(spelled(text))}": 1}}]']
            )
        )
    value = f'"{draw(spelled(text))}"'
    place = draw(
        st.sampled_from(
            [
                '{{"id": "c", "metadata": {{"k": {}}}}}',
                '{{"id": "c", "metadata": {{{}: "v"}}}}',
                '{{"id": "c", "input_user": {}, "tools": null}}',
                '{{"id": "c", "tools": [{{"function": {{"description": {}}}}}]}}',
                '{{"id": "c", "choices": [{{"message": {{"tool_calls": [{{"a": {} }}] }} }}]}}',
                '{{"id": "c", "unknown": [[{}, 1e400]]}}',
            ]
        )
    )
    return card, place.format(value).encode()


def texts_of(value: Any) -> list[str]:
    """Return every text and number in a JSON value, also within texts that are JSON."""
    if isinstance(value, dict):
        return [text for pair in value.items() for each in pair for text in texts_of(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts_of(each)]
    if isinstance(value, str):
        try:
            inner = json.loads(value)
        except ValueError:
            inner = None
        return [value, *(texts_of(inner) if isinstance(inner, dict | list) else [])]
    return [str(value)]


def digits_of(text: str) -> str:
    """Return only the digits of a text."""
    return "".join(each for each in text if each.isdigit())


@given(planted())
def test_a_planted_card_is_gone_in_every_spelling(plant: tuple[str, bytes]) -> None:
    """No text of the result says its digits, however deep; and it is JSON as it was before."""
    card, sent = plant
    assert any(card in digits_of(text) for text in texts_of(json.loads(sent)))

    redacted = CARDS.completion(sent)

    found = texts_of(json.loads(redacted.text))
    assert not any(card in digits_of(text) for text in found)
    assert redacted.counts[0]["card"] >= 1
    assert CARDS.completion(redacted.text).text is redacted.text


@given(numbers, st.sampled_from("0123456789"), words, words)
def test_numbers_without_a_check_digit_stay(
    digits: str, last: str, before: str, after: str
) -> None:
    """An order number is a card number only if its last digit says so."""
    number = digits + last
    sent = json.dumps({"id": "c", "metadata": {"order": f"{before}{number}{after}"}}).encode()

    redacted = CARDS.completion(sent)

    assert is_card(number) == luhn(number)
    assert (redacted.text == sent) == (not luhn(number))


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text()
    | st.sampled_from(["a@b.co", "+49 30 1234567", "sk-" + "a1" * 12, "DE89370400440532013000"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["metadata", "tools", "choices", "x"]), json_values))
def test_the_result_is_json_and_is_left_alone_the_next_time(value: dict[str, Any]) -> None:
    """Redacted twice is redacted once; without anything found the bytes are the same object."""
    sent = json.dumps({"id": "c", **value}).encode()

    redacted = ALL.completion(sent)

    assert json.loads(redacted.text).keys() == json.loads(sent).keys()
    assert ALL.completion(redacted.text).text == redacted.text
    if not redacted.of_row(0):
        assert redacted.text is sent


@given(st.lists(planted() | words.map(lambda text: ("", json.dumps([text]).encode()))))
def test_a_page_is_redacted_as_its_rows_are(plants: list[tuple[str, bytes]]) -> None:
    """Row by row, with the counts of each; also where no reader accepts the page."""
    rows = [sent for _, sent in plants]
    page = b'{"object": "list", "data": [%b], "has_more": false}' % b", ".join(rows)
    alone = [CARDS.completion(row) for row in rows]
    expected = page.replace(b", ".join(rows), b", ".join(each.text for each in alone), 1)

    whole, broken = CARDS.completions(page), CARDS.completions(page[:-1] + b', "x": NaN}')

    assert whole.text == expected
    assert broken.text == expected[:-1] + b', "x": NaN}'
    assert [whole.of_row(row) for row in range(len(rows))] == [each.of_row(0) for each in alone]


@given(planted() | st.text().map(lambda text: ("", json.dumps({"id": "c", "x": text}).encode())))
def test_the_hint_overlooks_nothing(plant: tuple[str, bytes]) -> None:
    """A text that is skipped without being parsed holds nothing to redact."""
    _, sent = plant
    place = Places([("drop", "input_user")]).completion
    assert (Walk(ALL).redact(sent, place) != sent) <= (ALL.completion(sent).text != sent)
