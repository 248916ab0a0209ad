"""The frame of conversation i: its subject, its length, and the words for each turn.

A long conversation repeats its script with other numbers, so a turn does not depend on earlier
ones.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from chatlake.simulator import task_phrases
from chatlake.simulator.scenario import Scenario
from chatlake.simulator.scripts import BytesPair, Script, compiled, script

# Out of 256; the rest is support.
_KINDS = (
    ["coding"] * 46 + ["extraction"] * 28 + ["translation"] * 30 + ["tools"] * 44 + ["refusal"] * 5
)
KINDS = tuple(_KINDS + ["support"] * (256 - len(_KINDS)))
# Weights of `phrases.LANGUAGES`, out of 16.
_LANGUAGES = (0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5)
_TURNS = (1,) * 9 + (2,) * 3 + (3, 3) + (4, 6)

# Shares out of 65,536.
_EMPTY_BELOW = 197
_LONG_BELOW = _EMPTY_BELOW + 328


@dataclass(slots=True)
class Talk:
    """What all messages of one completion share.

    `kind` names the task, `pattern` is how many messages make one turn (4 with tools),
    `count` the input messages, `turns` the number of the last turn plus 1.
    """

    completion_id: bytes
    roll: bytes
    kind: str
    script: Script
    slots: dict[bytes, bytes]
    count: int
    with_system: bool
    pattern: int
    turns: int
    with_image: bool
    calls_tool: bool
    odd_text: bool
    image_bytes: int

    def turn(self, number: int) -> BytesPair:
        """What is said and answered in turn `number`."""
        if self.kind == "refusal":
            return self.script.refusal
        offset = self.roll[62]
        if self.kind == "tools":
            return self.script.weather if (offset + number) & 1 else self.script.first[0]
        if number == 0:
            return self.script.first[offset % len(self.script.first)]
        return self.script.further[(offset + number) % len(self.script.further)]

    def fill(self, template: bytes, number: int) -> bytes:
        """`template` with the slots of turn `number`."""
        roll = self.roll
        numbers = {
            b"n": b"%d" % ((roll[0] + 17 * number) % 27 + 2),
            b"amount": b"%d.%02d" % ((roll[1] + 29 * number) % 180 + 3, roll[2] % 100),
        }
        return template % (self.slots | numbers)


def conversation(completion_id: bytes, roll: bytes, scenario: Scenario) -> Talk:
    """The frame of a conversation: kind, language and length, without any text.

    Bytes 45 to 63 of `roll` decide it; the ones before are spelled in ids and seed, and serve
    again where only the wording depends on them.
    """
    kind = KINDS[roll[45]]
    with_image = (roll[56] << 8 | roll[57]) < scenario.image_share * 65536
    if with_image and kind == "tools":
        kind = "support"
    lines = script(kind, _LANGUAGES[roll[48] & 15])
    calls_tool = kind == "tools" and roll[63] & 1 == 0
    with_system = roll[50] & 64 == 0
    pattern = 4 if kind == "tools" else 2
    rare = roll[46] << 8 | roll[47]
    turns = _TURNS[roll[50] & 15]
    if _EMPTY_BELOW <= rare < _LONG_BELOW:
        turns = (101 + (roll[53] << 8 | roll[58]) % 220) // pattern + 1
    last = 1 if pattern == 2 or calls_tool else 3
    count = (turns - 1) * pattern + last + with_system
    if rare < _EMPTY_BELOW:
        turns, count, with_image = 1, 0, False
    return Talk(
        completion_id=completion_id,
        roll=roll,
        kind=kind,
        script=lines,
        slots={
            b"order": b"NT-%05d" % ((roll[3] << 8 | roll[4]) % 90_000 + 10_000),
            b"name": lines.names[roll[5] % len(lines.names)],
            b"product": lines.products[roll[6] % len(lines.products)],
            b"city": lines.cities[roll[7] % len(lines.cities)],
        },
        count=count,
        with_system=with_system,
        pattern=pattern,
        turns=turns,
        with_image=with_image,
        calls_tool=calls_tool,
        odd_text=scenario.odd_text,
        image_bytes=scenario.image_bytes,
    )


@functools.cache
def _compiled(text: str) -> bytes:
    return compiled(text)


def tool_of(talk: Talk, turn: int) -> tuple[bytes, bytes, bytes]:
    """Name, arguments template and result template of the tool that `turn` needs."""
    if (talk.roll[62] + turn) & 1:
        return (
            b"get_weather",
            _compiled(task_phrases.WEATHER_ARGUMENTS),
            _compiled(task_phrases.WEATHER_RESULT),
        )
    return (
        b"lookup_order",
        _compiled(task_phrases.ORDER_ARGUMENTS),
        _compiled(task_phrases.ORDER_RESULT),
    )
