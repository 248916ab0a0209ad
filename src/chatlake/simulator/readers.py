"""The mix `readers`: what people who read and train on conversations meet, of realistic length.

Conversations continue over several completions, so that one's inputs and reply begin the next. A
step is what one completion adds: input messages, and the reply. Tool calls take two steps: the
reply that makes them, and the one after their results. Half of the conversations repeat the calls
among their inputs; the other half come back without, as the API stores them.
"""

from __future__ import annotations

import base64
import functools
import json
import random
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from chatlake.simulator import pictures, tasks
from chatlake.simulator.dice import Dice
from chatlake.simulator.phrases import LANGUAGES

Json = dict[str, Any]

GROUP: Final = 4
"""This many completions in a row belong to one conversation, if they belong to one at all."""
_CONVERSATIONS: Final = 0.6
# Share of the texts -> their length in characters: the median is 300, the tail ends at 30,000.
_LENGTHS: Final = (
    (0.0, 20), (0.1, 60), (0.25, 140), (0.5, 300), (0.75, 700), (0.9, 1_800), (0.97, 5_000),
    (0.995, 15_000), (1.0, 30_000),
)  # fmt: skip
_KINDS: Final = (
    ("text", 60), ("tools", 18), ("link", 5), ("image", 6), ("audio", 2), ("spoken", 1),
    ("refusal", 4), ("length", 2), ("content_filter", 1), ("choices", 3),
)  # fmt: skip
_LINKS: Final = (
    "https://images.example.com/cup.jpg",
    "https://cdn.example.net/tea%20pot.png?w=800",
)
_REFUSAL: Final = "I'm sorry, but I can't help with that request."
_SLOT: Final = re.compile(r"«(name|order|product|city|n|amount)»")
_NO_PART: Final = dict.fromkeys(("type", "text", "image_url", "input_audio", "file"))


@dataclass(slots=True)
class _Step:
    inputs: list[Json]
    reply: Json
    reason: str = "stop"
    others: list[Json] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Talk:
    """The input messages of a completion, without their ids, its choices and its tools."""

    inputs: list[Json]
    choices: list[Json]
    has_tools: bool


