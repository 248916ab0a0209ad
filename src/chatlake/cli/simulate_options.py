"""The options of `chatlake simulate`, made from the fields of `Scenario` and `Faults`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import Field, fields
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from chatlake.errors import UsageError
from chatlake.simulator import Faults, Scenario

Serve = Callable[[Scenario, Faults, int], None]


def simulate_command(serve: Serve, epilog: str) -> Any:
    """Return the command: one option for each field, with the field's help and default."""

    def run(*, port: int, **values: Any) -> None:
        scenario = Scenario(**{spec.name: values.pop(spec.name) for spec in fields(Scenario)})
        serve(scenario, Faults(**values), port)

    port = inspect.Parameter(
        "port",
        inspect.Parameter.KEYWORD_ONLY,
        default=8080,
        annotation=Annotated[
            int, typer.Option("--port", metavar="N", min=0, max=65535, help="0 picks a free one.")
        ],
    )
    parameters = [port, *_parameters(Scenario), *_parameters(Faults)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__doc__ = _HELP
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command("simulate", epilog=epilog)(run)
    return typer.main.get_command(app)


_HELP = """Serve a simulated API on loopback, until Ctrl-C.

It generates its completions from --seed, so the same options give the same completions. The value
of a fault is its rate: 0.1 hits about every tenth request, and N of 1 or more hits every Nth
request.
"""


def _parameters(kind: type[Scenario] | type[Faults]) -> list[inspect.Parameter]:
    hints = get_type_hints(kind)
    return [
        inspect.Parameter(
            spec.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=spec.default,
            annotation=_annotation(spec, hints[spec.name]),
        )
        for spec in fields(kind)
    ]


def _annotation(spec: Field[Any], hint: Any) -> Any:
    flag, text = "--" + spec.name.replace("_", "-"), spec.metadata["help"]
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        option = typer.Option(
            flag, metavar="|".join(choices), help=text, callback=_one_of(flag, choices)
        )
        return Annotated[str, option]
    if hint is bool:
        return Annotated[bool, typer.Option(flag, help=text)]
    shown = spec.default not in (None, "", 0.0)
    return Annotated[
        hint, typer.Option(flag, metavar=_metavar(hint), help=text, show_default=shown)
    ]


def _one_of(flag: str, choices: tuple[str, ...]) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in choices:
            raise UsageError(f"{flag} is {value!r}, expected one of {', '.join(choices)}")
        return value

    return check


def _metavar(hint: Any) -> str:
    kinds = get_args(hint) or (hint,)
    return next(name for kind, name in ((int, "N"), (float, "X"), (str, "TEXT")) if kind in kinds)
