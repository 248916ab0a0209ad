"""The flow `export_completions`: fetches the messages of given completions into the lake."""

from __future__ import annotations

if __name__ == "__main__":
    # As `python -m`: a wrong configuration is reported before the slow import of Prefect.
    # Also, the flow is always the package's, never a second one from the module `__main__`.
    from chatlake.flows.command import export_command

    raise SystemExit(export_command())

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from chatlake.bootstrap.sources import job_for_ids
from chatlake.flows.configuration import source_names
from chatlake.flows.run import flow_run_name, run_in_flow


def _name() -> str:
    parameters = flow_run.parameters
    source = parameters.get("source")
    return flow_run_name([source] if source else source_names(parameters.get("config")))


@flow(flow_run_name=_name, persist_result=False)
def export_completions(
    completion_ids: list[str] | None = None,
    ids_file: str | None = None,
    config: str | None = None,
    source: str | None = None,
) -> State[None]:
    """Export the messages of these completions into the lake.

    Give `completion_ids`, or, if they are too many for a Prefect parameter (512 kB), `ids_file`: a
    text file with one id per line, which the process that runs the flow can read. `config`: the
    configuration file; `source`: required if the configuration has several. It ends like the flow
    `backup`; an id that the source does not know is a named failure.
    """
    return run_in_flow(
        config, lambda settings: [job_for_ids(settings, completion_ids, ids_file, source)]
    )
