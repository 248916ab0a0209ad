"""docs/lake-format.md: its examples run, and read what chatlake wrote."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chatlake.lake import Lake
from chatlake.model.manifest import Manifest, PartFile
from tests.docs.markdown import ROOT, blocks

PAGE = ROOT / "docs/lake-format.md"


def test_examples_run_one_after_the_other(
    beside_lake: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each example works in a folder with a lake in `data/lake`, and finds the listed files."""
    names: dict[str, Any] = {}
    for example in blocks(PAGE, "python"):
        if "import polars" in example and importlib.util.find_spec("polars") is None:
            continue
        exec(compile(example, str(PAGE), "exec"), names)

    state = Lake.open(beside_lake).state
    assert set(names["files"]) == set(state.files)
    assert names["state"]["number"] <= state.number
    assert "gpt-4o-mini" in capfd.readouterr().out
    names["lake"] = None


def test_list_of_files_starts_from_a_checkpoint(
    beside_lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example that lists the files also works where only a checkpoint tells the beginning."""
    listing = next(example for example in blocks(PAGE, "python") if "checkpoints" in example)
    state = Lake.open(beside_lake).state
    folder = tmp_path / "data/lake/manifests"
    folder.mkdir(parents=True)
    checkpoint = state.checkpoint(created_at="", chatlake="")
    (folder / f"checkpoint-{state.number:012}.json").write_bytes(msgspec.json.encode(checkpoint))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}

    exec(compile(listing, str(PAGE), "exec"), names)

    assert set(names["files"]) == set(state.files)


def test_example_of_a_manifest_has_every_key() -> None:
    """The manifest on the page has the keys that chatlake writes, in their order, and no others."""
    (example,) = (block for block in blocks(PAGE, "json") if '"added"' in block)
    document = json.loads(example)
    fields = msgspec.structs.fields(Manifest)

    assert list(document) == ["sha256", *(spec.name for spec in fields)]
    assert list(document["added"][0]) == [spec.name for spec in msgspec.structs.fields(PartFile)]
    del document["sha256"]
    manifest = msgspec.convert(document, Manifest)
    assert json.loads(msgspec.json.encode(manifest)) == document
