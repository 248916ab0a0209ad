"""Write the parts of the documentation that the code knows best, or check that they are current.

A generated part stands in README.md or in a Markdown file of this folder between two comments:

    <!-- generated: exit-codes -->
    <!-- end of exit-codes -->

`python docs/generate.py` writes what stands between them; with `--check` it changes nothing, names
each stale file with the lines that differ, and exits with 1. What it writes depends on the code
alone: no dates, no versions, no paths of this machine. The picture of the README's session is drawn
by `docs/picture.py`, and written or checked here too.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import typer.main
from typer.testing import CliRunner

from chatlake import errors
from chatlake.cli.app import app
from chatlake.config import json_schema
from chatlake.config.durations import DAYS_PATTERN
from chatlake.config.durations import PATTERN as DURATION
from chatlake.config.notify_address import NOTIFY_PATTERN
from chatlake.config.places import INSTANT_PATTERN, LAKE_PATTERN, URL_PATTERN
from chatlake.config.references import SECRET_PATTERN
from chatlake.config.sizes import PATTERN as SIZE
from chatlake.config.source import SILENT_PATTERN
from chatlake.errors import ChatlakeError
from chatlake.lake import Lake
from chatlake.lake.catalog.descriptions import column_descriptions
from chatlake.lake.catalog.views import VIEWS, view_description
from chatlake.lake.files.schema import JSON, PARTITION_COLUMNS, SCHEMAS

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from docs.picture import PICTURE, svg  # noqa: E402 - this file also runs as a script

WIDTH = 100

EXIT_CODES = {
    0: "done, complete",
    1: "failed for a reason not below",
    2: "wrong usage: an option or an argument",
    3: "incomplete: everything fetched was committed, but some completions could not be fetched; "
    "they are named, and the next run tries them again",
    4: "configuration invalid: the message names the file, the line or key, and what is expected",
    5: "not authorised, or the account cannot do this (401, 403, 405, quota); nothing is retried",
    6: "the source cannot be reached: no response, only 5xx, or no such route (wrong base_url)",
    7: "the lake is damaged, or a newer chatlake wrote it",
    8: "locked: another run is writing; the message names its host, process and start",
    130: "interrupted (SIGINT): what was committed stays, and the next run continues from there",
    143: "terminated (SIGTERM): same as 130",
}
_SHAPES = {
    DURATION: "duration",
    DAYS_PATTERN: "duration of whole days",
    INSTANT_PATTERN: "date or time",
    LAKE_PATTERN: "folder or address",
    NOTIFY_PATTERN: "http(s) address, or reference to a secret",
    SILENT_PATTERN: "`auto`, duration, or `null`",
    SIZE: "size",
    SECRET_PATTERN: "reference to a secret",
    URL_PATTERN: "http(s) address",
}
_BLOCK = re.compile(
    r"(?P<head><!-- generated: (?P<name>[a-z-]+) -->\n).*?(?P<tail><!-- end of (?P=name) -->)",
    re.DOTALL,
)
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def error_tree(root: type[ChatlakeError] = ChatlakeError) -> Iterator[type[ChatlakeError]]:
    """Yield the classes of `chatlake.errors`, each before those that derive from it."""
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from error_tree(child)


def exit_codes() -> Iterator[str]:
    """What each exit code of a command means."""
    return table(("code", "meaning"), ((str(code), text) for code, text in EXIT_CODES.items()))


def error_classes() -> Iterator[str]:
    """Every class: the word for programs, the exit code, what happened, what to do."""
    rows = []
    for error in error_tree():
        # Root and Exception are not shown: the depth is what lies between.
        depth = "— " * (len(error.__mro__) - len(ChatlakeError.__mro__))
        meaning = " ".join((error.__doc__ or "").split("\n\n")[0].split())
        if error is ChatlakeError:
            meaning = "Any other error that chatlake raises."
        hint = error.default_hint or "See the message."
        rows.append((f"{depth}`{error.__name__}`", f"`{error.kind}`", str(error.exit_code), meaning,
                     hint))  # fmt: skip
    return table(("class", "kind", "exit", "what happened", "what to do"), rows)


def views() -> Iterator[str]:
    """Every view of an empty lake, with the types that DuckDB says."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Lake.open(folder, create=True).connect()) as connection,
    ):
        for view in VIEWS:
            columns = connection.execute(f'DESCRIBE "{view}"').fetchall()
            texts = column_descriptions(view)
            yield f"### {view}\n\n{view_description(view)}\n"
            yield from table(
                ("column", "type", "meaning"),
                ((f"`{name}`", str(kind), texts[name]) for name, kind, *_ in columns),
            )
            yield ""


