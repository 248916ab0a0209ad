"""The flow `maintain`: merges small files, re-reads a part of the lake, removes old files."""

from __future__ import annotations

if __name__ == "__main__":
    # As `python -m`: a wrong configuration is reported before the slow import of Prefect.
    # Also, the flow is always the package's, never a second one from the module `__main__`.
    from chatlake.flows.command import maintain_command

    raise SystemExit(maintain_command())

from prefect import flow
from prefect.client.schemas.objects import State

from chatlake.flows.maintenance import maintain_in_flow
from chatlake.flows.run import flow_run_name


def _name() -> str:
    return flow_run_name(["maintenance"])


@flow(flow_run_name=_name, persist_result=False)
def maintain(config: str | None = None) -> State[None]:
    """Maintain the lake of a configuration: compact, verify a quarter of it, vacuum.

    `config`: the configuration file (as for the command: `$CHATLAKE_CONFIG`, `./chatlake.yaml`).

    Four runs read every file. Ends Completed, or as Failed with the damaged files and the exit
    code; then nothing is removed, because the unlisted files may be needed to repair the lake.
    """
    return maintain_in_flow(config)
