"""The questions that analysts ask most: one SQL file each, with its parameters.

A file begins with comments: what the question answers, then `-- narrow: NAME, …`, the columns that
a narrow terminal shows, the most important first. One line for each parameter follows
(`-- since DATE: The first day to count.`; with a default, `-- limit NUMBER = 50: …`), then
`-- needs: NAME, …` for those that must be given. In the SQL a parameter is `$name`. A line with a
parameter that has no value is left out, so each condition has its own line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Final

from chatlake.errors import UsageError
from chatlake.lake.catalog.views import quoted

_PARAMETER: Final = re.compile(r"-- (\w+) (DATE|TEXT|NUMBER)(?: = (\S+))?: (.+)")
_NEEDS: Final = re.compile(r"-- needs: (.+)")
_NARROW: Final = re.compile(r"-- narrow: (.+)")
_PLACE: Final = re.compile(r"\$(\w+)")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a question; `default` is None if the parameter is optional."""

    name: str
    kind: str
    default: str | None
    description: str
    is_needed: bool

    def literal(self, value: str) -> str:
        """Return a value as SQL. UsageError if it is not of the parameter's kind."""
        if self.kind == "TEXT":
            return quoted(value)
        try:
            if self.kind == "NUMBER":
                return str(int(value))
            return f"DATE {quoted(date.fromisoformat(value).isoformat())}"
        except ValueError:
            wanted = "a number" if self.kind == "NUMBER" else "a date such as 2026-01-31"
            raise UsageError(
                f"--{self.name}: expected {wanted}, got {value!r}", hint="Correct the value."
            ) from None


@dataclass(frozen=True, slots=True)
class ReadyQuestion:
    """A question that only needs its name and parameters.

    `important`: the columns that a narrow terminal shows, the most important first.
    """

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    template: str
    important: tuple[str, ...]

    def sql(self, given: Mapping[str, str]) -> str:
        """Return the SQL with these parameters. UsageError for unknown, missing or wrong ones."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given:
            if name not in known:
                takes = ", ".join(f"--{each}" for each in known)
                raise UsageError(
                    f"the question {self.name} does not take --{name}", hint=f"It takes {takes}."
                )
        values = {}
        for parameter in self.parameters:
            value = given.get(parameter.name, parameter.default)
            if value is not None:
                values[parameter.name] = parameter.literal(value)
            elif parameter.is_needed:
                raise UsageError(
                    f"the question {self.name} needs --{parameter.name}",
                    hint=parameter.description,
                )
        return "\n".join(
            _PLACE.sub(lambda match: values[match[1]], line)
            for line in self.template.splitlines()
            if all(name in values for name in _PLACE.findall(line))
        )


@cache
def ready_questions() -> dict[str, ReadyQuestion]:
    """Return every question by its name, in alphabetical order."""
    folder = files(__package__).joinpath("questions")
    found = (
        _parsed(file.name.removesuffix(".sql"), file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    )
    return {question.name: question for question in sorted(found, key=lambda each: each.name)}


def ready_question(name: str) -> ReadyQuestion:
    """Return the question of a name. UsageError if there is none."""
    known = ready_questions()
    if name in known:
        return known[name]
    near = get_close_matches(name.lower(), known, n=1)
    meant = f"Did you mean {near[0]}? " if near else ""
    raise UsageError(
        f"there is no question {name!r}", hint=f"{meant}`chatlake ask` lists the questions."
    )


def _parsed(name: str, text: str) -> ReadyQuestion:
    lines = text.splitlines()
    first, *rest = lines
    needed = {
        each.strip()
        for line in rest
        if (needs := _NEEDS.fullmatch(line))
        for each in needs[1].split(",")
    }
    parameters = tuple(
        Parameter(match[1], match[2], match[3], match[4], match[1] in needed)
        for line in rest
        if (match := _PARAMETER.fullmatch(line))
    )
    narrow = [match[1].split(", ") for line in rest if (match := _NARROW.fullmatch(line))]
    important = tuple(narrow[0]) if narrow else ()
    about = (_PARAMETER, _NEEDS, _NARROW)
    template = "\n".join(
        line for line in rest if line and not any(each.fullmatch(line) for each in about)
    )
    return ReadyQuestion(name, first.removeprefix("-- "), parameters, template, important)
