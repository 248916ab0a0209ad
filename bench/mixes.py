"""Two loads that chatlake was not tuned on, made by code that shares nothing with the simulator.

`days`: 200 completions on each of 20 days, so that every flush ends within a day. 8.2 messages
each, replies not counted, and 250 in one of a hundred; a quarter of the user messages come in
parts, and every sixteenth part is an image of 0.1 to 65 kB. About 36 MB of JSON for 4,000.

`prompts`: the proportions of real use. One to three messages each, no images; prompts of 300
characters in the median, with a tail to 30,000.

Both are the same at every start but for the day on which they end, which is the last whole day.
"""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Iterator
from itertools import accumulate
from random import Random
from typing import Any, Final, Literal, NamedTuple, get_args

MixName = Literal["days", "prompts"]
MIXES: Final = get_args(MixName)

_A_DAY: Final = 200
_DAY_S: Final = 86_400
_MANY_MESSAGES: Final = 250
_USUAL_MESSAGES: Final = (2, 10)  # 8.2 in the mean, with one of a hundred that has 250
_IMAGE_BYTES: Final = (100, 65_000, 100)  # most are small
_PROMPT_MEDIAN: Final = 300
_PROMPT_LIMIT: Final = 30_000
_PROMPT_SIGMA: Final = 1.5
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_SYLLABLES: Final = ("ka", "lo", "mi", "ren", "ta", "shu", "vel", "dor", "in", "est", "pra", "qui")
_MODELS: Final = ("gpt-5-mini-2025-08-07", "gpt-5-2025-08-07", "gpt-4.1-2025-04-14", "o4-mini")


class Record(NamedTuple):
    """One completion: its id, its JSON, and the JSON of each of its messages."""

    name: str
    completion: bytes
    messages: list[bytes]


def records(mix: MixName, count: int, now: float | None = None) -> Iterator[Record]:
    """Yield so many completions of a mix, oldest first; `now` is in UTC seconds."""
    random = Random(16)  # noqa: S311 - made-up texts
    last_midnight = int(time.time() if now is None else now) // _DAY_S * _DAY_S
    start = last_midnight - _DAY_S * math.ceil(count / _A_DAY)
    writer = _Writer(random)
    conversation = {"days": writer.days, "prompts": writer.prompts}[mix]
    for number in range(count):
        name = "chatcmpl-" + "".join(random.choices(_LETTERS, k=29))
        created = start + number * _DAY_S // _A_DAY
        inputs, reply = conversation(name)
        completion = writer.completion(name, created, inputs, reply)
        yield Record(name, _json(completion), [_json(message) for message in inputs])


class _Writer:
    """Writes the objects of the API from one stream of random numbers."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._words = ["".join(random.choices(_SYLLABLES, k=1 + n % 4)) for n in range(4_000)]
        # By Zipf's law, as in any language.
        self._weights = list(accumulate(1 / rank for rank in range(1, len(self._words) + 1)))
        self._sentences = [self._text(random.randint(30, 120)) for _ in range(60)]

    def days(self, name: str) -> tuple[list[Any], str]:
        """Return the messages of a conversation, and its reply."""
        random = self._random
        count = _MANY_MESSAGES if random.random() < 0.01 else random.randint(*_USUAL_MESSAGES)
        roles = ("user", "assistant")  # the last is the user's: it is not the reply again
        messages = [
            self._message(name, number, roles[(count - 1 - number) % 2]) for number in range(count)
        ]
        return messages, self._sentences_of()

    def prompts(self, name: str) -> tuple[list[Any], str]:
        """Return a long prompt, with at most two messages before it, and its reply."""
        drawn = self._random.lognormvariate(math.log(_PROMPT_MEDIAN), _PROMPT_SIGMA)
        prompt = self._text(min(_PROMPT_LIMIT, int(drawn)))
        before = [("system", self._text(200))] * self._random.randint(0, 1)
        before += [("user", self._text(80))] * self._random.randint(0, 1)
        messages = [
            _message(name, number, role, text)
            for number, (role, text) in enumerate([*before, ("user", prompt)])
        ]
        return messages, self._text(self._random.randint(80, 1_600))

    def completion(self, name: str, created: int, messages: list[Any], reply: str) -> Any:
        """Return a completion with one reply."""
        random = self._random
        prompt, tokens = 60 * len(messages), len(reply) // 4
        return {
            "id": name,
            "object": "chat.completion",
            "created": created,
            "model": random.choice(_MODELS),
            "request_id": f"req_{random.getrandbits(128):032x}",
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": tokens,
                "total_tokens": prompt + tokens,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
            },
            "seed": random.getrandbits(62),
            "top_p": 1.0,
            "temperature": random.choice((0.0, 0.2, 0.7, 1.0)),
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "system_fingerprint": f"fp_{random.randrange(8):010x}",
            "input_user": None,
            "service_tier": "default",
            "tools": None,
            "tool_choice": None,
            "response_format": None,
            "metadata": {"team": random.choice(("search", "support", "sales")), "run": name[-6:]},
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": reply,
                        "refusal": None,
                        "tool_calls": None,
                    },
                    "finish_reason": "stop",
                    "logprobs": None,
                }
            ],
        }

    def _message(self, name: str, number: int, role: str) -> Any:
        if role != "user" or self._random.random() >= 0.25:
            return _message(name, number, role, self._sentences_of())
        parts = [self._part() for _ in range(self._random.randint(1, 2))]
        return _message(name, number, role, None, parts)

    def _part(self) -> Any:
        random = self._random
        if random.randrange(16):
            return {"type": "text", "text": self._sentences_of()}
        picture = b"\x89PNG\r\n\x1a\n" + random.randbytes(int(random.triangular(*_IMAGE_BYTES)) - 8)
        url = "data:image/png;base64," + base64.b64encode(picture).decode()
        return {"type": "image_url", "image_url": {"url": url, "detail": "auto"}}

    def _sentences_of(self) -> str:
        """Return some of sixty sentences: the texts of a service that repeats itself."""
        return ". ".join(self._random.choices(self._sentences, k=self._random.randint(1, 9)))

    def _text(self, characters: int) -> str:
        words = self._random.choices(self._words, cum_weights=self._weights, k=characters // 5 + 1)
        return " ".join(words)[:characters]


def _message(name: str, number: int, role: str, content: str | None, parts: Any = None) -> Any:
    return {
        "id": f"{name}-{number}",
        "role": role,
        "content": content,
        "name": None,
        "content_parts": parts,
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
