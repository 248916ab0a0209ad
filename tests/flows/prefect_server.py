"""What a run has left in Prefect, and which processes are left."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

COUNT = 150
"""Completions that the simulator holds in the tests of the flows."""


def processes_with(text: str) -> list[int]:
    """Return the processes that were started with a text in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if text.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def tells_status(text: str, status: int) -> bool:
    """Say whether a text has this HTTP status, and not only a time, a port or an id with its digits."""
    return re.search(rf"(?<![\w.:-]){status}(?![\w-])", text) is not None


class Prefect:
    """Looks up in Prefect what a run has left there."""

    def __init__(self, database: Path) -> None:
        self.database = database

    def state(self, flow_run_id: Any) -> tuple[str, str, str]:
        """Return type, name and message of a flow run's state as the server has it."""
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            state = client.read_flow_run(flow_run_id).state
        assert state is not None
        return state.type.value, state.name or "", state.message or ""

    def artifacts(self, flow_run_id: Any) -> dict[str, Any]:
        """Return the data of a flow run's artifacts by their keys."""
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

        chosen = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
        with get_client(sync_client=True) as client:
            found = client.read_artifacts(artifact_filter=chosen)
        return {artifact.key or "": artifact.data for artifact in found}

    def logs(self, flow_run_id: Any) -> list[str]:
        """Return the messages in a flow run's log, its tasks' included."""
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
        from prefect.logging.handlers import APILogHandler

        APILogHandler().flush()
        chosen = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run_id]))
        with get_client(sync_client=True) as client:
            return [log.message for log in client.read_logs(log_filter=chosen)]
