"""An earlier version of a completion that has changed at the source.

The lake keeps each version's completion whole, with its replies, and of its messages those that
later ones replaced (`message_history`). Every other message came again, so it stands in a later
version. Where it stood among the replaced ones is not known, so the page does not pretend to.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, Final

from chatlake.errors import InvalidResponseError
from chatlake.model.flatten import FlatCompletion, Observation, flatten
from chatlake.model.objects import read_completion
from chatlake.model.pages import read_message_page
from chatlake.model.tables import COLUMNS, COMPLETIONS, CONTENT_PARTS, MESSAGES
from chatlake.web.browse.catalogue import Session
from chatlake.web.browse.conversation import (
    MOST_MESSAGES,
    ConversationPage,
    Key,
    OldVersion,
    conversation_page,
    page_of,
)
from chatlake.web.browse.message import SHOWN

_LARGEST: Final = 20_000_000
_VERSIONS: Final = """
SELECT epoch_us(observed_at), raw::VARCHAR
FROM completion_history
WHERE created_date = $day AND source = $source AND completion_id = $id AND change <> 'deleted'
ORDER BY observed_at, change
"""
_OF_LOST: Final = """
FROM message_history
WHERE created_date = $day AND source = $source AND completion_id = $id AND direction = 'input'
    AND epoch_us(observed_at) >= $since AND epoch_us(observed_at) < $until
"""
_LOST: Final = f"""
SELECT message_index, raw::VARCHAR
{_OF_LOST}
    AND length(raw::VARCHAR) <= {_LARGEST}
ORDER BY message_index
LIMIT {MOST_MESSAGES}
"""
_REFERENCE: Final = re.compile(r"chatlake-image:([0-9a-f]{64})(?:;data:([^;,]*))?.*", re.DOTALL)


def old_version_page(session: Session, key: Key, number: int) -> ConversationPage | None:
    """Make the page of version `number` from 1, the oldest.

    None if there is none, if it is the present one, or if it cannot be read.
    """
    present = conversation_page(session, key)
    versions = session.ask(_VERSIONS, key.parameters)
    if present is None or not 1 <= number < len(versions):
        return None
    (observed_us, raw), (until_us, _) = versions[number - 1 : number + 1]
    parameters = {**key.parameters, "since": observed_us, "until": until_us}
    lost = session.ask(_LOST, parameters)
    ((replaced,),) = session.ask(f"SELECT count(*) {_OF_LOST}", parameters)
    try:
        flat = _flat(raw, [text for _, text in lost])
    except InvalidResponseError:
        return None
    rows = [_row(COLUMNS[MESSAGES], message) for message in flat.messages]
    parts: dict[int, list[dict[str, Any]]] = {}
    for part in flat.content_parts:
        record = _row(COLUMNS[CONTENT_PARTS], part)
        record["characters"] = len(record["text"] or "")
        parts.setdefault(record["message_index"], []).append(_with_image(record))
    for row in rows:
        row["characters"] = len(row["text"] or "")
        row["text"] = (row["text"] or "")[: SHOWN + 1]
    page = page_of(key, _facts(present.facts, flat), rows, parts)
    for message, (index, _) in zip(page.messages, lost, strict=False):
        message.index, message.is_replaced = index, True
    version = OldVersion(
        number, len(versions), observed_us, until_us, replaced, replaced - len(lost)
    )
    return replace(
        page, versions=present.versions, older_versions=present.older_versions, old=version
    )


def _flat(raw: str, messages: list[str]) -> FlatCompletion:
    page = f'{{"object": "list", "data": [{", ".join(messages)}], "has_more": false}}'
    inputs = read_message_page(page.encode()).items
    return flatten(read_completion(raw.encode()), inputs, Observation("", 0, 0), keep_images=False)


def _row(names: tuple[str, ...], values: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(names, values, strict=True))


def _facts(present: dict[str, Any], flat: FlatCompletion) -> dict[str, Any]:
    then = _row(COLUMNS[COMPLETIONS], flat.completion)
    pairs = then["metadata"]
    return {
        **present,
        **{name: then[name] for name in present.keys() & then.keys() - {"run_id"}},
        "metadata": pairs and [{"key": name, "value": value} for name, value in pairs],
        "tool_choice": then["tool_choice"] and json.dumps(json.loads(then["tool_choice"])),
    }


def _with_image(part: dict[str, Any]) -> dict[str, Any]:
    """Name the image that a reference in `raw` stands for."""
    found = _REFERENCE.fullmatch(part["image_url"] or "")
    if found is None:
        return part
    return part | {"image_sha256": found[1], "media_type": found[2] or None, "image_url": None}
