"""From a file to `Settings`: find it, read it, expand references, check everything at once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chatlake.config.document import Document, Location, parse, read_text
from chatlake.config.entries import keeps_reference
from chatlake.config.problems import Problem, as_error, from_validation, key_path
from chatlake.config.references import Text, UnsetVariableError, is_secret_reference
from chatlake.config.settings import VERSION, Settings
from chatlake.errors import ConfigurationError

VARIABLE = "CHATLAKE_CONFIG"
PLACES = (Path("chatlake.yaml"), Path("config/chatlake.yaml"))


def find_settings_file(path: Path | None = None) -> Path:
    """`path`, else `$CHATLAKE_CONFIG`, else the first of `PLACES` that exists.

    Raises ConfigurationError, naming what was tried, if there is none. It does not check that a
    named file exists.
    """
    named = path or os.environ.get(VARIABLE)
    if named:
        return Path(os.path.expanduser(named))  # noqa: PTH111  an unknown ~user stays as it is
    for place in PLACES:
        if place.exists():
            return place
    tried = " and ".join(f"./{place}" for place in PLACES)
    raise ConfigurationError(
        f"no configuration found: ${VARIABLE} is not set, and {tried} do not exist",
        hint="Write one with `chatlake init`, or name one with --config FILE.",
    )


def load_settings(path: Path | None = None) -> Settings:
    """The settings in `path`, or in the file that `find_settings_file` finds.

    Raises ConfigurationError that lists everything wrong, one line each. Secrets are not read:
    `Settings.check_secrets` does that.
    """
    file = find_settings_file(path)
    try:
        text = read_text(file, str(file))
    except ConfigurationError as problem:
        if path is None and os.environ.get(VARIABLE):
            message = f"{problem.message} (named by ${VARIABLE})"
            raise ConfigurationError(message, hint=problem.hint) from None
        raise
    return parse_settings(text, file)


def parse_settings(text: str, path: Path) -> Settings:
    """The settings in the YAML `text`, as if it stood in the file `path`.

    Raises ConfigurationError as `load_settings` does.
    """
    shown = str(path)
    document = parse(text, shown)
    _check_top(document, shown)
    problems = [Problem(*found) for found in document.problems]
    document.data = _Expansion(document, problems).value(document.data, ())
    context = {"path": path, "folder": Path(os.path.abspath(path)).parent}  # noqa: PTH100  links stay
    try:
        settings = Settings.model_validate(document.data, context=context)
    except ValidationError as error:
        found = list(from_validation(error, document))
        problems = _without_repeats(problems, found)
    if problems:
        raise as_error(problems, shown) from None
    return settings


def _check_top(document: Document, shown: str) -> None:
    data, expected = document.data, "expected a mapping with version, lake and sources"
    if data is None:
        hint = "Write one with `chatlake init`."
        raise ConfigurationError(f"{shown}:1: the file is empty, {expected}", hint=hint)
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else "a single value"
        raise ConfigurationError(f"{shown}:1: the file contains {kind}, {expected}")
    version = data.get("version")
    if isinstance(version, int) and version > VERSION:
        line = document.line(("version",))
        raise ConfigurationError(
            f"{shown}:{line}: version: got {version}, expected {VERSION}, the newest version that "
            "this chatlake knows",
            hint="Upgrade chatlake.",
        )


@dataclass(frozen=True, slots=True)
class _Expansion:
    """Expands the references in a document, except those to secrets, which stay as written."""

    document: Document
    problems: list[Problem]

    def value(self, value: Any, location: Location) -> Any:
        if isinstance(value, dict):
            return {key: self.value(item, (*location, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, (*location, index)) for index, item in enumerate(value)]
        return self.text(value, location) if isinstance(value, str) else value

    def text(self, text: str, location: Location) -> str:
        line = self.document.line(location)
        where = f"{self.document.shown}:{line}: {key_path(location)}"
        if _is_kept(location, text):
            return Text(text, written=text, where=where)
        if "${" in text:
            try:
                return Text.expanded(text, os.environ, where=where)
            except UnsetVariableError as problem:
                self.problems.append(Problem(location, line, str(problem), unset=problem.name))
            except ValueError as problem:
                self.problems.append(Problem(location, line, str(problem)))
        return text


def _is_kept(location: Location, text: str) -> bool:
    match location:
        case ("sources", int(), "api_key"):
            return True
        case ("sources", int(), "headers" | "query", str(name)):
            return keeps_reference(name, text)
        case ("notify", *below):
            return not {"format", "on"}.intersection(below) and is_secret_reference(text)
        case (*_, "redact", "hash_key") | (*_, "redact", "expressions", _):
            return True  # in an expression ${ means what the expression means by it
    return False


def _without_repeats(before: list[Problem], after: list[Problem]) -> list[Problem]:
    """Merge both lists: one problem per value, and no unset variable below an unknown key."""
    unknown = [problem.location for problem in after if problem.text.startswith("unknown key")]
    kept = [
        problem
        for problem in before
        if not any(problem.location[: len(location)] == location for location in unknown)
    ]
    seen = {problem.location for problem in kept}
    return kept + [problem for problem in after if problem.location not in seen]
