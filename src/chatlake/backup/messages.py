"""Fetching all messages of one completion, page by page."""

from __future__ import annotations

from chatlake.backup.ports import CompletionApi, Room
from chatlake.model.objects import Message, read_message_page
from chatlake.model.paging import PAGE_LIMIT, Pager


async def fetch_messages(
    api: CompletionApi, completion_id: str, *, settle: bool, room: Room | None = None
) -> list[Message]:
    """Return the messages of a completion, oldest first.

    `settle`: wait out late visibility before a 404 counts. `room`: see `CompletionApi`. Raises
    AccountError, SourceUnreachableError or CompletionError.
    """
    pager = Pager()
    messages: list[Message] = []
    while not pager.done:
        messages += await api.list_messages(
            lambda body: pager.feed(read_message_page(body)),
            completion_id,
            after=pager.cursor,
            limit=PAGE_LIMIT,
            settle=settle and pager.cursor is None,
            room=room,
        )
    return messages
