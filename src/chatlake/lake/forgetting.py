"""Forgetting: erases completions with everything that belongs to them, from every file, for good.

1. The partition's files are written again without the rows: completions, messages, parts, older
   versions, and the images that nothing else of the partition refers to.
2. One commit replaces them. It carries the receipt, which names the files that had the rows: the
   listed ones, those that were replaced before, those of killed writers.
3. As soon as the catalogue shows that commit, these files are removed (`tidying`), without the
   grace that a vacuum gives to readers of an older commit. If the process is killed before that,
   the next writer removes them.

So a forgetting that was killed before the commit has changed nothing, and can be repeated. One that
was killed after it is completed by the next writer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from chatlake import failpoints
from chatlake.errors import LakeDamagedError
from chatlake.lake.files import rewriting
from chatlake.lake.files.arrow import to_values
from chatlake.lake.files.parts import open_part, read_columns
from chatlake.lake.files.replaced import listed_path
from chatlake.lake.lake import Lake
from chatlake.lake.unlisted import DataFile, by_partition, temporary_files
from chatlake.model.forgotten import Forgetting, keyed_hash
from chatlake.model.manifest import Manifest, PartFile, format_time
from chatlake.model.partitions import Partition
from chatlake.model.tables import (
    COMPLETIONS,
    CONTENT_PARTS,
    HISTORY,
    IMAGES,
    MESSAGE_HISTORY,
    MESSAGES,
    MISSED,
)

Selected = Mapping[Partition, Collection[str]]
"""The completions to forget: partition -> ids."""

_OF_COMPLETIONS: Final = (COMPLETIONS, MESSAGES, CONTENT_PARTS, HISTORY, MESSAGE_HISTORY, MISSED)
_WITH_RAW: Final = (COMPLETIONS, MESSAGES, CONTENT_PARTS, HISTORY, MESSAGE_HISTORY)
_REFERENCE: Final = re.compile(r"chatlake-image:([0-9a-f]{64})")


def forget(
    lake: Lake, selected: Selected, *, run_id: str, reason: str = "", remember: bool = True
) -> Forgetting | None:
    """Erase completions, and return the receipt; None if the lake has nothing of them.

    The caller holds the lock; when it is given back, the files are gone. `remember`: whether the
    ids are kept as hashes, so that no backup stores them again. LakeDamagedError, and nothing
    changed, where a listed file is altered; LakeUnwritableError.
    """
    work = _Forgetting(lake)
    for partition, completion_ids in selected.items():
        work.rewrite(partition, set(completion_ids))
        failpoints.reach("forget.rewritten")
    if not work.removed and not work.erased:
        return None
    state = lake.state
    work.erased += temporary_files(lake.storage, state)
    key = state.forgotten.key() if remember else ""
    hashes = [
        keyed_hash(key, partition.source, completion_id)
        for partition, completion_ids in selected.items()
        for completion_id in completion_ids
        if remember
    ]
    receipt = Forgetting(
        at=format_time(datetime.now(UTC)),
        run_id=run_id,
        reason=reason,
        completions=work.rows[COMPLETIONS],
        messages=work.rows[MESSAGES],
        content_parts=work.rows[CONTENT_PARTS],
        images=work.rows[IMAGES],
        versions=work.rows[HISTORY] + work.rows[MESSAGE_HISTORY],
        key=key,
        hashes=sorted(hashes),
        erased=[*work.removed, *work.erased],
        unreadable=work.unreadable,
    )
    chosen = {(p.source, each) for p, completion_ids in selected.items() for each in completion_ids}
    lake.commit(
        Manifest(
            run_id=run_id,
            added=work.added,
            removed=work.removed,
            resolved=sorted(chosen & state.failures.keys()),
            forgotten=[receipt],
            new_fields=[
                each.without_example
                for each in state.new_fields.values()
                if (each.source, each.completion_id) in chosen
            ],
        )
    )
    failpoints.reach("forget.committed")
    return receipt


def left_to_erase(lake: Lake) -> list[str]:
    """Return the files that were forgotten and are still there: they could not be removed."""
    erased = lake.state.forgotten.erased
    return [file.path for file in lake.storage.list() if listed_path(file.path) in erased]


class _Forgetting:
    """Rewrites partitions without some completions; collects the content of commit and receipt."""

    def __init__(self, lake: Lake) -> None:
        self.added: list[PartFile] = []
        self.removed: list[str] = []
        self.erased: list[str] = []
        self.unreadable = 0
        self.rows = dict.fromkeys((*_OF_COMPLETIONS, IMAGES), 0)
        self._lake = lake
        self._unlisted: dict[Partition, list[DataFile]] | None = None

    def rewrite(self, partition: Partition, completion_ids: set[str]) -> None:
        """Write the listed files of a partition again, and find the others that hold the rows."""
        storage, state = self._lake.storage, self._lake.state
        files = state.partition_files(partition)
        others = self._find_unlisted(partition, "completion_id", completion_ids)
        images = self._images_of(files, others, completion_ids)
        for table in _OF_COMPLETIONS:
            own = [file for file in files if file.table == table]
            for file in own:
                owners = read_columns(storage, file, "completion_id")[0]
                self.rows[table] += sum(owner in completion_ids for owner in owners)
            self._take(rewriting.without(storage, own, "completion_id", completion_ids))
        own = [file for file in files if file.table == IMAGES]
        stored = {key for file in own for key in read_columns(storage, file, "sha256")[0]}
        self.rows[IMAGES] += len(images & stored)
        self._take(rewriting.without(storage, own, "sha256", images))
        self._find_unlisted(partition, "sha256", images)

    def _take(self, rewritten: rewriting.Rewritten) -> None:
        written, removed = rewritten
        self.added += written
        self.removed += removed

    def _images_of(
        self, files: list[PartFile], more: list[DataFile], completion_ids: set[str]
    ) -> set[str]:
        """Return the images that these completions refer to and nothing else of the partition.

        `more`: unlisted files that hold rows of the completions. A killed writer may have left
        images to which only these refer.
        """
        theirs: set[str] = set()
        others: set[str] = set()
        for file in files:
            for owner, found in self._references(file.path, file.table, file.bytes):
                (theirs if owner in completion_ids else others).update(found)
        for other in more:
            try:
                for owner, found in self._references(*other):
                    if owner in completion_ids:
                        theirs.update(found)
            except LakeDamagedError:
                self.unreadable += 1
        return theirs - others

    def _references(self, path: str, table: str, size: int) -> Iterator[tuple[str, set[str]]]:
        """Yield completion id and images of each row of a file that refers to any."""
        if table not in _WITH_RAW:
            return
        names = ["completion_id", "raw", "raw_exact"]
        names += ["image_sha256"] if table == CONTENT_PARTS else []
        names += ["echo_raw"] if table == MESSAGES else []
        with open_part(self._lake.storage, path, size=size) as part:
            for group in range(part.num_row_groups):
                rows = part.read_row_group(group, columns=names)
                columns = [to_values(rows[name]) for name in names]
                for owner, *texts in zip(*columns, strict=True):
                    found = set(_REFERENCE.findall("\n".join(filter(None, texts))))
                    if table == CONTENT_PARTS and texts[2] is not None:
                        found.add(texts[2])
                    if found:
                        yield owner, found

    def _find_unlisted(self, partition: Partition, column: str, wanted: set[str]) -> list[DataFile]:
        """Find the files of a partition that no manifest lists and that hold any of the rows.

        `column`: "completion_id", or "sha256" for images. Returns those that can be read.
        """
        if self._unlisted is None:
            self._unlisted = by_partition(self._lake.storage, self._lake.state)
        found = []
        for file in self._unlisted.get(partition, ()):
            if (file.table == IMAGES) != (column == "sha256"):
                continue
            try:
                with open_part(self._lake.storage, file.path, size=file.size) as part:
                    keys = to_values(part.read(columns=[column])[column])
            except LakeDamagedError:
                self.unreadable += bool(wanted)
                keys = list(wanted)[:1]  # it may hold any of them
            else:
                if not wanted.isdisjoint(keys):
                    found.append(file)
            if not wanted.isdisjoint(keys):
                self.erased.append(listed_path(file.path))
        return found
