"""Text from outside within Markdown and chats: quoted as code, so that its markup has no effect.

A failure's detail is what a server wrote. As Markdown it could be a link, or an image whose address
reports the reader to a stranger. In a chat it could notify everybody. As code, it is plain text.
"""

from __future__ import annotations

import re
from typing import Final

from chatlake.model.outside_text import one_line

_TICKS: Final = re.compile("`+")
_PLAIN: Final = re.compile(
    r"(?!.*(?:://|www\.))(?:[A-Z0-9 .,:;/'\"()%=+?…-]|(?<=[A-Z0-9])_(?=[A-Z0-9]))*", re.IGNORECASE
)
_CHAT: Final = str.maketrans({"`": "'", "<": "‹", ">": "›"})


def code(text: str) -> str:
    """Return text as code in Markdown, on one line, whatever backticks it has itself."""
    text = one_line(text)
    if not text:
        return ""
    longest = max((len(found) for found in _TICKS.findall(text)), default=0)
    ticks = "`" * (longest + 1)
    space = " " if longest else ""
    return f"{ticks}{space}{text}{space}{ticks}"


def as_cell(text: str) -> str:
    """Return text for a cell of a Markdown table: as code if it may have an effect."""
    text = one_line(text)
    return text if _PLAIN.fullmatch(text) else code(text)


def chat_code(text: str) -> str:
    """Return text as code in a chat.

    Chats know one backtick only, and some read `<…>` as a link or a call even within code. So
    characters that would end the code, or notify a user, are replaced by look-alikes.
    """
    text = one_line(text).translate(_CHAT)
    return f"`{text}`" if text else ""
