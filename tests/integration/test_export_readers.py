"""Programs that others wrote read what the exports wrote, without the network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from chatlake.exports.chat_content import ImageRules
from chatlake.exports.chat_line import LineRules
from chatlake.exports.evals import export_eval
from chatlake.exports.finetune import export_finetune
from chatlake.exports.hf import export_hf
from chatlake.exports.training_lines import TrainingOptions
from chatlake.lake.lake import Lake
from tests.export_lakes import lines_of, mixed_lake, report_of

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Make a lake of some hundred mixed completions."""
    return mixed_lake(tmp_path_factory.mktemp("lake"), readers=450, plain=200)


@pytest.mark.slow
def test_openais_types_take_every_line(lake: Lake, tmp_path: Path) -> None:
    """Messages and tools are what its client sends, apart from the weight, which is not sent."""
    from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam  # takes long

    messages_of: TypeAdapter[Any] = TypeAdapter(list[ChatCompletionMessageParam])
    tools_of: TypeAdapter[Any] = TypeAdapter(list[ChatCompletionToolParam])
    path = tmp_path / "tune.jsonl"
    export_finetune(lake, path, options=TrainingOptions(repair_tools=True))
    lines = lines_of(path)
    assert len(lines) > 500
    for line in lines:
        bare = [{key: each[key] for key in each if key != "weight"} for each in line["messages"]]
        checked = messages_of.validate_python(bare)
        assert [message["role"] for message in checked] == [message["role"] for message in bare]
        tools_of.validate_python(line.get("tools", []))


@pytest.mark.slow
def test_together_takes_the_file(lake: Lake, tmp_path: Path, ask: Ask) -> None:
    """Its own check passes, with as many samples as the report says."""
    path = tmp_path / "tune.jsonl"
    export_finetune(lake, path)
    found = ask("together", path)
    assert found["is_check_passed"], found["message"]
    assert found["num_samples"] == report_of(path)["written"]


@pytest.mark.slow
def test_mistral_takes_every_line(lake: Lake, tmp_path: Path, ask: Ask) -> None:
    """In fine-tuning mode, in its variant of the format."""
    path = tmp_path / "tune.jsonl"
    export_finetune(lake, path, options=TrainingOptions(repair_tools=True))
    found = ask("mistral", path)
    assert found == {"passed": report_of(path)["written"], "refused": {}}


@pytest.mark.slow
@pytest.mark.parametrize("style", ["messages", "prompt-completion"])
@pytest.mark.parametrize("images", ["keep", "drop"])
def test_hugging_face_loads_the_folder(
    lake: Lake, tmp_path: Path, ask: Ask, style: Any, images: Any
) -> None:
    """Both splits, the columns in order, arguments and tools as objects, images decoded."""
    rules = LineRules(images=ImageRules(images))
    path = tmp_path / "dataset"
    options = TrainingOptions(rules=rules, split=0.8, repair_tools=True)
    export_hf(lake, path, options=options, style=style)
    report = report_of(path)
    found = ask("datasets", path)
    assert {side: each["rows"] for side, each in found.items()} == report["rows"]
    talk = ["messages"] if style == "messages" else ["prompt", "completion"]
    shown = ["images"] if images == "keep" else []
    last = ["model", "created_at", "finish_reason", "metadata"]
    train = found["train"]
    assert train["columns"] == ["id", *talk, "tools", *shown, *last]
    assert all(isinstance(arguments, dict) for arguments in train["calls"])
    assert train["calls"]
    assert train["tools"][0][0]["function"]["name"]
    assert isinstance(json.loads(train["metadata"][0]), dict)
    assert bool(train["images"]) is (images == "keep")


@pytest.mark.slow
def test_inspect_reads_the_samples(lake: Lake, tmp_path: Path, ask: Ask) -> None:
    """Every sample, with messages of its own types, the target and the model."""
    path = tmp_path / "samples.jsonl"
    export_eval(lake, path, options=TrainingOptions(repair_tools=True))
    found = ask("inspect", path)
    assert found["samples"] == report_of(path)["written"]
    first = lines_of(path)[0]
    assert found["first"] == [first["id"], first["target"], first["metadata"]["model"]]
    kinds = ["Assistant", "System", "Tool", "User"]
    assert found["kinds"] == [f"ChatMessage{kind}" for kind in kinds]
