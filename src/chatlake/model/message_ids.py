"""Ids of messages that are unique within their source, whatever ids the server uses."""

from __future__ import annotations

from collections.abc import Iterable


class MessageIds:
    """Names the messages of one completion.

    The API's own ids begin with the completion's id (`<completion id>-<n>`, api-behaviour) and stay
    unchanged. Any other id is appended to the completion's id, because another completion may have
    the same one. An id that an earlier message or a reply already has gets `#2`, `#3` … appended.
    """

    def __init__(self, completion_id: str, reply_indices: Iterable[int]) -> None:
        self._start = f"{completion_id}-"
        self._taken = {self.of_reply(index) for index in reply_indices}

    def of_reply(self, index: int) -> str:
        """Return the id of a reply: `<completion id>-choice-<index>`."""
        return f"{self._start}choice-{index}"

    def of_input(self, sent_id: str) -> str:
        """Return the id of the next input message, which the API calls `sent_id`."""
        whole = sent_id if sent_id.startswith(self._start) else self._start + sent_id
        free, number = whole, 1
        while free in self._taken:
            number += 1
            free = f"{whole}#{number}"
        self._taken.add(free)
        return free
