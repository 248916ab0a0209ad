"""The checks of `chatlake doctor` that look at the lake and the machine."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from chatlake.bootstrap.known_lakes import find_lake
from chatlake.cli.checks import Check, failed, passed, warning
from chatlake.cli.checks_access import access_checks
from chatlake.cli.words import size
from chatlake.config import Settings
from chatlake.errors import (
    ChatlakeError,
    ConfigurationError,
    LakeUnreachableError,
    LakeUnwritableError,
)
from chatlake.model.counts import count
from chatlake.storage.bucket.object_store import CONDITIONS, NO_CONDITIONS
from chatlake.storage.folder import Access
from chatlake.storage.opening import storage_at

_LOW_DISK = 1024**3
_PACKAGES = ("chatlake", "duckdb", "pyarrow", "prefect")


def lake_checks(settings: Settings) -> Iterator[Check]:
    """Check whether the lake can be read and written, how full the disk is, and who holds the lock.

    A bucket is never full; instead, its conditional writes are tested, because commits rely on
    them.
    """
    place = settings.lake_location
    is_bucket = "://" in place
    holder = None
    try:
        lake = find_lake(settings)
    except ChatlakeError as error:
        yield failed("lake", error)
        if isinstance(error, ConfigurationError | LakeUnreachableError):
            return
    else:
        if lake is None:
            yield passed("lake", f"{place}: none yet; the first backup creates it")
        else:
            yield passed("lake", f"{place}: {count(lake.state.number, 'commit')}")
            holder = lake.storage.lock_holder()
    yield from _bucket_checks(place) if is_bucket else _folder_checks(Path(place), settings.access)
    if holder is None:
        yield passed("lock", "free")
    else:
        yield warning(
            "lock", f"a backup is running: {holder}", "Wait until it ends before you start another."
        )


def _folder_checks(place: Path, access: Access) -> Iterator[Check]:
    folder = _nearest_folder(place)
    yield _writable(folder)
    if folder == place:
        yield from access_checks(place, access)
    free = shutil.disk_usage(folder).free
    if free < _LOW_DISK:
        yield warning("disk", f"only {size(free)} free at {folder}", "Free space there.")
    else:
        yield passed("disk", f"{size(free)} free")


def _bucket_checks(place: str) -> Iterator[Check]:
    probe = f"_doctor-{uuid.uuid4()}.tmp"
    try:
        storage = storage_at(place)
        is_kept = storage.create(probe, b"1") and not storage.create(probe, b"2")
        storage.delete(probe)
    except ChatlakeError as error:
        yield failed("writable", error)
        return
    if is_kept:
        yield passed("writable", f"{place}, with conditional writes")
    else:
        yield failed("writable", LakeUnwritableError(NO_CONDITIONS.format(place), hint=CONDITIONS))


def versions_check() -> Check:
    """Name the versions of what matters when something is reported."""
    found = [f"{name} {_version(name)}" for name in _PACKAGES]
    return passed("versions", f"{found[0]}, python {platform.python_version()}, "
                  + ", ".join(found[1:]))  # fmt: skip


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _nearest_folder(place: Path) -> Path:
    """Return the lake's folder, or the nearest folder above it that exists."""
    return next((folder for folder in (place, *place.parents) if folder.is_dir()), Path("/"))


def _writable(folder: Path) -> Check:
    try:
        handle, name = tempfile.mkstemp(prefix="_doctor-", suffix=".tmp", dir=folder)
        os.close(handle)
        Path(name).unlink()
    except OSError as error:
        reason = f"Cannot write {folder}: {error.strerror or error}"
        return failed("writable", LakeUnwritableError(reason))
    return passed("writable", str(folder))
