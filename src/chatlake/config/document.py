"""A YAML file as plain values, with the line of each.

Scalars are read by YAML 1.2's rules, as editors do: `yes` and `2026-01-31` are text, and `010`
is ten. A duplicate key is an error; anchors and `<<` work.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from chatlake.errors import ConfigurationError

Location = tuple[str | int, ...]
"""The keys and list indices that lead to a value."""

_TAG = "tag:yaml.org,2002:"
_DEEPEST = 50
_LARGEST = 10_000
_LARGEST_BYTES = 1 << 19
_NO_TAGS = "expected a plain value, without a YAML tag"


class _TooManyValuesError(Exception):
    """The file has more values than a configuration may have, or refers to them too often."""


class _Loader(yaml.SafeLoader):
    """PyYAML's reader, with the scalar types of YAML 1.2's core schema, and a bound."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  PyYAML's way

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._count = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node; every alias counts as one, too."""
        self._count += 1
        if self._count > _LARGEST:
            raise _TooManyValuesError
        return super().compose_node(parent, index)


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf)|\.(nan|NaN)",
        list("-+.0123456789"),
    ),
    ("merge", "<<", ["<"]),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), _first)


@dataclass(slots=True)
class Document:
    """The file `shown`: `data` as YAML holds it, and the line (from 1) of each location.

    `problems` are those that YAML itself ignores: location, line, text.
    """

    shown: str
    data: Any = None
    lines: dict[Location, int] = field(default_factory=dict)
    problems: list[tuple[Location, int, str]] = field(default_factory=list)
    visits: int = 0

    def visit(self, count: int = 1) -> None:
        """Count the values visited: aliases and merges reach the same ones many times."""
        self.visits += count
        if self.visits > 2 * _LARGEST:
            raise _TooManyValuesError

    def line(self, location: Location) -> int:
        """The line of `location`, or of the nearest thing around it."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)


def read_text(path: Path, shown: str) -> str:
    """The text of the configuration file; raises ConfigurationError if it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
        if len(data) > _LARGEST_BYTES:
            raise ConfigurationError(
                f"{shown}: the file is larger than {_LARGEST_BYTES >> 10} KiB",
                hint=(
                    "A configuration is a few kilobytes; put ids into a separate file "
                    "(select.ids_file)."
                ),
            )
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        reason, hint = "there is no such file", f"chatlake init {shown}"
    except IsADirectoryError:
        reason, hint = "this is a folder, not a file", f"--config {Path(shown) / 'chatlake.yaml'}"
    except UnicodeDecodeError:
        reason, hint = "this is not UTF-8 text", "Save the file as UTF-8."
    except OSError as problem:
        reason = f"the file cannot be read: {problem.strerror or problem}"
        hint = "Check the path and its permissions."
    raise ConfigurationError(f"{shown}: {reason}", hint=hint)


def parse(text: str, shown: str) -> Document:
    """`text` as a document; raises ConfigurationError with line and column if it is not YAML."""
    document = Document(shown)
    try:
        node = yaml.compose(text, Loader=_Loader)
        if node is not None:
            document.data = _value(node, (), document, ())
    except _TooManyValuesError:
        raise ConfigurationError(
            f"{shown}: the file contains too many values, including aliases and merges: more than "
            f"{_LARGEST}",
            hint=(
                "Put ids into a separate file (select.ids_file), and use fewer aliases and merges."
            ),
        ) from None
    except yaml.MarkedYAMLError as problem:
        raise _syntax_error(problem, text, shown) from None
    except yaml.reader.ReaderError as problem:
        line = text.count("\n", 0, problem.position) + 1
        message = f"{shown}:{line}: the file contains a control character"
        raise ConfigurationError(message, hint="Save the file as plain UTF-8 text.") from None
    except RecursionError:
        raise ConfigurationError(f"{shown}: the file is nested too deeply") from None
    return document


def _syntax_error(problem: yaml.MarkedYAMLError, text: str, shown: str) -> ConfigurationError:
    mark = problem.problem_mark or problem.context_mark
    place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
    # Longer quotations may be a value of the file, and so a secret.
    what = re.sub(r"'(?!<)[^']{4,}'", "'…'", problem.problem or "it cannot be read")
    lines = text.splitlines()
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    if "\t" in line:
        hint = "Indent with spaces, not tabs."
    elif "${" in line:
        hint = 'Within { } and [ ], put references in quotes: "${NAME}".'
    else:
        hint = "Put a value that begins with * & ! % @ ` { [ or contains ': ' in quotes."
    return ConfigurationError(f"{shown}{place}: not valid YAML: {what}", hint=hint)


def _value(
    node: yaml.Node, location: Location, document: Document, around: tuple[yaml.Node, ...]
) -> Any:
    line = node.start_mark.line + 1
    document.lines.setdefault(location, line)
    if node in around:
        document.problems.append((location, line, "expected no value that contains itself"))
        return None
    if len(around) > _DEEPEST:
        problem = f"expected at most {_DEEPEST} levels of lists and mappings"
        document.problems.append((location, line, problem))
        return None
    document.visit()
    around = (*around, node)
    if isinstance(node, yaml.CollectionNode) and node.tag not in (_TAG + "seq", _TAG + "map"):
        document.problems.append((location, line, _NO_TAGS))
    if isinstance(node, yaml.SequenceNode):
        return [
            _value(item, (*location, index), document, around)
            for index, item in enumerate(node.value)
        ]
    if isinstance(node, yaml.MappingNode):
        result = {}
        for key, value_node in _pairs(node, location, document, around).items():
            result[key] = _value(value_node, (*location, key), document, around)
        return result
    return _scalar(node, location, document)


def _pairs(
    node: yaml.MappingNode, location: Location, document: Document, around: tuple[yaml.Node, ...]
) -> dict[str, yaml.Node]:
    merged: dict[str, yaml.Node] = {}
    own: dict[str, yaml.Node] = {}
    document.visit(len(node.value))
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            document.problems.append((location, line, "expected text as a key"))
        elif key_node.tag == _TAG + "merge":
            for other in _merged(value_node):
                document.visit()
                if other in around:
                    document.problems.append((location, line, "expected no merge with itself"))
                else:
                    found = _pairs(other, location, document, (*around, other))
                    merged = {**found, **merged}
        elif key_node.value in own:
            first = document.lines[(*location, key_node.value)]
            problem = f"duplicate key, first in line {first}"
            document.problems.append(((*location, key_node.value), line, problem))
        else:
            own[key_node.value] = value_node
            document.lines[(*location, key_node.value)] = line
    return {**merged, **own}


def _merged(node: yaml.Node) -> list[yaml.MappingNode]:
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return [item for item in nodes if isinstance(item, yaml.MappingNode)]


def _scalar(node: yaml.Node, location: Location, document: Document) -> Any:
    text: str = node.value
    kind = node.tag.removeprefix(_TAG)
    try:
        if kind in ("str", "merge"):
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text.replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        pass
    line = node.start_mark.line + 1
    document.problems.append((location, line, _NO_TAGS))
    return None
