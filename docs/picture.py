"""Draw the README's session as a terminal: `docs/picture.svg`.

The commands and their output come from the session in README.md, which the tests run for real. So
the picture shows what the program prints, and changes only when the session does. The SVG needs no
font and no other file.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

PICTURE = "picture.svg"
SHOWN = ("chatlake backup", "chatlake sql")
WIDTH = 92
FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""Rich's own frame loads a font from the network."""


def session(readme: str) -> list[str]:
    """Return the lines to show: the first run of each command in `SHOWN`, with its output."""
    block = next(
        text
        for text in re.findall(r"^```console\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
        if "chatlake simulate" in text
    )
    steps = re.split(r"^(?=\$ )", block, flags=re.MULTILINE)
    first = [next(step for step in steps if step.startswith(f"$ {name}")) for name in SHOWN]
    return "\n".join(step.rstrip("\n") + "\n" for step in first).rstrip("\n").splitlines()


def svg(readme: str) -> str:
    """Return the picture of the session in a README's text."""
    console = Console(
        record=True,
        width=WIDTH,
        file=io.StringIO(),
        color_system="truecolor",
        force_terminal=True,
        legacy_windows=False,
    )
    for line in session(readme):
        style = "bold" if line.startswith(("$ ", "> ")) else ""
        text = Text(line, style=style)
        text.highlight_regex(r"^Backup complete", "green")
        text.highlight_regex(r"^[$>]", "cyan")
        console.print(text, soft_wrap=True)
    drawn = console.export_svg(
        title="chatlake", theme=MONOKAI, code_format=FRAME, unique_id="chatlake"
    )
    return "\n".join(line.rstrip() for line in drawn.splitlines() if line.strip()) + "\n"


if __name__ == "__main__":
    folder = Path(__file__).resolve().parent
    readme = (folder.parent / "README.md").read_text(encoding="utf-8")
    (folder / PICTURE).write_text(svg(readme), encoding="utf-8")
