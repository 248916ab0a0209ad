"""The lock of a lake in an object store: a lease, which its holder renews and others may take over.

`lock.json` names the holder. It is written only by compare and swap, so only one of several runs
gets it. It is never deleted; a free lease is marked as free. A lease expires if it is not renewed
for its length. Only the store's clock matters, because those of the machines may differ.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from chatlake.errors import LakeLockedError, LakeUnwritableError
from chatlake.model.manifest import format_time
from chatlake.storage.bucket.object_store import CONDITIONS, NO_CONDITIONS, ObjectStore, Stat
from chatlake.storage.interface import LockHolder
from chatlake.storage.this_machine import machine_id, process_start

LEASE_S: Final = 60.0
_RENEWALS: Final = 3  # in the length of a lease
_SLACK_S: Final = 2.0  # the stores' times are whole seconds
_TRIES: Final = 5
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # continues during sleep

logger = logging.getLogger(__name__)


class LeaseRecord(msgspec.Struct, frozen=True):
    """The content of `lock.json`; `token` is empty when the lock is free.

    `expires_at` is by the holder's clock, for people. `machine`, `process_start`: see
    `this_machine`. `renewals` makes every version of the object different.
    """

    host: str
    pid: int
    started_at: str
    run_id: str = ""
    token: str = ""
    expires_at: str = ""
    lease_s: float = LEASE_S
    renewals: int = 0
    machine: str = ""
    process_start: str = ""

    @property
    def holder(self) -> LockHolder:
        """The holder, or the last one."""
        return LockHolder(self.host, self.pid, self.started_at, self.run_id)


_UNKNOWN: Final = LeaseRecord("unknown host", 0, "an unknown time", token="unknown")  # noqa: S106


class Lease:
    """A lease that is held, renewed by a thread until `release`."""

    def __init__(
        self, store: ObjectStore, key: str, place: str, record: LeaseRecord, version: str
    ) -> None:
        self._store = store
        self._key = key
        self._place = place
        self._record = record
        self._version = version
        self._process = os.getpid()
        self._renewed_at = time.clock_gettime(_CLOCK)
        self._mutex = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="chatlake-lease", daemon=True)
        self._thread.start()

    @classmethod
    def take(
        cls, store: ObjectStore, key: str, place: str, holder: LockHolder, lease_s: float
    ) -> Lease:
        """Take the lease; if necessary, take over one that has expired or whose process is dead.

        LakeLockedError, naming the holder; LakeUnwritableError if the store writes although a
        condition does not hold: two runs could then overwrite each other's commits.
        """
        record = LeaseRecord(
            holder.host,
            holder.pid,
            holder.started_at,
            holder.run_id,
            token=str(uuid.uuid4()),
            expires_at=_expiry(lease_s),
            lease_s=lease_s,
            machine=machine_id(),
            process_start=process_start(holder.pid),
        )
        data = msgspec.json.encode(record)
        for _ in range(_TRIES):
            seen = _look(store, key)
            if seen is not None and (other := _in_force(*seen)) is not None:
                raise _locked(place, other)
            version = store.put_if(key, data, None if seen is None else seen[0].version)
            if version is None and (again := _look(store, key)) is not None:
                # It may be our own write: its response was lost, and the library wrote again.
                version = again[0].version if again[1].token == record.token else None
            if version is not None:
                _require_conditions(store, key, place, data)
                return cls(store, key, place, record, version)
        raise LakeLockedError(
            f"{place} is being written by several other runs that have just started"
        )

    @staticmethod
    def holder(store: ObjectStore, key: str) -> LockHolder | None:
        """Return who holds the lease; None if it is free, has expired, or its process is dead."""
        seen = _look(store, key)
        record = None if seen is None else _in_force(*seen)
        return None if record is None else record.holder

    @property
    def is_own(self) -> bool:
        """Whether this process holds it; a forked child does not."""
        return self._process == os.getpid()

    def confirm(self) -> None:
        """Check that this process still has the lease.

        LakeLockedError, naming the new holder, if it does not; one of the store's `errors` if that
        cannot be found out.
        """
        since = time.clock_gettime(_CLOCK) - self._renewed_at
        if since > self._record.lease_s / _RENEWALS:
            self._renew()

    def release(self) -> None:
        """Release the lock, if this process still has it."""
        if not self.is_own:
            return
        self._ended.set()
        self._thread.join()
        free = msgspec.structs.replace(self._record, token="", renewals=self._record.renewals + 1)
        with suppress(*self._store.errors):  # a lease that cannot be released expires
            self._store.put_if(self._key, msgspec.json.encode(free), self._version)

    def _keep(self) -> None:
        while not self._ended.wait(self._record.lease_s / _RENEWALS):
            try:
                self._renew()
            except LakeLockedError:
                return  # taken over: the next commit says so and ends the run
            except self._store.errors as error:
                logger.warning("The lock of %s could not be renewed: %s", self._place, error)

    def _renew(self) -> None:
        with self._mutex:
            record = msgspec.structs.replace(
                self._record,
                renewals=self._record.renewals + 1,
                expires_at=_expiry(self._record.lease_s),
            )
            data = msgspec.json.encode(record)
            version = self._store.put_if(self._key, data, self._version)
            if version is None:
                seen = _look(self._store, self._key)
                if seen is None or seen[1].token != self._record.token:
                    raise self._lost(None if seen is None else seen[1])
                version = seen[0].version  # an earlier renewal, whose response was lost
            self._record, self._version = record, version
            self._renewed_at = time.clock_gettime(_CLOCK)

    def _lost(self, other: LeaseRecord | None) -> LakeLockedError:
        who = f"by {other.holder}" if other is not None and other.token else "by another run"
        return LakeLockedError(
            f"The lock of {self._place} was taken over {who}: this run had not renewed it for "
            f"{self._record.lease_s:.0f} s",
            hint="What was committed stays. Let the other run end, then run again.",
        )


def _look(store: ObjectStore, key: str) -> tuple[Stat, LeaseRecord] | None:
    """Return the lock and its version.

    The version is read first, so it is never newer than the content, and a swap by it is safe.
    """
    stat = store.stat(key)
    if stat is None:
        return None
    try:
        return stat, msgspec.json.decode(store.get(key), type=LeaseRecord)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        return stat, _UNKNOWN


def _in_force(stat: Stat, record: LeaseRecord) -> LeaseRecord | None:
    is_over = stat.now - stat.modified_at > timedelta(seconds=record.lease_s + _SLACK_S)
    return None if not record.token or is_over or _is_dead(record) else record


def _is_dead(record: LeaseRecord) -> bool:
    """Whether the holder's process ran on this machine and has ended."""
    if not record.process_start or record.machine != machine_id():
        return False
    return process_start(record.pid) != record.process_start


def _require_conditions(store: ObjectStore, key: str, place: str, data: bytes) -> None:
    for version in (None, store.no_version):
        if store.put_if(key, data, version) is not None:
            raise LakeUnwritableError(NO_CONDITIONS.format(place), hint=CONDITIONS)


def _locked(place: str, record: LeaseRecord) -> LakeLockedError:
    return LakeLockedError(
        f"{place} is being written by {record.holder}",
        hint=f"Wait for that run to end, then run again. If it is dead, its lock ends by itself "
        f"within {record.lease_s:.0f} s.",
    )


def _expiry(lease_s: float) -> str:
    return format_time(datetime.now(UTC) + timedelta(seconds=lease_s))
