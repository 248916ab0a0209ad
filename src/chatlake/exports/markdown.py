"""`export markdown`: a Markdown file for each completion, with its images as files beside it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from chatlake.exports.folders import entries, open_folder, safe_name, write_file
from chatlake.exports.narrowing import Selection, chosen
from chatlake.exports.readable import Block, ReadableMessage, kind_of, readable
from chatlake.exports.report import ExportReport
from chatlake.exports.stored import Stored, as_object, read_stored
from chatlake.lake.lake import Lake
from chatlake.model.image_references import EmbeddedImage
from chatlake.model.markup import code

_TICKS: Final = re.compile("`{3,}")
_NOTES: Final = {"link": "Image at", "missing": "Image not stored:"}
_NOT_YAML: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+")

SaveImage = Callable[[EmbeddedImage], str | None]


def export_markdown(
    lake: Lake, output: str | os.PathLike[str], selection: Selection | None = None
) -> ExportReport:
    """Write `YYYY-MM-DD/<id>.md` for each completion, and the report beside the folder.

    UsageError for a bad condition or path, LakeDamagedError for a damaged lake.
    """
    selection = selection or Selection()
    report = ExportReport("markdown", lake.state.number, selection.as_options())
    with chosen(lake, selection) as connection, open_folder(output) as folder:
        names = Names(".md")
        for stored in read_stored(lake, connection):
            if reason := unreadable_reason(stored):
                report.skip(reason)
                continue
            path = folder / names.path_of(stored)
            text = page(stored, _saver(path.parent))
            write_file(path, text.encode("utf-8", "replace"))
            report.wrote()
        report.files.add_all(entries(folder))
    report.write_beside(output)
    return report


def unreadable_reason(stored: Stored) -> str | None:
    """Return why a conversation cannot be shown; None if it can."""
    return stored.problem or ("messages_missing" if stored.inputs is None else None)


class Names:
    """A path for each completion: `YYYY-MM-DD/<id>`, with the source if that is taken."""

    def __init__(self, ending: str) -> None:
        self._ending = ending
        self._day = ""
        self._taken: set[str] = set()

    def path_of(self, stored: Stored) -> str:
        """Return the path below the folder; asked for day by day."""
        if stored.created_date != self._day:
            self._day, self._taken = stored.created_date, set()
        name = safe_name(stored.completion_id)
        if name.casefold() in self._taken:  # some file systems ignore case
            name = safe_name(f"{name}.{stored.source}")
        while name.casefold() in self._taken:
            name += "_"
        self._taken.add(name.casefold())
        return f"{stored.created_date}/{name}{self._ending}"


def page(stored: Stored, save_image: SaveImage) -> str:
    """Return a conversation as Markdown with front matter.

    What people and models wrote is in fences: it is shown as it was sent, and none of it becomes a
    heading, a link or HTML. `save_image` saves an image and returns the link to it; None if its
    type is unknown.
    """
    lines = ["---", *_front_matter(stored), "---", ""]
    for message in readable(stored):
        lines += [f"## {_heading(message)}", ""]
        lines += [f"*{note}*\n" for note in map(code, message.notes)]
        for block in message.blocks:
            lines += [_block(block, save_image), ""]
        for name, arguments in message.calls:
            lines += [f"Calls {code(name)}:", "", fenced(arguments, "json"), ""]
        if not message.blocks and not message.calls:
            lines += ["*(nothing stored)*", ""]
    return "\n".join(lines).rstrip() + "\n"


def fenced(text: str, language: str = "") -> str:
    """Return a text in a fence that is longer than any within it."""
    longest = max((len(found) for found in _TICKS.findall(text)), default=2)
    fence = "`" * (longest + 1)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return f"{fence}{language}\n{text}\n{fence}"


def _front_matter(stored: Stored) -> list[str]:
    usage = as_object(stored.completion.get("usage"))
    found: dict[str, Any] = {
        "id": stored.completion_id,
        "source": stored.source,
        "created_at": stored.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "model": stored.completion.get("model"),
        "total_tokens": usage.get("total_tokens"),
        "metadata": stored.metadata or None,
    }
    return [f"{key}: {_yaml(value)}" for key, value in found.items() if value is not None]


def _yaml(value: Any) -> str:
    """Return a value as JSON in one line, which is also valid YAML, whatever its texts contain."""
    text = json.dumps(value, ensure_ascii=False)
    return _NOT_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _heading(message: ReadableMessage) -> str:
    role = message.role if _PLAIN.fullmatch(message.role) else code(message.role)
    name = f" ({code(message.name)})" if message.name else ""
    choice = f", choice {message.choice + 1}" if message.choice is not None else ""
    return f"{role}{name}{choice}"


def _block(block: Block, save_image: SaveImage) -> str:
    if block.image is not None:
        link = save_image(block.image)
        unknown = f"*Image of an unknown kind, SHA-256 {code(block.image.sha256)}*"
        return unknown if link is None else f"![image]({link})"
    if block.kind in _NOTES:
        return f"*{_NOTES[block.kind]} {code(block.text)}*"
    mark = "Refused:\n\n" if block.kind == "refusal" else ""
    return mark + fenced(block.text, "json" if block.kind == "json" else "")


def _saver(folder: Path) -> SaveImage:
    def save(image: EmbeddedImage) -> str | None:
        kind = kind_of(image.data)
        if kind is None:
            return None
        path = folder / f"{image.sha256}.{kind[1]}"
        if not path.exists():
            write_file(path, image.data)
        return path.name

    return save
