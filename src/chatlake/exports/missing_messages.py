"""Whether the lake has all messages of a completion, or is known to lack some."""

from __future__ import annotations

from chatlake.backup.ports import StoredVersion
from chatlake.errors import LakeDamagedError
from chatlake.exports.conversations import Conversation
from chatlake.lake.lake import Lake
from chatlake.model.partitions import Partition


class MissingMessages:
    """Checks one completion after another; remembers one partition's versions."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._versions_of: Partition | None = None
        self._versions: dict[str, StoredVersion] = {}

    def of(self, conversation: Conversation) -> bool:
        """Whether messages are known to be missing; LakeDamagedError if no record explains it."""
        count = conversation.message_count
        if conversation.raw is None:
            return not conversation.held
        if count == conversation.held:
            return False
        if count is not None and not self._is_incomplete(conversation):
            raise LakeDamagedError(
                f"completion {conversation.completion_id} of {conversation.partition.source} has "
                f"{count} messages, of which the lake holds {conversation.held}"
            )
        return True

    def _is_incomplete(self, conversation: Conversation) -> bool:
        """Whether a file with its messages was lost, and the source may no longer have them."""
        if self._versions_of != conversation.partition:
            self._versions_of = conversation.partition
            self._versions = self._lake.stored_versions(conversation.partition)
        return self._versions[conversation.completion_id].digest is None
