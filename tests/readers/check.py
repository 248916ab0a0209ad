"""Let programs that others wrote read what the exports wrote; run by Python of `.venv/readers`.

Each line of its input is [folder, kind, path…]: the folder to work in, one of the functions below
and its arguments. Each line of its output is {"answer": …} or {"error": …}. So several questions
share what takes longest, which is importing the programs. It uses nothing of chatlake.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any


def together(path: str) -> Any:
    """Return what Together's own check of a fine-tuning file says."""
    from together.lib.utils.files import check_file

    return check_file(Path(path))


def mistral(path: str) -> Any:
    """Validate each line in fine-tuning mode, in Mistral's variant of the format.

    Mistral has no developer messages, ids of nine characters, no names and no links, and wants a
    user's message to follow. What it refuses for such a reason is counted by it.
    """
    from mistral_common.protocol.instruct.messages import FinetuningMessage
    from mistral_common.protocol.instruct.validator import (
        MistralRequestValidatorV3,
        ValidationMode,
    )
    from pydantic import TypeAdapter

    messages_of: TypeAdapter[Any] = TypeAdapter(list[FinetuningMessage])
    validator = MistralRequestValidatorV3(ValidationMode.finetuning)
    found: dict[str, Any] = {"passed": 0, "refused": {}}
    for line in Path(path).read_bytes().splitlines():
        try:
            validator.validate_messages(messages_of.validate_python(_for_mistral(json.loads(line))))
            found["passed"] += 1
        except Exception as error:  # noqa: BLE001 - whatever it says is reported
            kind = f"{type(error).__name__}: {str(error)[:300]}"
            found["refused"][kind] = found["refused"].get(kind, 0) + 1
    return found


def _for_mistral(line: dict[str, Any]) -> list[dict[str, Any]]:
    numbers: dict[str, str] = {}

    def short(call_id: str) -> str:
        return numbers.setdefault(call_id, f"{len(numbers):09d}")

    messages = []
    for message in line["messages"]:
        changed = {key: value for key, value in message.items() if key != "name"}
        if changed["role"] == "developer":
            changed["role"] = "system"
        if "tool_call_id" in changed:
            changed["tool_call_id"] = short(changed["tool_call_id"])
        if "tool_calls" in changed:
            changed["tool_calls"] = [c | {"id": short(c["id"])} for c in changed["tool_calls"]]
        messages.append(changed)
    return messages


def datasets(path: str) -> Any:
    """Load a folder as `load_dataset` does; return the columns, counts and some rows."""
    from datasets import load_dataset

    loaded = load_dataset(path)
    found: dict[str, Any] = {}
    for side, rows in loaded.items():
        sizes = [
            image.size for row in rows for image in row.get("images") or ()
        ]  # decodes each image
        found[side] = {
            "rows": len(rows),
            "columns": rows.column_names,
            "images": len(sizes),
            "calls": [
                call["function"]["arguments"]
                for row in rows
                for message in row.get("messages") or row["prompt"]
                for call in message["tool_calls"] or ()
            ][:5],
            "tools": [row["tools"] for row in rows if row["tools"]][:1],
            "metadata": [row["metadata"] for row in rows][:1],
        }
    return found


def recipe(path: str, *names: str) -> Any:
    """Run a recipe of docs/tools.md; return how many rows its variables `names` have."""
    variables: dict[str, Any] = {}
    exec(Path(path).read_text(), variables)
    return {name: len(variables[name]) for name in names}


def count(program: str, files: str, *tables: str) -> Any:
    """Return how many rows a program's plain loader finds in each table.

    `files`: the path or pattern of tools.md, with `{}` for the table.
    """
    counted = {"polars": _polars, "pandas": _pandas, "datasets": _datasets, "spark": _spark}
    return {table: counted[program](files.format(table)) for table in tables}


def _polars(files: str) -> int:
    import polars as pl

    table = pl.scan_parquet(files, hive_partitioning=True)
    count = int(table.select(pl.len()).collect().item())
    assert len(table.collect()) == count
    return count


def _pandas(files: str) -> int:
    import pandas as pd

    return len(pd.read_parquet(files))


def _datasets(files: str) -> int:
    from datasets import Features, Value, load_dataset

    named: dict[str, Any] = {}
    if "/completions/" in files:  # which has a map, whose type datasets does not know
        named = {"columns": ["model"], "features": Features({"model": Value("string")})}
    return len(load_dataset("parquet", data_files=files, split="train", **named))


def _spark(files: str) -> int:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.config("spark.sql.session.timeZone", "UTC").master("local[2]")
    spark = builder.config("spark.ui.enabled", "false").getOrCreate()
    table = spark.read.option("basePath", files).parquet(files)
    assert dict(table.dtypes)["created_date"] == "date"
    assert dict(table.dtypes)["source"] == "string"
    assert len(table.collect()) == table.count()
    return int(table.count())


def inspect(path: str) -> Any:
    """Load samples as Inspect does; return how many, and the kinds of their messages."""
    from inspect_ai.dataset import json_dataset

    samples = list(json_dataset(path))
    kinds = {
        type(message).__name__
        for sample in samples
        for message in sample.input
        if not isinstance(message, str)
    }
    return {
        "samples": len(samples),
        "kinds": sorted(kinds),
        "first": [str(samples[0].id), samples[0].target, samples[0].metadata["model"]],
    }


KINDS = {kind.__name__: kind for kind in (together, mistral, datasets, recipe, count, inspect)}


def main() -> None:
    """Answer until the end of the input; what the programs print goes to standard error."""
    with os.fdopen(os.dup(1), "w") as output:
        os.dup2(2, 1)
        for line in sys.stdin:
            folder, kind, *words = json.loads(line)
            os.chdir(folder)
            if loaded := sys.modules.get("datasets"):  # it takes two folders of one name for one
                loaded.config.HF_DATASETS_CACHE = Path(folder, "cache")
            try:
                answered = {"answer": KINDS[kind](*words)}
            except Exception:  # noqa: BLE001 - the test reports it
                answered = {"error": traceback.format_exc()}
            print(json.dumps(answered), file=output, flush=True)


if __name__ == "__main__":
    main()
