"""What the rules of `redact` would find in a lake that was written before them; only looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from chatlake.bootstrap.sources import redaction_of
from chatlake.config import Settings
from chatlake.lake.files.parts import read_columns
from chatlake.lake.lake import Lake
from chatlake.model.manifest import PartFile
from chatlake.model.redaction.rules import Redaction
from chatlake.model.tables import COMPLETIONS, HISTORY, MESSAGE_HISTORY, MESSAGES

_TABLES: Final = (COMPLETIONS, MESSAGES, HISTORY, MESSAGE_HISTORY)
_OF_COMPLETIONS: Final = (COMPLETIONS, HISTORY)
_LONGEST: Final = 40

Progress = Callable[[int, int], None]
"""Called with the number of files that were read, and of all files to read."""


@dataclass(slots=True)
class Redactable:
    """Values of one kind at one place: in a table, at a path of keys within `raw`.

    `values`: how many there are; `rows`: in how many rows; `example`: one of them, masked.
    """

    source: str
    table: str
    path: str
    kind: str
    values: int = 0
    rows: int = 0
    example: str = ""


@dataclass(slots=True)
class Search:
    """What was found. `sources`: those with rules; `without_rules`: those without any."""

    sources: list[str] = field(default_factory=list)
    without_rules: list[str] = field(default_factory=list)
    rows: int = 0
    found: list[Redactable] = field(default_factory=list)


def find_redactable(
    settings: Settings, lake: Lake, *, names: Sequence[str] = (), progress: Progress
) -> Search:
    """Return what the rules of each source, or of those named, would replace in the lake.

    UsageError for an unknown name, ConfigurationError for a key that cannot be read,
    LakeDamagedError for a file that cannot.
    """
    search = Search()
    work: list[tuple[PartFile, Redaction]] = []
    for name in names or [source.name for source in settings.sources]:
        redaction = redaction_of(settings, settings.source(name))
        if redaction is None:
            search.without_rules.append(name)
            continue
        search.sources.append(name)
        work += [
            (file, redaction)
            for file in lake.state.files.values()
            if file.source == name and file.table in _TABLES
        ]
    by_place: dict[tuple[str, str, str, str], Redactable] = {}
    for number, (file, redaction) in enumerate(work):
        progress(number, len(work))
        for text in _texts(lake, file):
            search.rows += 1
            _look(file, text, redaction, by_place)
    search.found = [by_place[place] for place in sorted(by_place)]
    return search


def _texts(lake: Lake, file: PartFile) -> Iterator[str]:
    for raw, exact in zip(*read_columns(lake.storage, file, "raw", "raw_exact"), strict=True):
        if raw is not None:
            yield raw if exact is None else exact


def _look(
    file: PartFile,
    text: str,
    redaction: Redaction,
    by_place: dict[tuple[str, str, str, str], Redactable],
) -> None:
    here: set[int] = set()

    def hit(kind: str, path: str, what: str) -> None:
        place = (file.source, file.table, path, kind)
        found = by_place.get(place)
        if found is None:
            found = by_place[place] = Redactable(*place, example=masked(what))
        found.values += 1
        found.rows += id(found) not in here
        here.add(id(found))

    redact = redaction.completion if file.table in _OF_COMPLETIONS else redaction.message
    redact(text.encode(), hit=hit)


def masked(text: str) -> str:
    """Return the shape of a value: letters and digits between its first and last become `*`.

    A value of fewer than 6 characters becomes stars only.
    """
    if len(text) < 6:
        return "*" * len(text)
    hidden = "".join("*" if each.isalnum() else each for each in text[1:-1])
    whole = f"{text[0]}{hidden}{text[-1]}"
    return whole if len(whole) <= _LONGEST else whole[: _LONGEST - 1] + "…"
