"""`chatlake show`: one conversation."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatlake.cli.options import ConfigOption, JsonOption, examples
from chatlake.cli.output import paint
from chatlake.errors import NotInLakeError, UsageError

if TYPE_CHECKING:
    import duckdb

    from chatlake.lake.catalog.conversation import Record, StoredConversation

EXAMPLES = examples(
    "chatlake show chatcmpl-abc123",
    "chatlake show 'chatcmpl-abc123#3'",
    "chatlake show chatcmpl-abc123 --json",
)


def show(
    wanted: Annotated[
        str,
        typer.Argument(
            metavar="ID[#MESSAGE]",
            help=(
                "The completion's id. For a single message, add # and its position, counted from 0."
            ),
            show_default=False,
        ),
    ],
    config: ConfigOption = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The source, if several have this id.", show_default=False
        ),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show one conversation.

    Shows roles, texts, tool calls, images, refusals and tokens. A long conversation opens in your
    pager ($PAGER).
    """
    completion_id, only = _split(wanted)
    from chatlake.bootstrap.opened import open_lake  # noqa: PLC0415
    from chatlake.cli.sql_answer import open_for_questions  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415
    from chatlake.lake.catalog.conversation import conversation_of  # noqa: PLC0415

    with open_for_questions(open_lake(load_settings(config), to_ask=True)) as questions:
        conversation = questions.read(
            lambda connection: conversation_of(
                connection, _found(connection, completion_id, source)
            )
        )
    indexes = [message["message_index"] for message in conversation.messages]
    if only is not None and only not in indexes:
        last = f"Its messages are #0 to #{indexes[-1]}." if indexes else "It has no messages."
        raise NotInLakeError(f"{completion_id} has no message #{only}", hint=last)
    if as_json:
        _write_json(conversation, only)
        return
    from chatlake.cli.conversation_text import conversation_lines  # noqa: PLC0415
    from chatlake.cli.pager import show_lines  # noqa: PLC0415

    show_lines(conversation_lines(conversation, paint, only))


def _split(wanted: str) -> tuple[str, int | None]:
    """Return the id and the message's position: of `id`, `id#3`, or browse's `id#m3`."""
    completion_id, mark, position = wanted.rpartition("#")
    if not mark:
        return wanted, None
    if not re.fullmatch("m?[0-9]{1,9}", position):
        raise UsageError(f"expected the number of a message after #, got {position!r}")
    return completion_id, int(position.removeprefix("m"))


def _found(connection: duckdb.DuckDBPyConnection, completion_id: str, source: str | None) -> Record:
    from chatlake.lake.catalog.conversation import completions_of, gaps_of  # noqa: PLC0415

    found = completions_of(connection, completion_id, source)
    if len({row["source"] for row in found}) > 1:
        names = ", ".join(row["source"] for row in found)
        raise UsageError(
            f"several sources have {completion_id}: {names}", hint="Choose one with --source."
        )
    if found:
        return found[-1]
    for gap in gaps_of(connection, completion_id):
        raise NotInLakeError(
            f"{completion_id} could not be fetched yet: {gap['reason']}: {gap['detail']}",
            hint="The next backup tries it again.",
        )
    place = f" of source {source}" if source else ""
    raise NotInLakeError(f"the lake has no completion {completion_id}{place}")


def _write_json(conversation: StoredConversation, only: int | None) -> None:
    from chatlake.cli.output import write_json  # noqa: PLC0415

    messages = [
        {
            **_document(message),
            "content_parts": [
                _document(part) for part in conversation.parts.get(message["message_index"], ())
            ],
        }
        for message in conversation.messages
        if only is None or message["message_index"] == only
    ]
    write_json({**_document(conversation.completion), "messages": messages})


_JSON_COLUMNS: Sequence[str] = ("tool_choice", "tools", "response_format", "tool_calls")


def _document(row: Record) -> dict[str, Any]:
    """Return a row as JSON has it, without the raw texts, which `chatlake export raw` gives."""
    from chatlake.cli.sql_values import as_json  # noqa: PLC0415

    shown = {name: value for name, value in row.items() if not name.endswith(("raw", "raw_exact"))}
    return {
        name: json.loads(as_json(value, is_json=name in _JSON_COLUMNS))
        for name, value in shown.items()
    }
