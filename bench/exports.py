"""What each export of a big lake takes: `python -m bench.exports LAKE`, in minutes.

`python -m bench.reading_lake LAKE --completions 200000` writes the lake first. Each format is one
run of the command, in a process of its own. Prints a line for each: wall seconds, the peak of
memory, what was written.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Final

from bench.measured import BenchError, measured, python

FORMATS: Final[dict[str, tuple[str, ...]]] = {
    "raw": ("raw", "out.jsonl"),
    "finetune": ("finetune", "out.jsonl"),
    "finetune --dedupe longest --repair-tools": (
        "finetune", "--dedupe", "longest", "--repair-tools", "out.jsonl",
    ),
    "hf": ("hf", "out"),
    "eval": ("eval", "out.jsonl"),
    "markdown": ("markdown", "out"),
    "html (one page)": ("html", "out.html"),
    "html (a folder)": ("html", "out"),
    "images": ("images", "out"),
    "parquet": ("parquet", "out"),
}  # fmt: skip


def measure(lake: Path, words: tuple[str, ...]) -> str:
    """Run one export and return its cells of the table."""
    with tempfile.TemporaryDirectory(prefix="chatlake-bench-", dir=lake.parent) as name:
        folder = Path(name)
        config = folder / "chatlake.yaml"
        source = {"name": "openai", "base_url": "https://nowhere.example", "api_key": "${NO_KEY}"}
        config.write_text(json.dumps({"version": 1, "lake": str(lake), "sources": [source]}))
        *options, output = words
        where = ("--output", folder / output, "--config", config, "--json")
        done = measured(
            python("-m", "chatlake", "export", *options, *where), env={"NO_KEY": "none"}
        )
        report = json.loads(done.output)
        if report["selected"] != report["written"] + sum(report["skipped"].values()):
            raise BenchError(f"{words[0]}: the report does not add up")
        size_mb = sum(file["bytes"] for file in report["files"]) / 1e6
        return (
            f"{report['written']:,} of {report['selected']:,} | {size_mb:,.0f} MB | "
            f"{done.wall_s:.0f} s | {done.peak_mb():.0f} MB"
        )


def main() -> None:
    """Measure the formats that were named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lake", type=Path)
    parser.add_argument("--only", nargs="+", choices=FORMATS, default=FORMATS, metavar="FORMAT")
    given = parser.parse_args()
    print("| format | written | size | time | peak memory |\n|---|---:|---:|---:|---:|")
    for name in given.only:
        print(f"| `{name}` | {measure(given.lake.resolve(), FORMATS[name])} |", flush=True)


if __name__ == "__main__":
    main()