class Readers:
    """All completions of the mix; completion i is a pure function of the seed and i."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self.talk = functools.lru_cache(maxsize=64)(self._talk)

    def _talk(self, index: int) -> Talk:
        """Return the inputs and the reply of completion `index`."""
        group, place = divmod(index, GROUP)
        first = index
        if self._dice.share(b"readers", group) < _CONVERSATIONS:
            first = group * GROUP
        else:
            place = index % 2
        source = random.Random(self._dice.roll(first))  # noqa: S311 - a conversation, no secret
        talk = _Conversation(source)
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
        return Talk([*inputs, *last.inputs], choices, talk.has_tools)

    def completion(self, index: int, plain: bytes) -> bytes:
        """Return a completion of the mix, made of a plain one: its choices, tools and usage."""
        talk = self.talk(index)
        stored = json.loads(plain)
        asked = len(json.dumps(talk.inputs)) // 5 + 9
        produced = len(json.dumps(talk.choices)) // 5
        stored["usage"] |= {
            "total_tokens": asked + produced,
            "completion_tokens": produced,
            "prompt_tokens": asked,
        }
        stored["choices"] = talk.choices
        stored["tools"] = json.loads(tasks.TOOLS) if talk.has_tools else None
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
        return _encoded(identified | _message("assistant", content))


class _Conversation:
    """Makes one step after the other; all that is random comes from one source, in order."""

    def __init__(self, source: random.Random) -> None:
        self._random = source
        self._language = source.choice(LANGUAGES[:4])
        self._slots = {
            "name": source.choice(self._language.names),
            "order": f"NT-{source.randrange(10_000, 100_000)}",
            "product": source.choice(self._language.products),
            "city": source.choice(self._language.cities),
        }
        self._repeats_calls = source.random() < 0.5
        self._open_calls: list[Json] = []
        self.has_tools = source.random() < 0.35
        self.opening: list[Json] = []
        if (role := source.choice(("system", "developer", None))) is not None:
            self.opening.append(_message(role, self._fill(self._language.system)))

    def as_input(self, reply: Json) -> Json:
        """Return a reply as the next completion's input has it."""
        message = _message("assistant", reply["content"])
        if reply.get("tool_calls") and self._repeats_calls:
            message["tool_calls"] = reply["tool_calls"]
        return message

    def step(self) -> _Step:
        if self._open_calls:
            return self._answered()
        names, weights = zip(*_KINDS, strict=True)
        kind = self._random.choices(names, weights)[0]
        if kind == "tools" and self.has_tools:
            return self._calling()
        return self._replied([self._question(kind)], kind)

    def _replied(self, question: list[Json], kind: str) -> _Step:
        match kind:
            case "refusal":
                reply = _reply(None, refusal=_REFUSAL)
            case "content_filter":
                reply = _reply("")
            case "spoken":
                reply = _reply(None, audio=self._spoken())
            case _:
                reply = _reply(self._text())
        reason = kind if kind in ("length", "content_filter") else "stop"
        others = [_reply(self._text())] if kind == "choices" else []
        return _Step(question, reply, reason, others)

    def _question(self, kind: str) -> Json:
        text = self._text()
        if kind not in ("link", "image", "audio"):
            return _message("user", text)
        part: Json
        if kind == "audio":
            sound = base64.b64encode(self._random.randbytes(60)).decode()
            part = {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}}
        else:
            url = self._random.choice(_LINKS)
            if kind == "image":
                url = pictures.logo_url(self._random.randrange(pictures.LOGOS)).decode()
            detail = self._random.choice((None, "auto", "low", "high"))
            part = {"type": "image_url", "image_url": {"url": url, "detail": detail}}
        parts = [_NO_PART | {"type": "text", "text": text}, _NO_PART | part]
        return _message("user", f"{text} ", parts)

    def _calling(self) -> _Step:
        count = 2 if self._random.random() < 0.2 else 1
        self._open_calls = [self._call() for _ in range(count)]
        reply = _reply(None, tool_calls=self._open_calls)
        return _Step([_message("user", self._text())], reply, "tool_calls")

    def _call(self) -> Json:
        name, arguments = self._random.choice(
            (("lookup_order", tasks.ORDER_ARGUMENTS), ("get_weather", tasks.WEATHER_ARGUMENTS))
        )
        call_id = f"call_{self._random.randbytes(12).hex()}"
        function = {"name": name, "arguments": self._fill(arguments)}
        return {"type": "function", "function": function, "id": call_id}

    def _answered(self) -> _Step:
        answers = []
        for call in self._open_calls:
            is_order = call["function"]["name"] == "lookup_order"
            result = tasks.ORDER_RESULT if is_order else tasks.WEATHER_RESULT
            answer = _message("tool", self._fill(result))
            if self._repeats_calls:
                answer["tool_call_id"] = call["id"]
            answers.append(answer)
        self._open_calls = []
        return _Step(answers, _reply(self._text()))

    def _spoken(self) -> Json:
        sound = base64.b64encode(self._random.randbytes(90)).decode()
        return {
            "id": f"audio_{self._random.randbytes(8).hex()}",
            "expires_at": 1_900_000_000,
            "data": sound,
            "transcript": self._text()[:300],
        }

    def _text(self) -> str:
        length = _length(self._random.random())
        sentences: list[str] = []
        size = 0
        pairs = (*self._language.support, *self._language.further)
        while size < length:
            sentences.append(self._fill(self._random.choice(self._random.choice(pairs))))
            size += len(sentences[-1]) + 1
        text = "\n\n".join(" ".join(sentences[n : n + 5]) for n in range(0, len(sentences), 5))
        return text[: max(length, 20)].strip()

    def _fill(self, text: str) -> str:
        values = self._slots | {
            "n": str(self._random.randrange(2, 29)),
            "amount": f"{self._random.randrange(3, 183)}.{self._random.randrange(100):02d}",
        }
        return _SLOT.sub(lambda found: values[found[1]], text)


def _length(share: float) -> int:
    for (low, least), (high, most) in pairwise(_LENGTHS):
        if share <= high:
            return int(least + (most - least) * (share - low) / (high - low))
    return _LENGTHS[-1][1]


def _message(role: str, content: str | None, parts: list[Json] | None = None) -> Json:
    return {"role": role, "content": content, "content_parts": parts, "name": None}


def _reply(content: str | None, **more: Any) -> Json:
    return {
        "content": content,
        "role": "assistant",
        "tool_calls": None,
        "function_call": None,
        **more,
    }


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
