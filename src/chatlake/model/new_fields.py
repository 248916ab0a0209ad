"""What a lake remembers of the fields that no chatlake knew when a run met them."""

from __future__ import annotations

import msgspec


class NewField(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A field that was not known when a run met it.

    `field`: its place and name. `completion_id`: one that has it. `run_id`, `first_seen_at`: of the
    run that met it first. `completions`: how many were stored with it, a changed one again.

    A commit has what its own completions add. An entry without completions takes the example away.
    """

    source: str
    field: str
    completion_id: str
    run_id: str
    first_seen_at: str
    completions: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """Source and field."""
        return self.source, self.field

    def plus(self, later: NewField) -> NewField:
        """Return this with what a later commit adds."""
        example = self.completion_id or later.completion_id
        return msgspec.structs.replace(
            self,
            completion_id=example if later.completions else "",
            completions=self.completions + later.completions,
        )

    @property
    def without_example(self) -> NewField:
        """The entry by which a commit takes the example away."""
        return msgspec.structs.replace(self, completion_id="", completions=0)
