"""The mix `readers`: what people who read and train on conversations meet, of realistic length.

Conversations continue over several completions, so that one's inputs and reply begin the next.
"""

from __future__ import annotations

import functools
import json
import random
from dataclasses import dataclass
from typing import Final

from chatlake.simulator import task_phrases
from chatlake.simulator.dice import Dice
from chatlake.simulator.readers_conversation import Json, ReadersConversation, stored_message

GROUP: Final = 4
"""This many completions in a row belong to one conversation, if they belong to one at all."""
_CONVERSATIONS: Final = 0.6


@dataclass(frozen=True, slots=True)
class Exchange:
    """The input messages of a completion, without their ids, its choices and its tools."""

    inputs: list[Json]
    choices: list[Json]
    has_tools: bool


class Readers:
    """All completions of the mix; completion i is a pure function of the seed and i."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self.talk = functools.lru_cache(maxsize=64)(self._talk)

    def _talk(self, index: int) -> Exchange:
        """Return the inputs and the reply of completion `index`."""
        group, place = divmod(index, GROUP)
        first = index
        if self._dice.share(b"readers", group) < _CONVERSATIONS:
            first = group * GROUP
        else:
            place = index % 2
        source = random.Random(self._dice.roll(first))  # noqa: S311 - a conversation, no secret
        talk = ReadersConversation(source)
        steps = [talk.step() for _ in range(place + 1)]
        inputs = [*talk.opening]
        for step in steps[:-1]:
            inputs += [*step.inputs, talk.as_input(step.reply)]
        last = steps[-1]
        logprobs = _logprobs(source) if source.random() < 0.05 else None
        choices = [
            _choice(number, message, last.reason, logprobs)
            for number, message in enumerate((last.reply, *last.others))
        ]
        return Exchange([*inputs, *last.inputs], choices, talk.has_tools)

    def completion(self, index: int, plain: bytes) -> bytes:
        """Return a completion of the mix, made of a plain one: its choices, tools and usage."""
        talk = self.talk(index)
        stored = json.loads(plain)
        asked = len(json.dumps(talk.inputs)) // 5 + 9
        produced = len(json.dumps(talk.choices)) // 5
        usage = stored["usage"]
        usage |= {
            "total_tokens": asked + produced,
            "completion_tokens": produced,
            "prompt_tokens": asked,
        }
        for of_what, name, most in (
            ("prompt_tokens_details", "cached_tokens", asked),
            ("completion_tokens_details", "reasoning_tokens", produced),
        ):
            details = usage.get(of_what) or {}
            if details.get(name, 0) > most:
                details[name] = most // 2
        stored["choices"] = talk.choices
        stored["tools"] = json.loads(task_phrases.TOOLS) if talk.has_tools else None
        stored["tool_choice"] = "auto" if talk.has_tools else None
        stored["response_format"] = None
        return _encoded(stored)

    def message(self, index: int, completion_id: str, position: int) -> bytes:
        """Return message `position`; the one after the inputs repeats the reply."""
        talk = self.talk(index)
        identified = {"id": f"{completion_id}-{position}"}
        if position < len(talk.inputs):
            return _encoded(identified | talk.inputs[position])
        content = talk.choices[0]["message"]["content"]
        return _encoded(identified | stored_message("assistant", content))


def _choice(number: int, message: Json, reason: str, logprobs: Json | None) -> Json:
    return {"index": number, "message": message, "finish_reason": reason, "logprobs": logprobs}


def _logprobs(source: random.Random) -> Json:
    tokens = [
        {
            "token": word,
            "logprob": -source.randrange(1, 4000) / 1000,
            "bytes": list(word.encode()),
            "top_logprobs": [],
        }
        for word in ("Sure", ",", " here")
    ]
    return {"content": tokens, "refusal": None}


def _encoded(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
