"""The filter by metadata, checked on what a list shows: servers that ignore it send everything.

The model is left to the service, because an alias may mean quite different names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from chatlake.model.objects import Completion
from chatlake.model.redaction.rules import Redaction


class MetadataFilter:
    """The pairs that a completion must have, as they are after redaction, like the completions.

    If the rules hash a value, its hash is compared. If they leave nothing to compare, only the
    service applies the filter.
    """

    def __init__(self, pairs: Mapping[str, str], redaction: Redaction | None) -> None:
        self._wanted: Mapping[str, str | None] = pairs
        if pairs and redaction is not None:
            body = json.dumps({"metadata": dict(pairs)}).encode()
            left = json.loads(redaction.completion(body).text)["metadata"]
            self._wanted = left if isinstance(left, dict) else {}

    def holds(self, completion: Completion) -> bool:
        """Whether a completion has all pairs."""
        if not self._wanted:
            return True
        metadata = completion.fields.metadata
        return isinstance(metadata, dict) and self._wanted.items() <= metadata.items()
