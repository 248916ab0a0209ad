"""What becomes of stored messages when a completion has changed."""

from __future__ import annotations

import pytest

from chatlake.backup.kept_messages import compare
from chatlake.backup.lake_port import StoredMessage


def messages(*texts: str, direction: str = "input") -> list[StoredMessage]:
    """Return messages with these texts."""
    return [(str(number), direction, text) for number, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("before", "after", "lost", "has_new"),
    [
        (["1", "2", "3"], ["1", "2", "3"], set(), False),
        (["1", "2", "3"], ["3", "1", "2"], set(), False),
        (["1", "2"], ["1", "2", "3"], set(), True),
        (["1", "2", "3"], ["2"], {"0", "2"}, False),
        (["1", "2", "3"], [], {"0", "1", "2"}, False),
        (["1", "2"], ["1", "3"], {"1"}, True),
        (["1", "1"], ["1"], {"1"}, False),
        (['{"a":1,"b":2}'], ['{ "b": 2, "a": 1 }'], set(), False),
        (['{"a":"\\ud800"}'], ['{"a":"\\ud800"}'], set(), False),
        (["NaN"], ["NaN"], set(), False),
        (["NaN"], ["Infinity"], {"0"}, True),
        (['{"a":"\\ud800"}'], ['{"a":"\\ud801"}'], {"0"}, True),
        ([], ["1"], set(), True),
    ],
)
def test_what_is_lost(before: list[str], after: list[str], lost: set[str], has_new: bool) -> None:
    """Each stored message must come again, as often as it is stored, in any order or spelling."""
    assert compare(messages(*before), messages(*after)) == (lost, has_new)


def test_a_reply_is_no_input() -> None:
    """The same text in the other direction is another message."""
    assert compare(messages("1"), messages("1", direction="output")) == ({"0"}, True)
