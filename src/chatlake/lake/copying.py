"""Copies a lake to another place: what its newest commit lists, then the commits, oldest first.

A copy that is made file by file, in order of names, while a backup writes may hold a manifest whose
files it lacks. So this one works like a writer, in the order of a commit: the data files first,
each checked against its SHA-256 while it is read and again at the other place; then the commits.

Before the manifests it writes a checkpoint: the whole list after the newest commit, even if no
checkpoint belongs there. With it the copy goes from one whole commit to another in one step. With
the manifests alone, the copy would show each commit in between for a moment, and those list files
that have been replaced since. The manifests follow, and then the checkpoint is removed. A copy that
is stopped before that can be read, and the next run of the command completes it.

A second copy adds what is new, and takes out of the copy's folders what the lake has replaced or
forgotten since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from chatlake import __version__
from chatlake.errors import LakeDamagedError, LakeError
from chatlake.lake import checkpoints, manifests
from chatlake.lake.files.replaced import open_listed, replaced_path
from chatlake.lake.lake import Lake
from chatlake.model.forgotten import RECEIPTS
from chatlake.model.manifest import CHECKPOINT_EVERY, PartFile
from chatlake.storage.interface import Storage

Progress = Callable[[int, int], None]
"""Called with the bytes that were copied, and the bytes to copy in total."""

_CHUNK: Final = 1 << 20
_ATTEMPTS: Final = 5


@dataclass(slots=True)
class CopyReport:
    """What a copy did. `files`, `bytes`: of data, that were new at the other place.

    `commits`: how many were new there. `commit`: the newest, which the copy now shows.
    """

    files: int = 0
    bytes: int = 0
    commits: int = 0
    commit: int = 0


class _MovedOnError(Exception):
    """A file of the commit is gone: another run has replaced and removed it meanwhile."""


def copy_lake(
    lake: Lake, other: Lake, *, run_id: str, progress: Progress | None = None
) -> CopyReport:
    """Bring `other` to the newest commit of `lake`. It takes the lock of `other`, not of `lake`.

    LakeError where `other` holds another lake; LakeDamagedError where a file of `lake` is altered
    or lost: then `other` stays at the commit before. LakeLockedError, LakeUnwritableError.
    """
    report = CopyReport()
    _require_same_past(lake, other)
    with other.lock(run_id):
        for left in reversed(range(_ATTEMPTS)):
            lake.refresh()
            try:
                _copy_data(lake, other.storage, report, progress)
            except _MovedOnError as error:
                if not left or not lake.was_rewritten():
                    raise LakeDamagedError(str(error)) from error
            else:
                break
        _copy_commits(lake, other, report)
        _copy_receipts(lake.storage, other.storage)
    report.commit = other.state.number
    return report


def _require_same_past(lake: Lake, other: Lake) -> None:
    """Raise LakeError unless every commit of `other` is a commit of `lake`, too."""
    number = other.state.number
    if not number:
        return
    is_known = number <= lake.state.number
    if is_known and other.storage.size(manifests.manifest_path(number)) is not None:
        here, there = (manifests.read_head(each.storage, number) for each in (lake, other))
        is_known = here is not None and there is not None and here.sha256 == there.sha256
    elif is_known:  # an earlier copy was stopped after the checkpoint
        is_known = manifests.state_at(lake.storage, number).files == other.state.files
    if not is_known:
        raise LakeError(
            f"{other.location} holds another lake, or commits that {lake.location} does not have",
            hint="Give an empty folder, or a place that an earlier `chatlake copy` wrote.",
        )


def _copy_data(lake: Lake, place: Storage, report: CopyReport, progress: Progress | None) -> None:
    files = list(lake.state.files.values())
    there = place.sizes([file.path for file in files])
    away = {replaced_path(file.path): file for file in files if there.get(file.path) != file.bytes}
    back = place.sizes(away)  # an earlier copy was stopped before its commit
    place.move({path: away[path].path for path, size in back.items() if size == away[path].bytes})
    there |= {away[path].path: size for path, size in back.items()}
    missing = [file for file in files if there.get(file.path) != file.bytes]
    copied, to_copy = 0, sum(file.bytes for file in missing)
    for file in missing:
        if progress is not None:
            progress(copied, to_copy)
        _copy_file(lake.storage, place, file)
        copied += file.bytes
        report.files += 1
        report.bytes += file.bytes
    if progress is not None:
        progress(copied, to_copy)


def _copy_file(source: Storage, place: Storage, file: PartFile) -> None:
    digest = hashlib.sha256()
    try:
        with (
            open_listed(source, file.path, file.bytes) as data,
            place.open_output(file.path) as output,
        ):
            while chunk := data.read(_CHUNK):
                digest.update(chunk)
                output.write(chunk)
            if digest.hexdigest() != file.sha256:
                raise LakeDamagedError(
                    f"{source.location}/{file.path} was altered: it is not copied",
                    hint="`chatlake verify` names every damaged file, with what to do.",
                )
    except FileNotFoundError as error:
        raise _MovedOnError(f"{source.location}/{file.path} is missing") from error
    if _sha256(place, file) != file.sha256:
        raise LakeDamagedError(f"{place.location}/{file.path} is not what was written there")


def _copy_commits(lake: Lake, other: Lake, report: CopyReport) -> None:
    source, place, newest = lake.storage, other.storage, lake.state.number
    there = {file.path for file in place.list(manifests.FOLDER)}
    if newest > other.state.number:
        try:
            checkpoints.create_checkpoint(place, lake.state, chatlake=__version__)
        except BaseException:
            # The checkpoint may be there although a later step failed. The first error matters more
            # than one that comes while it is read again.
            with suppress(LakeError):
                other.reload()
            raise
        other.reload()
    paths = [(manifests.manifest_path(number), True) for number in range(1, newest + 1)]
    paths += [
        (manifests.checkpoint_path(number), False)
        for number in range(CHECKPOINT_EVERY, newest, CHECKPOINT_EVERY)
    ]
    for path, is_commit in paths:
        if path in there:
            continue
        try:
            place.create(path, source.read(path))
        except FileNotFoundError:
            if is_commit:
                raise LakeDamagedError(f"{source.location}/{path} is missing") from None
        report.commits += is_commit
    for number in checkpoints.checkpoint_numbers(place):
        if number % CHECKPOINT_EVERY:
            place.delete(manifests.checkpoint_path(number))


def _copy_receipts(source: Storage, place: Storage) -> None:
    for file in source.list(RECEIPTS):
        if place.size(file.path) is None:
            place.create(file.path, source.read(file.path))


def _sha256(place: Storage, file: PartFile) -> str:
    digest = hashlib.sha256()
    with open_listed(place, file.path, file.bytes) as data:
        while chunk := data.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
