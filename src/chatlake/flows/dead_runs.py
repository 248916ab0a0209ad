"""Closes runs that a kill, a power loss or a lost worker left as Running in Prefect.

Every start of `chatlake serve` and every start of a flow run looks for them. What a dead run had
committed is in the lake, and the next run continues from there; only Prefect's record is wrong.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.runtime import flow_run as this_run
from prefect.states import Crashed

from chatlake.config import Settings
from chatlake.errors import ChatlakeError
from chatlake.flows.liveness import (
    ATTEMPT,
    NO_SILENCE,
    SilenceAllowed,
    UnderWay,
    own_labels,
    why_dead,
)
from chatlake.storage.opening import storage_at

logger = logging.getLogger("chatlake.flows")

TAG: Final = "chatlake"
_FLOWS: Final = ["backup", "export-completions", "maintain"]
_UNDER_WAY: Final = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


def begin_run(settings: Settings) -> None:
    """Label this flow run with its process, and close dead runs.

    Call it inside a flow run. A run never fails because Prefect does not respond.
    """
    try:
        with get_client(sync_client=True) as client:
            me = client.read_flow_run(UUID(str(this_run.id)))
            client.update_flow_run_labels(me.id, own_labels(settings.lake_location, me.run_count))
            siblings = [] if me.deployment_id is None else [me.deployment_id]
            _close(client, settings, siblings, SilenceAllowed(), but=me.id)
    except Exception as error:  # noqa: BLE001 - what is in the lake counts
        logger.warning("cannot ask Prefect for dead runs: %s", type(error).__name__)


def close_runs_of(settings: Settings, deployments: Collection[UUID]) -> None:
    """Close dead runs, from the only process that runs these deployments, before it starts any."""
    with get_client(sync_client=True) as client:
        _close(client, settings, deployments, NO_SILENCE)


def _close(
    client: SyncPrefectClient,
    settings: Settings,
    deployments: Collection[UUID],
    patience: SilenceAllowed,
    *,
    but: UUID | None = None,
) -> None:
    is_written = functools.cache(lambda: is_being_written(settings))
    for run in _under_way(client):
        is_of_ours = run.deployment_id in deployments
        # Somebody else's flow may be called `backup`, too.
        is_chatlakes = is_of_ours or ATTEMPT in run.labels or TAG in run.tags
        if run.id == but or run.state is None or not is_chatlakes:
            continue
        why = why_dead(
            UnderWay(
                has_started=run.state.type is not StateType.PENDING,
                since=run.state.timestamp,
                attempt=run.run_count,
                labels=run.labels,
                is_of_ours=is_of_ours,
            ),
            settings.lake_location,
            datetime.now(UTC),
            is_written,
            patience if is_of_ours else SilenceAllowed(),
        )
        # The run may have ended during the search for its process, and then has another state.
        if why is not None and client.read_flow_run(run.id).state_id == run.state_id:
            state: State[Any] = Crashed(
                message=f"its process was killed ({why}); what was committed stays, and the next "
                "run continues from there"
            )
            client.set_flow_run_state(run.id, state, force=True)
            logger.info("closed Prefect run %s: %s", run.name, why)


def _under_way(client: SyncPrefectClient) -> list[FlowRun]:
    return client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=_FLOWS)),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY))
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
    )


def is_being_written(settings: Settings) -> bool:
    """Say whether a run holds the lake's lock; False if the lake does not exist."""
    with contextlib.suppress(ChatlakeError, OSError):
        return storage_at(settings.lake_location).lock_holder() is not None
    return False
