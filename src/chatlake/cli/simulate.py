"""`chatlake simulate`: the simulated API, on loopback."""

from __future__ import annotations

from typing import Any, Final

import typer

from chatlake.cli.options import examples
from chatlake.cli.output import say
from chatlake.errors import RunTerminatedError
from chatlake.model.counts import count

EXAMPLES = examples(
    "chatlake simulate",
    "chatlake simulate --port 0 --completions 20000 --seed 7",
    "chatlake simulate --error-429 0.1 --requests-per-minute 3000",
)
# Its options are the fields of the simulator's dataclasses, which are imported only when it runs.
CONTEXT: Final[dict[str, Any]] = {"allow_extra_args": True, "ignore_unknown_options": True}
_SNIPPET = """\
Simulator at {url}, with {completions}. Press Ctrl-C to stop it.

To try it from another terminal, save this as simulator.yaml:

  version: 1
  lake: simulator-lake
  sources:
    - name: simulator
      base_url: {url}
      api_key: ${{SIMULATOR_API_KEY}}

and run:

  export SIMULATOR_API_KEY={key}
  chatlake doctor --config simulator.yaml
  chatlake backup --config simulator.yaml
  chatlake sql --config simulator.yaml 'SELECT model, count(*) FROM completions GROUP BY ALL'
"""


def simulate(context: typer.Context) -> None:
    """Serve a simulated API, to try chatlake without a key."""
    from chatlake.cli.simulate_options import simulate_command  # noqa: PLC0415

    command = simulate_command(_serve, EXAMPLES)
    words = list(context.args)
    with command.make_context(context.command_path, words) as own:
        command.invoke(own)


def _serve(scenario: Any, faults: Any, port: int) -> None:
    from chatlake.simulator import serve  # noqa: PLC0415

    def announce(url: str) -> None:
        say(
            _SNIPPET.format(
                url=url,
                completions=count(scenario.completions, "completion"),
                key=scenario.api_key or "any",
            )
        )
        import sys  # noqa: PLC0415

        sys.stdout.flush()

    try:
        serve(scenario, faults, port, announce=announce)
    except SystemExit as stop:
        # A server that is told to stop has done its job.
        if stop.code != RunTerminatedError.exit_code:
            raise
