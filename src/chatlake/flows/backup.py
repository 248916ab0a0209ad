"""The flow `backup`: what `chatlake backup` does, in tasks that Prefect runs and schedules."""

from __future__ import annotations

if __name__ == "__main__":
    # As `python -m`: a wrong configuration is reported before the slow import of Prefect.
    # Also, the flow is always the package's, never a second one from the module `__main__`.
    from chatlake.flows.command import backup_command

    raise SystemExit(backup_command())

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from chatlake.bootstrap.sources import jobs_for
from chatlake.flows.configuration import source_names
from chatlake.flows.run import flow_run_name, run_in_flow


def _name() -> str:
    parameters = flow_run.parameters
    return flow_run_name(parameters.get("sources") or source_names(parameters.get("config")))


@flow(flow_run_name=_name, persist_result=False)
def backup(
    config: str | None = None, sources: list[str] | None = None, full: bool = False
) -> State[None]:
    """Back up what is new at the sources of a configuration into its lake.

    `config`: the configuration file (as for the command: `$CHATLAKE_CONFIG`, `./chatlake.yaml`);
    `sources`: only these; `full`: list everything again, to find what changed.

    Ends Completed, or as Failed under the name Incomplete when completions could not be fetched,
    or as Failed or Cancelled with the reason. If another run is writing to the lake, it does
    nothing and ends Completed under the name Skipped.
    """
    return run_in_flow(config, lambda settings: jobs_for(settings, names=sources or (), full=full))
