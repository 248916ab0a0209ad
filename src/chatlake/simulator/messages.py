"""The input messages of a conversation as the API writes them, each computed on its own."""

from __future__ import annotations

from chatlake.simulator import pictures, task_phrases
from chatlake.simulator.talk import Talk, tool_of

_MESSAGE = b'{"id":"%b-%d","role":"%b","content":%b,"content_parts":%b,"name":%b}'
_TEXT_PART = b'{"type":"text","text":"%b","image_url":null,"input_audio":null,"file":null}'
_IMAGE_PART = (
    b'{"type":"image_url","text":null,"image_url":{"url":"%b","detail":%b},'
    b'"input_audio":null,"file":null}'
)
_DETAILS = (b"null", b"null", b'"auto"', b'"low"', b'"high"')


def message(talk: Talk, position: int) -> bytes:
    """Message `position` of the conversation, as the API writes it (keys in its order)."""
    if talk.with_system and position == 0:
        return _plain(talk, 0, b"system", talk.fill(talk.script.system, 0))
    turn, step = divmod(position - talk.with_system, talk.pattern)
    if step == 0:
        return _from_user(talk, position, turn)
    if talk.pattern == 4 and step == 1:
        return _MESSAGE % (talk.completion_id, position, b"assistant", b"null", b"null", b"null")
    if talk.pattern == 4 and step == 2:
        return _plain(talk, position, b"tool", talk.fill(tool_of(talk, turn)[2], turn))
    return _plain(talk, position, b"assistant", talk.fill(talk.turn(turn)[1], turn))


def _from_user(talk: Talk, position: int, turn: int) -> bytes:
    roll = talk.roll
    if talk.odd_text and roll[(position + 8) & 63] < 24:
        return _plain(
            talk, position, b"user", task_phrases.ODD_TEXTS[roll[9] % len(task_phrases.ODD_TEXTS)]
        )
    if talk.with_image and turn == talk.turns - 1:
        return _with_images(talk, position, turn)
    text = talk.fill(talk.turn(turn)[0], turn)
    if roll[59] & 31 == 0:
        return _in_parts(talk, position, [_TEXT_PART % text], text)
    return _plain(talk, position, b"user", text)


def _plain(talk: Talk, position: int, role: bytes, text: bytes) -> bytes:
    name = b'"customer_%d"' % talk.roll[10] if role == b"user" and talk.roll[11] < 5 else b"null"
    content = b'"%b"' % text
    return _MESSAGE % (talk.completion_id, position, role, content, b"null", name)


def _in_parts(talk: Talk, position: int, parts: list[bytes], joined: bytes) -> bytes:
    return _MESSAGE % (
        talk.completion_id,
        position,
        b"user",
        b'"%b"' % joined,
        b"[%b]" % b",".join(parts),
        b"null",
    )


def _with_images(talk: Talk, position: int, turn: int) -> bytes:
    roll = talk.roll
    pairs = talk.script.pictures
    text = talk.fill(pairs[roll[12] % len(pairs)][0], turn)
    detail = _DETAILS[roll[13] % len(_DETAILS)]
    parts = [_TEXT_PART % text, _IMAGE_PART % (_picture(roll, talk.image_bytes), detail)]
    # The API joins the parts' texts with spaces, an image counting as empty text [rec].
    joined = text + b" "
    if roll[14] & 7 == 0:
        parts.append(_IMAGE_PART % (pictures.logo_url(roll[15] % pictures.LOGOS), detail))
        joined += b" "
    return _in_parts(talk, position, parts, joined)


def _picture(roll: bytes, image_bytes: int) -> bytes:
    if roll[16] < 128:
        return pictures.logo_url(roll[17] % 3 if roll[16] < 96 else roll[17] % pictures.LOGOS)
    share = (roll[18] << 8 | roll[19]) / 65536
    return pictures.photo_url(
        int.from_bytes(roll[20:28], "little"), int(900 + (image_bytes - 900) * share**3)
    )
