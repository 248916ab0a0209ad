"""How a source and the lake differ."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Comparison:
    """How a source and the lake differ, by completion id.

    `listed`: how many completions the source lists. `agreeing`: how many of them the lake has
    unchanged. `seed`: of the sample. `missing`: listed, created before the last backup started, and
    not in the lake. `incomplete`: in the lake without all their messages. `changed`: in the lake in
    another version. `newer`: created since the last backup. `extra`: in the lake, and no longer
    listed. `expired`: how many others are no longer listed, because they are older than the
    source's retention. `unknown`: selected by id, and neither in the lake nor at the source.
    `unfetched`: could not be read or fetched. `unlisted`: at how many places the list does not show
    its rows. `sampled`: fetched again. Of these,
    `different`: stored differently from what the source sends; `kept`: the lake also has messages
    that the source no longer has.
    """

    source: str
    seed: int
    listed: int = 0
    agreeing: int = 0
    missing: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    newer: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    expired: int = 0
    unknown: list[str] = field(default_factory=list)
    sampled: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    unfetched: list[str] = field(default_factory=list)
    unlisted: int = 0

    @property
    def is_damaged(self) -> bool:
        """Whether the lake differs from what the source sends."""
        return bool(self.different)

    @property
    def has_gaps(self) -> bool:
        """Whether the source has something that the lake lacks, or may have it."""
        gaps = (self.missing, self.incomplete, self.changed, self.unfetched)
        return any(gaps) or bool(self.unlisted)
