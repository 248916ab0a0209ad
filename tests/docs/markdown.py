"""Reading Markdown pages: their fenced blocks, their links, the commands of a session."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)


def pages() -> list[Path]:
    """Every Markdown page of the project's documentation."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    """The texts of a page's fenced blocks of one language, in order."""
    found = _FENCE.finditer(page.read_text(encoding="utf-8"))
    return [match["text"] for match in found if match["language"] == language]


def recipe(title: str) -> str:
    """The Python of a section of docs/tools.md."""
    section = (ROOT / "docs" / "tools.md").read_text(encoding="utf-8")
    section = section.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    (code,) = (match["text"] for match in _FENCE.finditer(section) if match["language"] == "python")
    return str(code)


def links(page: Path) -> list[str]:
    """The targets of a page's links that lead to other files or to headings."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [match["target"] for match in _LINK.finditer(text)]
    return [target for target in targets if "://" not in target and "mailto:" not in target]


def anchors(page: Path) -> set[str]:
    """The names by which a page's headings are linked to, as GitHub makes them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = (match["text"] for match in _HEADING.finditer(text))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@dataclass(slots=True)
class Step:
    """One command of a session, and the lines that it prints."""

    command: str
    output: list[str] = field(default_factory=list)


def session(block: str) -> list[Step]:
    """The steps of a console block: `$ ` begins a command, `> ` continues it."""
    steps: list[Step] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            steps.append(Step(line[2:]))
        elif line.startswith("> ") and not steps[-1].output:
            steps[-1].command += "\n" + line[2:]
        else:
            steps[-1].output.append(line)
    return steps
