"""`chatlake init`: a commented configuration to start with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chatlake.cli.options import examples
from chatlake.cli.output import say, write_json

EXAMPLES = examples(
    "chatlake init", "chatlake init config/", "chatlake init --schema > chatlake.schema.json"
)


def init(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH",
            help="The file to write, or the folder that gets a chatlake.yaml.",
            show_default="./chatlake.yaml",
        ),
    ] = None,
    *,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the configuration's JSON Schema instead.")
    ] = False,
) -> None:
    """Write a commented configuration to start with.

    An existing file is never overwritten.
    """
    from chatlake.config import json_schema, load_settings, write_template  # noqa: PLC0415
    from chatlake.config.load import PLACES  # noqa: PLC0415

    if schema:
        write_json(json_schema())
        return
    file = write_template(path) if path is not None else write_template()
    found = any(place.exists() and place.samefile(file) for place in PLACES)
    option = "" if found else f" --config {file}"
    variables = dict.fromkeys(
        reference.name
        for source in load_settings(file).sources
        for reference in source.secrets().values()
        if reference.kind == "env"
    )
    say(f"Wrote {file}. Next:")
    say()
    for variable in variables:
        say(f"  export {variable}=…")
    say(f"  chatlake doctor{option}")
    say(f"  chatlake backup{option}")
