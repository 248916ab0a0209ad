"""The configuration of a flow run: as for the commands, except for the repository's example.

A worker starts flows in a checkout, where `config/chatlake.yaml` is the commented example. It is a
valid configuration, so a deployment that names none would back up into the checkout, with whatever
key the worker has. A user at a terminal would notice that, but nobody watches a nightly run. The
example is recognised by its values: comments and spelling do not matter, and one changed value
makes it your own.

A run of `chatlake serve` accepts only the served configuration. Otherwise anyone
with access to its Prefect server could name another configuration in a parameter, with another
server as `base_url`, and receive the key there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from chatlake.config import Settings, find_settings_file, load_settings, template
from chatlake.config.document import parse, read_text
from chatlake.config.load import VARIABLE
from chatlake.errors import ChatlakeError, ConfigurationError

SERVED: Final = "CHATLAKE_SERVED_CONFIG"
"""Set by `chatlake serve` for its runs: the only configuration that they accept."""
EXAMPLE: Final = Path("config/chatlake.yaml")
_LAKE_OF_EXAMPLE: Final = "../data/lake"


def flow_settings(config: str | os.PathLike[str] | None) -> Settings:
    """Return the settings in `config`, else in `$CHATLAKE_CONFIG`, else in the usual places.

    Under `chatlake serve`, the served ones. Raises ConfigurationError as `load_settings` does, if
    the only file is the example, or if another one is served; then nothing is read.
    """
    served = os.environ.get(SERVED)
    if served:
        _require_served(config, served)
        return load_settings(Path(served))
    if config is None and not os.environ.get(VARIABLE):
        _refuse_example(find_settings_file())
    return load_settings(None if config is None else Path(config))


def _require_served(config: str | os.PathLike[str] | None, served: str) -> None:
    if config is not None and os.fspath(config) != served:
        raise ConfigurationError(
            f"this `chatlake serve` runs only {served}, but the run asks for {os.fspath(config)}",
            hint="Leave the parameter `config` as it is, or serve that file: "
            "chatlake serve --config FILE --name NAME.",
        )


def source_names(config: str | None) -> list[str]:
    """Return the names of the configuration's sources; none where it is invalid."""
    try:
        settings = flow_settings(config)
    except ChatlakeError:
        return []
    return [source.name for source in settings.sources]


def _refuse_example(file: Path) -> None:
    if file != EXAMPLE:
        return
    example = parse(template(_LAKE_OF_EXAMPLE), str(file)).data
    if parse(read_text(file, str(file)), str(file)).data == example:
        raise ConfigurationError(
            f"{file} is the example that comes with chatlake, and no other configuration is set",
            hint=f"Set {VARIABLE}, or the parameter `config` (--config in a shell), to your own "
            "file; `chatlake init` writes one.",
        )
