"""Which completions of a source are backed up: by id, model, metadata or time."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Annotated

from pydantic import Field, model_validator

from chatlake.config import entries, places
from chatlake.config.fields import Section, words
from chatlake.config.ids import IdList, read_ids, unique_ids
from chatlake.errors import ConfigurationError


class Select(Section):
    """Which completions of a source to back up; empty means all."""

    ids: entries.Ids = Field(
        default=(), description="Only these completions.", examples=[["chatcmpl-abc123"]]
    )
    ids_file: places.File | None = Field(
        default=None,
        description="A file with one completion id per line; its path is relative to this file.",
        examples=["ids.txt"],
    )
    model: Annotated[str, words("the name of a model", r"^\S(.*\S)?$")] | None = Field(
        default=None, description="Only completions of this model.", examples=["gpt-4o"]
    )
    metadata: entries.Metadata = Field(
        default={},
        description="Only completions with all of these pairs.",
        examples=[{"team": "search"}],
    )
    created_after: Annotated[datetime, places.INSTANT] | None = Field(
        default=None,
        description="Only completions created at this time or later (UTC without offset).",
        examples=["2026-01-31", "2026-01-31T08:00:00Z"],
    )
    created_before: Annotated[datetime, places.INSTANT] | None = Field(
        default=None,
        description="Only completions created before this time (UTC without offset).",
        examples=["2026-02-28"],
    )

    @model_validator(mode="after")
    def _in_order(self) -> Select:
        after, before = self.created_after, self.created_before
        if after is not None and before is not None and after >= before:
            problem = "expected a time later than created_after"
            raise entries.entries_error((("created_before",), problem))
        return self

    def fingerprint(self) -> str:
        """16 hexadecimal digits that change when model, metadata or a time bound changes.

        The lists of ids are not included: they select on their own, independent of the listing.
        """
        bounds = [at and at.isoformat() for at in (self.created_after, self.created_before)]
        text = json.dumps([self.model, sorted(self.metadata.items()), bounds])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def has_ids(self) -> bool:
        """Whether ids are listed, here or in a file: then only those are backed up."""
        return bool(self.ids) or self.ids_file is not None

    def chosen_ids(self) -> IdList | None:
        """`ids` and those in `ids_file`; None if neither key is used, which means all.

        Raises ConfigurationError if the file is unreadable or contains anything else.
        """
        if self.ids_file is None:
            return IdList(self.ids) if self.ids else None
        read = read_ids(self.ids_file, error=ConfigurationError)
        both = unique_ids((*self.ids, *read.ids))
        return IdList(both.ids, both.duplicates + read.duplicates)
