"""Places in a completion or a message, and what happens to what stands there.

A path names keys from the outside in: `metadata.email`, `messages.tool_calls.function.name`. Arrays
are passed through, `*` is any key, and JSON within a text is treated as an object. `messages.`
means what `/messages` sends, the replies in `choices`, and the input that OGX has in completions.
The keys of `metadata` may have dots: all that follows `metadata.` is one key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

Action = Literal["drop", "hash"]

_ENVELOPE: Final = ("id", "object", "created")
_OF_COMPLETIONS: Final = (*_ENVELOPE, "seed", "usage")
"""What the lake needs as it is: patterns do not look there."""
NEEDED: Final = frozenset({"id", "object", "created"})
"""What no rule may change, of a completion or a message."""
_MESSAGES: Final = "messages"
DEEPEST_PATH: Final = 50


class FieldPlace:
    """A place: what happens to its value, and which places lie below it.

    `is_kept`: nothing below is looked at.
    """

    __slots__ = ("action", "any", "children", "is_kept")

    def __init__(self, *, is_kept: bool = False) -> None:
        self.action: Action | None = None
        self.any: FieldPlace | None = self if is_kept else None
        self.children: dict[str, FieldPlace] = {}
        self.is_kept = is_kept

    def of(self, key: str) -> FieldPlace:
        """Return the place below a key."""
        found = self.children.get(key, self.any)
        return ELSEWHERE if found is None else found

    def child(self, key: str) -> FieldPlace:
        """Return the place below a key; it is created if it does not exist."""
        if key == "*":
            self.any = self.any or FieldPlace()
            return self.any
        return self.children.setdefault(key, FieldPlace())

    def merge(self, other: FieldPlace) -> None:
        """Let the rules of another place hold here too."""
        self.action = self.action or other.action
        for key, place in other.children.items():
            self.child(key).merge(place)
        if other.any is not None and not other.is_kept:
            self.child("*").merge(other.any)


ELSEWHERE: Final = FieldPlace()
KEPT: Final = FieldPlace(is_kept=True)


class Places:
    """The places of a completion and of a message; `keys`: the last one of each rule's path.

    ValueError if a path is not one (see `steps_of`).
    """

    def __init__(self, rules: Iterable[tuple[Action, str]]) -> None:
        self.completion, self.message = FieldPlace(), FieldPlace()
        self.keys: set[str] = set()
        for action, path in rules:
            first, *rest = steps_of(path)
            place = self.message if first == _MESSAGES else self.completion.child(first)
            for key in rest:
                place = place.child(key)
            place.action = place.action or action
            self.keys.add(rest[-1] if rest else first)
        self.completion.child("choices").child("message").merge(self.message)
        self.completion.child("input_messages").merge(self.message)  # as OGX lists them
        for key in _OF_COMPLETIONS:
            self.completion.children.setdefault(key, KEPT)
        for key in _ENVELOPE:
            self.message.children.setdefault(key, KEPT)


def page_of(rows: FieldPlace) -> FieldPlace:
    """Return the place of a page whose rows are these; nothing else of it is looked at."""
    page = FieldPlace(is_kept=True)
    page.children["data"] = rows
    page.any = KEPT
    return page


def steps_of(path: str) -> Sequence[str]:
    """Return the keys of a path; ValueError, beginning with "expected", if it is not a path."""
    first, _, rest = path.partition(".")
    steps = [first, *([rest] if first == "metadata" and rest else rest.split(".") if rest else [])]
    if not all(step.strip() for step in steps) or path.endswith("."):
        raise ValueError("expected keys with dots between them, such as metadata.email")
    if len(steps) > DEEPEST_PATH:
        raise ValueError(f"expected at most {DEEPEST_PATH} keys with dots between them")
    if steps == [_MESSAGES]:
        raise ValueError("expected a field of messages, such as messages.name or messages.content")
    if first == "*":
        raise ValueError("expected a field by its name first, such as metadata.*")
    own = steps[1:] if first == _MESSAGES else steps
    if own[0] in NEEDED or (first == _MESSAGES and own[0] == "*"):
        raise ValueError(f"expected a field that the lake can do without, and it needs {own[0]}")
    return steps
