"""Command-line options made from the fields of `Scenario` and `Faults`."""

from __future__ import annotations

import argparse
import dataclasses
import types
from typing import Any, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from chatlake.simulator.faults import Faults
from chatlake.simulator.scenario import Scenario

Options = TypeVar("Options", Scenario, Faults)


class Parser(Protocol):
    """A parser of arguments, or a group of it."""

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        """Declare an argument, as `argparse.ArgumentParser` does."""
        ...


def add_options(parser: Parser, options: type[Scenario] | type[Faults]) -> None:
    """One option for each field, with the field's help and default."""
    hints = get_type_hints(options)
    for spec in dataclasses.fields(options):
        flag = "--" + spec.name.replace("_", "-")
        text = spec.metadata["help"].replace("%", "%%")
        hint = hints[spec.name]
        if hint is bool:
            parser.add_argument(flag, action="store_true", help=text)
            continue
        if get_origin(hint) is Literal:
            parser.add_argument(flag, choices=get_args(hint), default=spec.default, help=text)
            continue
        shown = "" if spec.default in {None, "", 0.0} else f" [{spec.default}]"
        kind = _plain(hint)
        name = {int: "N", float: "X", str: "TEXT"}[kind]
        parser.add_argument(flag, type=kind, default=spec.default, help=text + shown, metavar=name)


def options_from(values: argparse.Namespace, options: type[Options]) -> Options:
    """The parsed values as a `Scenario` or `Faults`."""
    return options(
        **{spec.name: getattr(values, spec.name) for spec in dataclasses.fields(options)}
    )


def _plain(hint: Any) -> type:
    """`int` for `int | None`."""
    if get_origin(hint) in {Union, types.UnionType}:
        hint = next(part for part in get_args(hint) if part is not type(None))
    if not isinstance(hint, type):
        raise TypeError(f"no option can be made of {hint!r}")
    return hint
