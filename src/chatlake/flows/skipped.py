"""How a flow run ends if another one is writing to the lake: Skipped, which is not a failure.

The lake has one writer, and its own lock decides which run that is. The second run has nothing to
do: the first one does the work, and reports how it ends.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

from prefect.client.schemas.objects import State
from prefect.states import Completed

from chatlake.config import Settings
from chatlake.errors import ChatlakeError, LakeLockedError
from chatlake.storage.opening import storage_at

SKIPPED: Final = "Skipped"


def skipped_state(settings: Settings, error: LakeLockedError) -> State[None]:
    """Return Completed under the name Skipped; the message names the writer."""
    return Completed(name=SKIPPED, message=f"skipped: {_who(settings, error)}", data=error)


def is_skipped(state: State[Any]) -> bool:
    """Say whether a flow run ended as skipped."""
    return state.is_completed() and state.name == SKIPPED


def _who(settings: Settings, error: LakeLockedError) -> str:
    holder = None
    with contextlib.suppress(ChatlakeError, OSError):
        holder = storage_at(settings.lake_location).lock_holder()
    if holder is None:  # it has just ended
        return error.message
    who = f"process {holder.pid} on {holder.host} has been writing since {holder.started_at}"
    return f"{who}, run {holder.run_id}" if holder.run_id else who