def files() -> Iterator[str]:
    """Every table of files, with the types of its columns in Parquet."""
    yield "Every table has two columns that its folders carry:\n"
    yield from table(
        ("folder column", "meaning"), ((f"`{n}`", t) for n, t in PARTITION_COLUMNS.items())
    )
    for name, schema in SCHEMAS.items():
        yield f"\n### Files of {name}\n"
        rows = (
            (f"`{field.name}`", _arrow_type(field.type), _description(field)) for field in schema
        )
        yield from table(("column", "type", "meaning"), rows)


def _description(field: pa.Field[Any]) -> str:
    return (field.metadata or {})[b"description"].decode()


def _arrow_type(kind: pa.DataType) -> str:
    if kind == JSON:
        return "string (JSON)"
    if isinstance(kind, pa.MapType):
        return f"map<{_arrow_type(kind.key_type)}, {_arrow_type(kind.item_type)}>"
    if isinstance(kind, pa.ListType):
        return f"list<{_arrow_type(kind.value_type)}>"
    return str(kind)


def configuration() -> Iterator[str]:
    """Every key of the configuration file: section by section, in the order of the file."""
    schema = json_schema()
    yield from _section("", schema, schema["$defs"])


def _section(path: str, section: dict[str, Any], known: dict[str, Any]) -> Iterator[str]:
    yield f"### {path or 'The file'}\n\n{section['description']}\n"
    inner: list[tuple[str, dict[str, Any]]] = []
    rows = []
    for key, value in section["properties"].items():
        place = f"{path}.{key}" if path else key
        reference = _reference(value)
        if reference is not None:
            place += "[]" if "items" in value else ""
            inner.append((place, known[reference]))
        text = value.get("description") or known[reference or ""]["description"]
        default = "required" if key in section.get("required", ()) else _default(value)
        example = value.get("examples", [None])[0]
        if example is not None and example != value.get("default"):
            text += f" Example: `{_yaml(example)}`."
        rows.append((f"`{key}`", _kind(value), default, text))
    yield from table(("key", "value", "default", "meaning"), rows)
    yield ""
    for place, found in inner:
        yield from _section(place, found, known)


def _reference(value: dict[str, Any]) -> str | None:
    for option in (value, value.get("items", {}), *value.get("anyOf", ())):
        if "$ref" in option:
            return str(option["$ref"]).rpartition("/")[2]
    return None


def _default(value: dict[str, Any]) -> str:
    if "default" not in value:  # one of several keys
        return ""
    if _reference(value) and value["default"] is not None:
        return "see below"
    return f"`{_yaml(value['default'])}`"


