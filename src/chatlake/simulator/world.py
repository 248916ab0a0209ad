"""The store: which completions there are, in which order, and who can see them.

Only what was changed at run time is kept: metadata edits, deletions, hidden ids, additions, dates.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import msgspec

from chatlake.simulator import ogx
from chatlake.simulator.completion import completion, created_member, metadata_of, model_of
from chatlake.simulator.dice import Dice, identifier
from chatlake.simulator.messages import message
from chatlake.simulator.oddities import Oddities
from chatlake.simulator.order import ListOrder
from chatlake.simulator.readers import Readers
from chatlake.simulator.reply import reply
from chatlake.simulator.scenario import Scenario
from chatlake.simulator.talk import Talk, conversation

_REPLY_MESSAGE = b'{"id":"%b-%d","role":"assistant","content":%b,"content_parts":null,"name":null}'
_METADATA = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Filters:
    """The filter of a list: the model's name and metadata pairs, all of which must match."""

    model: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()


class World:
    """All completions of a scenario and the changes made to it since the start.

    Index order is list order, oldest first, except for completions that were dated. `clock` gives
    monotonic seconds. `oddities`: how the API spoils some of it; `truth` ignores them.
    """

    def __init__(self, scenario: Scenario, clock: Callable[[], float] = time.monotonic) -> None:
        self.scenario = scenario
        self.total = scenario.completions
        self._dice = Dice(scenario.seed)
        self._clock = clock
        self._started = clock()
        self._now = int(time.time()) if scenario.now is None else scenario.now
        span = scenario.days * 86_400
        self._first_second = self._now - int(span)
        self._per_index = span / max(1, scenario.completions)
        self._added: list[tuple[int, float]] = []
        self._edited: dict[int, dict[str, str]] = {}
        self._deleted: set[int] = set()
        self._hidden: set[int] = set()
        self.oddities = Oddities(self._dice)
        self._readers = Readers(self._dice) if scenario.mix == "readers" else None
        self._order = ListOrder(self.created)
        if scenario.future_days and self.total:
            self.date(self.total // 2, self._now + int(scenario.future_days * 86_400))

    # What exists

    def now(self) -> float:
        """The store's time in UTC epoch seconds: the scenario's `now` plus the time since."""
        return self._now + self._clock() - self._started

    def identifier(self, index: int) -> bytes:
        """The id of completion `index`."""
        return identifier(index, self._dice.roll(index))

    def created(self, index: int) -> int:
        """UTC epoch seconds; never falls with the index where no completion was dated."""
        return int(self._born(index))

    def _born(self, index: int) -> float:
        if index in self._order.dated:
            return self._order.dated[index]
        if index < self.scenario.completions:
            return self._first_second + self._dice.second(index, self._per_index)
        return next(born for first, born in reversed(self._added) if index >= first)

    def visible(self, index: int) -> bool:
        """Whether the API shows it: not deleted, not hidden, and old enough."""
        if index in self._deleted or index in self._hidden:
            return False
        late = self.scenario.late_visibility
        if not late:
            return True
        age = self.now() - self._born(index)
        return age >= late or age >= late * (0.3 + 0.7 * self._dice.share(b"late", index))

    def find(self, completion_id: str) -> int | None:
        """The index of a visible completion, None if the API knows no such id."""
        index = self.index_of(completion_id)
        return index if index is not None and self.visible(index) else None

    def index_of(self, completion_id: str) -> int | None:
        """The index of an issued id, including deleted and hidden ones."""
        index = self._dice.index_of(completion_id.encode("utf-8", "replace"))
        return index if index is not None and index < self.total else None

    def page(
        self,
        *,
        after: int | None,
        limit: int,
        newest_first: bool,
        filters: Filters,
        overlap: int = 0,
    ) -> tuple[list[int], bool]:
        """Up to `limit` indices that follow `after`, and whether there are more.

        `overlap` goes back by that many places first: a fault.
        """
        step = -1 if newest_first else 1
        order = self._order.indices(self.total)
        if after is None:
            start = self.total - 1 if newest_first else 0
        else:
            place = self._order.place(after, self.total)
            start = min(max(place + step * (1 - overlap), 0), self.total - 1)
            if not overlap:
                start = self._behind(place, step)
        found: list[int] = []
        for place in range(start, -1 if newest_first else self.total, step):
            index = order[place]
            if self.visible(index) and self._matches(index, filters):
                if len(found) == limit:
                    return found, True
                found.append(index)
        return found, False

    def _behind(self, place: int, step: int) -> int:
        """The place behind `place`; with cursors by time the first one of another second."""
        following = place + step
        if self.scenario.cursors == "time":
            order = self._order.indices(self.total)
            second = self.created(order[place])
            while 0 <= following < self.total and self.created(order[following]) == second:
                following += step
        return following

    def _matches(self, index: int, filters: Filters) -> bool:
        if filters.model is None and not filters.metadata:
            return True
        roll = self._dice.roll(index)
        if filters.model is not None and model_of(roll) != filters.model.encode("utf-8", "replace"):
            return False
        return not filters.metadata or set(filters.metadata) <= self._metadata(index, roll).items()

    def _metadata(self, index: int, roll: bytes) -> dict[str, str]:
        edited = self._edited.get(index)
        return metadata_of(roll) if edited is None else edited

    # What is returned

    def _talk(self, index: int) -> Talk:
        roll = self._dice.roll(index)
        return conversation(identifier(index, roll), roll, self.scenario)

    def completion(self, index: int) -> bytes:
        """The stored completion as JSON."""
        talk = self._talk(index)
        pairs = self._metadata(index, talk.roll)
        answer = completion(
            talk,
            created=created_member(
                self.created(index),
                "missing" if index in self._order.undated else self.scenario.created,
            ),
            metadata=_METADATA.encode(pairs) if pairs else b"{}",
        )
        if self._readers is not None:
            answer = self._readers.completion(index, answer)
        if self.scenario.ogx:
            return ogx.completion(answer, self.messages(index, range(self._input_count(index))))
        return answer

    def message_count(self, index: int) -> int:
        """How many messages `/messages` lists: the input, and the reply with `repeat_reply`."""
        repeats = self.scenario.repeat_reply or self.scenario.ogx
        return self._input_count(index) + repeats

    def _input_count(self, index: int) -> int:
        if self._readers is not None:
            return len(self._readers.talk(index).inputs)
        return self._talk(index).count

    def messages(self, index: int, positions: Iterable[int]) -> list[bytes]:
        """The messages at `positions` as JSON."""
        talk = self._talk(index)
        answers = []
        for position in positions:
            if self._readers is not None:
                body = self._readers.message(index, talk.completion_id.decode(), position)
            elif position < talk.count:
                body = message(talk, position)
            else:
                body = _REPLY_MESSAGE % (talk.completion_id, position, reply(talk).content)
            answers.append(ogx.message(body) if self.scenario.ogx else body)
        return answers

    def is_edited(self, index: int) -> bool:
        """Whether its metadata was replaced."""
        return index in self._edited

    def indices(self) -> Iterator[int]:
        """The indices of all that is visible, in list order, oldest first."""
        return filter(self.visible, self._order.indices(self.total))

    def truth(self) -> Iterator[bytes]:
        """Every visible completion with its messages, oldest first: one JSON document each."""
        for index in self.indices():
            yield self.record(index)

    def record(self, index: int) -> bytes:
        """`{"completion": …, "messages": […]}` of one completion."""
        messages = b",".join(self.messages(index, range(self.message_count(index))))
        return b'{"completion":%b,"messages":[%b]}' % (self.completion(index), messages)

    # What is changed

    def grow(self, count: int) -> list[str]:
        """Adds `count` completions that are created now; returns their ids."""
        first = self.total
        self._added.append((first, max(self.now(), self._now)))
        self.total += count
        return [self.identifier(index).decode() for index in range(first, first + count)]

    def edit(self, index: int, metadata: dict[str, str]) -> None:
        """Replaces the metadata, the only thing that can change."""
        self._edited[index] = dict(metadata)

    def date(self, index: int, created: int | None) -> None:
        """Gives it another creation time (UTC seconds), which moves it in the list; None: no time.

        One without a time stays where it is.
        """
        self._order.date(index, created)

    def delete(self, index: int) -> None:
        """Deletes it: from now on the API knows nothing of it."""
        self._deleted.add(index)

    def hide(self, index: int) -> None:
        """Hides it until `reveal`: a row that shows up later than newer ones."""
        self._hidden.add(index)

    def reveal(self, index: int) -> None:
        """Shows a hidden one again."""
        self._hidden.discard(index)
