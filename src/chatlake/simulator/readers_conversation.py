"""One conversation of the mix `readers`, made step by step.

A step is what one completion adds: input messages, and the reply. Tool calls take two steps: the
reply that makes them, and the one after their results. Half of the conversations repeat the calls
among their inputs; the other half come back without, as the API stores them.
"""

from __future__ import annotations

import base64
import random
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from chatlake.simulator import pictures, task_phrases
from chatlake.simulator.language import Pair
from chatlake.simulator.phrases import LANGUAGES

Json = dict[str, Any]
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
_ASKED, _ANSWERED = 0, 1
_BROKEN: Final = 0.05  # share of the calls of lookup_order
_SLOT: Final = re.compile(r"«(name|order|product|city|n|amount)»")
_NO_PART: Final = dict.fromkeys(("type", "text", "image_url", "input_audio", "file"))


@dataclass(slots=True)
class Step:
    """What one completion adds: input messages, the reply, and other replies beside it."""

    inputs: list[Json]
    reply: Json
    reason: str = "stop"
    others: list[Json] = field(default_factory=list)


class ReadersConversation:
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
        self._asked_for = self._language.weather
        self.has_tools = source.random() < 0.35
        self.opening: list[Json] = []
        if (role := source.choice(("system", "developer", None))) is not None:
            self.opening.append(stored_message(role, self._fill(self._language.system)))

    def as_input(self, reply: Json) -> Json:
        """Return a reply as the next completion's input has it."""
        message = stored_message("assistant", reply["content"])
        if reply.get("tool_calls") and self._repeats_calls:
            message["tool_calls"] = reply["tool_calls"]
        return message

    def step(self) -> Step:
        """Return the next step."""
        if self._open_calls:
            return self._answered()
        names, weights = zip(*_KINDS, strict=True)
        kind = self._random.choices(names, weights)[0]
        if kind == "tools" and self.has_tools:
            return self._calling()
        topic = self._topic(kind)
        return self._replied([self._question(kind, topic)], kind, topic)

    def _topic(self, kind: str) -> Pair:
        """Return what the step is about: a question and its answer."""
        match kind:
            case "refusal":
                return self._language.refusal
            case "image" | "link":
                return self._random.choice(self._language.picture)
            case _:
                return self._random.choice((*self._language.support, *self._language.further))

    def _replied(self, question: list[Json], kind: str, topic: Pair) -> Step:
        match kind:
            case "refusal":
                reply = _reply(None, refusal=_REFUSAL)
            case "content_filter":
                reply = _reply("")
            case "spoken":
                reply = _reply(None, audio=self._spoken(topic))
            case _:
                reply = _reply(self._text(topic, _ANSWERED))
        reason = kind if kind in ("length", "content_filter") else "stop"
        others = [_reply(self._text(topic, _ANSWERED))] if kind == "choices" else []
        return Step(question, reply, reason, others)

    def _question(self, kind: str, topic: Pair) -> Json:
        text = self._text(topic, _ASKED)
        if kind not in ("link", "image", "audio"):
            return stored_message("user", text)
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
        return stored_message("user", f"{text} ", parts)

    def _calling(self) -> Step:
        count = 2 if self._random.random() < 0.2 else 1
        self._asked_for = self._random.choice((self._language.support[0], self._language.weather))
        self._open_calls = [self._call() for _ in range(count)]
        reply = _reply(None, tool_calls=self._open_calls)
        question = self._text(self._asked_for, _ASKED)
        return Step([stored_message("user", question)], reply, "tool_calls")

    def _call(self) -> Json:
        name, arguments = "get_weather", task_phrases.WEATHER_ARGUMENTS
        if self._asked_for is self._language.support[0]:
            is_broken = self._random.random() < _BROKEN
            name = "lookup_order"
            arguments = task_phrases.BROKEN_ARGUMENTS if is_broken else task_phrases.ORDER_ARGUMENTS
        call_id = f"call_{self._random.randbytes(12).hex()}"
        function = {"name": name, "arguments": self._fill(arguments)}
        return {"type": "function", "function": function, "id": call_id}

    def _answered(self) -> Step:
        answers = []
        for call in self._open_calls:
            is_order = call["function"]["name"] == "lookup_order"
            result = task_phrases.ORDER_RESULT if is_order else task_phrases.WEATHER_RESULT
            answer = stored_message("tool", self._fill(result))
            if self._repeats_calls:
                answer["tool_call_id"] = call["id"]
            answers.append(answer)
        self._open_calls = []
        return Step(answers, _reply(self._text(self._asked_for, _ANSWERED)))

    def _spoken(self, topic: Pair) -> Json:
        sound = base64.b64encode(self._random.randbytes(90)).decode()
        return {
            "id": f"audio_{self._random.randbytes(8).hex()}",
            "expires_at": 1_900_000_000,
            "data": sound,
            "transcript": self._text(topic, _ANSWERED)[:300],
        }

    def _text(self, topic: Pair, side: int) -> str:
        """Return a question or an answer, and more of its side up to a length drawn by chance."""
        length = _length(self._random.random())
        sentences = [self._fill(topic[side]).strip()]
        size = len(sentences[0])
        others: list[Pair] = []
        while True:
            if not others:
                others = [*self._language.support, *self._language.further]
                self._random.shuffle(others)
            sentence = self._fill(others.pop()[side]).strip()
            size += len(sentence) + 2
            if size > length:
                break
            sentences.append(sentence)
        return "\n\n".join(" ".join(sentences[n : n + 5]) for n in range(0, len(sentences), 5))

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


def stored_message(role: str, content: str | None, parts: list[Json] | None = None) -> Json:
    """Return a message without its id, as the API stores it."""
    return {"role": role, "content": content, "content_parts": parts, "name": None}


def _reply(content: str | None, **more: Any) -> Json:
    return {
        "content": content,
        "role": "assistant",
        "tool_calls": None,
        "function_call": None,
        **more,
    }