def _yaml(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _kind(value: dict[str, Any]) -> str:
    options = value.get("anyOf", [value])
    null = any(option.get("type") == "null" for option in options)
    first = options[0]
    if _reference(value) and "pattern" in first:
        several = ", or list of these" if any("items" in option for option in options) else ""
        text = f"{_SHAPES[first['pattern']]}, or section{several}"
    elif _reference(value):
        text = "list of sections" if "items" in value else "section"
        null = False
    elif first.get("minimum") is not None and first["minimum"] == first["maximum"]:
        text = f"`{first['minimum']}`"
    elif "enum" in first:
        text = ", ".join(f"`{_yaml(word)}`" for word in first["enum"])
    elif first.get("type") == "integer":
        text = f"whole number, {first['minimum']} to {first['maximum']}"
    elif first.get("type") == "boolean":
        text = "`true`, `false`"
    elif "pattern" in first:
        text = _SHAPES.get(first["pattern"], "text")
    else:
        names = {"object": "mapping of texts", "array": "list of texts"}
        types = first["type"] if isinstance(first["type"], list) else [first["type"]]
        text = next((names[t] for t in types if t in names), "text")
        null = null and text == "text"
    return text + (", or `null`" if null else "")


def cli() -> Iterator[str]:
    """The help of the program and of each of its commands, as a terminal of 100 columns shows."""
    commands = command_names()
    yield from _help()
    for name in commands:
        yield f"\n## chatlake {name}\n"
        yield from _help(*name.split())


def command_names() -> list[str]:
    """Return every command that the program has, with the words of the group before it."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[str]:
        for name, child in getattr(command, "commands", {}).items():
            if not child.hidden:
                yield " ".join((*words, name))
                yield from walk(child, (*words, name))

    return list(walk(typer.main.get_command(app), ()))


def _help(*words: str) -> Iterator[str]:
    yield f"```console\n$ {' '.join(('chatlake', *words, '--help'))}"
    yield help_text(*words)
    yield "```"


def help_text(*words: str) -> str:
    """Return what `chatlake … --help` prints, without colours."""
    plain = {"COLUMNS": str(WIDTH), "LINES": "50", "NO_COLOR": "1", "TERM": "dumb"}
    result = CliRunner(env=plain).invoke(app, [*words, "--help"], prog_name="chatlake")
    if result.exit_code:
        raise RuntimeError(f"chatlake {' '.join(words)} --help fails: {result.output}")
    lines = (line.rstrip() for line in _ANSI.sub("", result.output).splitlines())
    return "\n".join(lines).strip("\n")


BLOCKS: dict[str, Callable[[], Iterator[str]]] = {
    "cli": cli,
    "configuration": configuration,
    "error-classes": error_classes,
    "exit-codes": exit_codes,
    "files": files,
    "views": views,
}
"""Name of a generated part -> the function that yields its lines."""


def pages() -> list[Path]:
    """Return the files that may hold generated parts."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def generate(text: str, seen: set[str]) -> str:
    """Return a page with its generated parts written again; adds their names to `seen`."""

    def block(match: re.Match[str]) -> str:
        name = match["name"]
        seen.add(name)
        return match["head"] + "\n" + "\n".join(BLOCKS[name]()).strip() + "\n\n" + match["tail"]

    return _BLOCK.sub(block, text)


def picture_is_current(*, write: bool) -> bool:
    """Draw the README's session; return whether the picture shows it, once written if asked for."""
    file = ROOT / "docs" / PICTURE
    if not file.exists():
        return True
    drawn = svg((ROOT / "README.md").read_text(encoding="utf-8"))
    if file.read_text(encoding="utf-8") == drawn:
        return True
    if write:
        file.write_text(drawn, encoding="utf-8")
        print(f"wrote docs/{PICTURE}")
        return True
    print(f"docs/{PICTURE} is stale; write it anew with `make docs`", file=sys.stderr)
    return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; 1 if a file is stale")
    check = parser.parse_args(arguments).check
    seen: set[str] = set()
    stale = int(not picture_is_current(write=not check))
    for page in pages():
        before = page.read_text(encoding="utf-8")
        after = generate(before, seen)
        if after == before:
            continue
        stale += 1
        name = page.relative_to(ROOT).as_posix()
        if not check:
            page.write_text(after, encoding="utf-8")
            print(f"wrote {name}")
            continue
        print(f"{name} is stale; write it anew with `make docs`:", file=sys.stderr)
        difference = difflib.unified_diff(
            before.splitlines(), after.splitlines(), "written", "generated", lineterm="", n=0
        )
        print("\n".join(list(difference)[:40]), file=sys.stderr)
    missing = sorted(BLOCKS.keys() - seen)
    if missing:
        print(f"no page has the generated part {', '.join(missing)}", file=sys.stderr)
    return int(bool(missing or (check and stale)))


if __name__ == "__main__":
    raise SystemExit(main())
