"""Fine-tuning files: of thousands of mixed completions, and each rule by an example."""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from chatlake.exports.chat_content import ImageRules
from chatlake.exports.chat_line import LineRules
from chatlake.exports.finetune import export_finetune, validation_path
from chatlake.exports.narrowing import Selection
from chatlake.exports.training_lines import TrainingOptions
from chatlake.lake.lake import Lake
from tests.chat_checker import problems
from tests.export_lakes import lines_of, mixed_lake, report_of
from tests.flat import choice, completion, message
from tests.integration.test_export_raw import store

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
ALL = LineRules(keep=frozenset({"length", "content_filter", "refusal", "empty"}))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Make a lake of some hundred completions of both kinds."""
    return mixed_lake(tmp_path_factory.mktemp("mixed"), readers=150, plain=75)


OPTIONS = {
    "defaults": TrainingOptions(),
    "everything-kept": TrainingOptions(rules=ALL, all_choices=True, dedupe="none"),
    "repaired-longest": TrainingOptions(repair_tools=True, dedupe="longest", split=0.8),
    "images-dropped": TrainingOptions(
        rules=LineRules(images=ImageRules("drop"), train_all=True, max_tokens=3000),
        dedupe="input",
        split=0.5,
        group_by="metadata.team",
    ),
}


@pytest.mark.sample(2)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_mixed_completions(mixed: Lake, tmp_path: Path, options: TrainingOptions) -> None:
    """Selected is written plus skipped, the checker finds nothing, and twice the same bytes."""
    check_export(mixed, tmp_path, options, 225)


@pytest.mark.slow
def test_thousands_of_mixed_completions(tmp_path: Path) -> None:
    """The same holds for five thousand."""
    lake = mixed_lake(tmp_path, readers=3500, plain=1500)
    check_export(lake, tmp_path, OPTIONS["images-dropped"], 5000)


def check_export(lake: Lake, folder: Path, options: TrainingOptions, count: int) -> None:
    """Export twice, and look at the report, the bytes and every line."""
    paths = [folder / name / "tune.jsonl" for name in ("first", "second")]
    for path in paths:
        path.parent.mkdir()
        export_finetune(lake, path, Selection(), options)
    report = report_of(paths[0])
    assert report["selected"] == report["written"] + sum(report["skipped"].values())
    if not options.all_choices:
        assert report["selected"] == count
    written = [path.read_bytes() for path in sorted(paths[0].parent.iterdir())]
    assert written == [path.read_bytes() for path in sorted(paths[1].parent.iterdir())]
    lines = [
        line
        for file in report["files"]
        for line in (paths[0].parent / file["path"]).read_bytes().splitlines(keepends=True)
    ]
    assert len(lines) == report["written"] > count / 4
    assert [found for line in lines for found in problems(line)] == []


def test_the_checker_finds_what_is_wrong(mixed: Lake, tmp_path: Path) -> None:
    """A line is good, and each of these changes makes it bad."""
    path = tmp_path / "tune.jsonl"
    export_finetune(mixed, path, Selection(where="image_count > 0", limit=50))
    line = lines_of(path)[0]
    last = line["messages"][-1]

    def broken(**changes: Any) -> list[str]:
        return problems(json.dumps(line | changes).encode() + b"\n")

    def reply(**changes: Any) -> list[str]:
        return broken(messages=[*line["messages"][:-1], last | changes])

    assert broken() == []
    assert all((broken(extra=1), broken(tools=[]), broken(messages=[last])))
    assert all((reply(role="bot"), reply(content=None), reply(weight=2), reply(audio={})))
    assert all((reply(tool_calls=[]), reply(name="a b"), reply(content=[{"type": "file"}])))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Make a lake without anything in it."""
    return Lake.open(tmp_path / "lake", create=True)


def put(lake: Lake, name: str, inputs: list[Any], **reply: Any) -> None:
    """Store a completion: its inputs, and `choices` or the fields of its one reply."""
    choices = reply.pop("choices", None) or [choice(reply.pop("content", "Yes."), **reply)]
    sent = completion(id=name, choices=choices)
    texts = [json.dumps({**each, "id": f"{name}-{n}"}) for n, each in enumerate(inputs)]
    store(lake, [(json.dumps(sent), texts)])


def exported(lake: Lake, tmp_path: Path, **options: Any) -> tuple[list[Any], dict[str, int]]:
    """Export; return the lines, and what was skipped by reason."""
    path = tmp_path / "out.jsonl"
    report = export_finetune(lake, path, Selection(), TrainingOptions(**options))
    for line in path.read_bytes().splitlines(keepends=True):
        assert problems(line) == []
    assert report.selected == report.written + sum(report.skipped.values())
    return lines_of(path), dict(report.skipped)


def said(role: str, content: Any, **more: Any) -> dict[str, Any]:
    """Return a message as the API stores it."""
    parts = content if isinstance(content, list) else None
    text = "" if parts else content
    return {"role": role, "content": text, "content_parts": parts, "name": None, **more}


def image_part(url: str, detail: Any = None) -> dict[str, Any]:
    """Return an image part with the null siblings of stored ones."""
    image = {"url": url, "detail": detail}
    return {
        "type": "image_url",
        "text": None,
        "image_url": image,
        "input_audio": None,
        "file": None,
    }


def data_url(data: bytes = PNG, media_type: str = "image/png") -> str:
    """Return bytes as a data URL."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def call(call_id: str = "c1", arguments: str = '{"a": 1}', **more: Any) -> dict[str, Any]:
    """Return a tool call with a key that is not documented."""
    function = {"name": "look", "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function, "index": 0, **more}


def test_a_line_has_documented_keys_only(lake: Lake, tmp_path: Path) -> None:
    """Null siblings go, the detail stays, the media type is the bytes' own."""
    parts = [
        {"type": "text", "text": "What is it?", "image_url": None},
        image_part(data_url(media_type="image/gif"), "low"),
        image_part("https://example.com/x.png"),
    ]
    put(lake, "a", [said("developer", "Be brief."), said("user", parts, name="ann b")])
    lines, skipped = exported(lake, tmp_path)
    assert skipped == {}
    assert lines == [
        {
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is it?"},
                        {"type": "image_url", "image_url": {"url": data_url(), "detail": "low"}},
                        {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}},
                    ],
                },
                {"role": "assistant", "content": "Yes."},
            ]
        }
    ]


def test_earlier_replies_are_not_trained_on(lake: Lake, tmp_path: Path) -> None:
    """They get weight 0, unless all are to be trained on."""
    put(lake, "a", [said("user", "1"), said("assistant", "2", name="bot"), said("user", "3")])
    lines, _ = exported(lake, tmp_path)
    earlier = {"role": "assistant", "content": "2", "name": "bot", "weight": 0}
    assert lines[0]["messages"][1] == earlier
    assert "weight" not in lines[0]["messages"][3]
    lines, _ = exported(lake, tmp_path, rules=LineRules(train_all=True))
    assert all("weight" not in message for message in lines[0]["messages"])


UNFIT: list[tuple[list[Any], dict[str, Any], str]] = [
    ([], {}, "no_input"),
    ([said("critic", "?")], {}, "unknown_role"),
    ([said("user", None)], {}, "content_missing"),
    ([said("user", [{"type": "input_audio", "input_audio": {"data": "x"}}])], {}, "audio"),
    ([said("user", [{"type": "file", "file": {"file_id": "x"}}])], {}, "file"),
    ([said("user", [{"type": "hologram"}])], {}, "unknown_part"),
    ([said("user", [image_part(data_url(b"GIF89a"))])], {}, "image_format"),
    ([said("user", [image_part("data:image/png;base64,!!")])], {}, "image_unusable"),
    ([said("user", [image_part("ftp://example.com/x")])], {}, "image_unusable"),
    ([said("user", [image_part(data_url())] * 11)], {}, "too_many_images"),
    ([said("system", [image_part(data_url())]), said("user", "?")], {}, "image_not_from_user"),
    ([said("user", "?"), said("tool", "1", tool_call_id="c1")], {}, "tool_answer_without_call"),
    (
        [said("user", "?"), said("assistant", None), said("tool", "1")],
        {},
        "tool_calls_not_stored",
    ),
    (
        [said("user", "?"), said("assistant", None, tool_calls=[call()]), said("user", "!")],
        {},
        "tool_call_unanswered",
    ),
    (
        [
            said("user", "?"),
            said("assistant", None, tool_calls=[call(), call("c2")]),
            said("tool", "1", tool_call_id="c1"),
            said("tool", "1", tool_call_id="c1"),
        ],
        {},
        "tool_answer_without_call",
    ),
    (
        [said("user", "?")],
        {"content": None, "tool_calls": [call(arguments="{")]},
        "invalid_arguments",
    ),
    (
        [said("user", "?")],
        {
            "content": None,
            "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "x"}}],
        },
        "custom_tool",
    ),
    ([said("user", "?")], {"content": " \n"}, "empty_reply"),
    ([said("user", "?")], {"content": None, "refusal": "No."}, "refusal"),
    ([said("user", "?")], {"content": None, "audio": {"id": "x"}}, "audio"),
]
"""Inputs, the fields of a reply, and the reason why no line can hold them."""


def put_unfit(lake: Lake, name: str, inputs: list[Any], reply: dict[str, Any]) -> None:
    """Store a completion with such a reply."""
    fields = {"content": "Yes."} | reply
    answer = choice(fields.pop("content"))
    answer["message"] |= fields
    put(lake, name, inputs, choices=[answer])


def test_what_no_line_can_hold_is_counted(lake: Lake, tmp_path: Path) -> None:
    """Each is skipped for one reason, and a good one beside them is written."""
    for number, (inputs, reply, _) in enumerate(UNFIT):
        put_unfit(lake, f"bad-{number}", inputs, reply)
    put(lake, "good", [said("user", "Good?")])
    lines, skipped = exported(lake, tmp_path)
    assert skipped == Counter(reason for *_, reason in UNFIT)
    assert [line["messages"][0]["content"] for line in lines] == ["Good?"]


@pytest.mark.slow
@pytest.mark.parametrize(("inputs", "reply", "reason"), UNFIT)
def test_what_no_line_can_hold_has_its_own_reason(
    lake: Lake, tmp_path: Path, inputs: list[Any], reply: dict[str, Any], reason: str
) -> None:
    """Alone beside a good one, it is skipped for this reason."""
    put_unfit(lake, "bad", inputs, reply)
    put(lake, "good", [said("user", "Good?")])
    lines, skipped = exported(lake, tmp_path)
    assert skipped == {reason: 1}
    assert len(lines) == 1


def test_replies_are_kept_by_name(lake: Lake, tmp_path: Path) -> None:
    """`--keep` takes in what was cut, filtered, refused or empty."""
    for reason in ("length", "content_filter"):
        put(
            lake,
            reason,
            [said("user", reason)],
            choices=[choice("Cut") | {"finish_reason": reason}],
        )
    refused = choice(None)
    refused["message"]["refusal"] = "No."
    put(lake, "refused", [said("user", "refused")], choices=[refused])
    put(lake, "empty", [said("user", "empty")], choices=[choice("")])
    lines, skipped = exported(lake, tmp_path)
    assert lines == []
    assert skipped == {"length": 1, "content_filter": 1, "refusal": 1, "empty_reply": 1}
    lines, skipped = exported(lake, tmp_path, rules=ALL)
    assert skipped == {}
    assert sorted(line["messages"][-1]["content"] for line in lines) == ["", "Cut", "Cut", "No."]


def test_tool_calls_are_filled_in_from_the_completion_that_made_them(
    lake: Lake, tmp_path: Path
) -> None:
    """The answers get the calls' ids; where two different replies fit, nothing is guessed."""
    asked = [said("user", "Look!")]
    made = choice(None)
    made["message"]["tool_calls"] = [call("c1"), call("c2", '{"b": 2}')]
    put(lake, "first", asked, choices=[made])
    later = [*asked, said("assistant", None), said("tool", "1"), said("tool", "2")]
    put(lake, "second", later)
    _, skipped = exported(lake, tmp_path)
    assert skipped == {"tool_calls_not_stored": 1}
    lines, skipped = exported(lake, tmp_path, repair_tools=True)
    assert skipped == {}
    repaired = next(line for line in lines if len(line["messages"]) == 5)
    calls = repaired["messages"][1]["tool_calls"]
    assert [each["function"]["arguments"] for each in calls] == ['{"a": 1}', '{"b": 2}']
    assert [each.get("tool_call_id") for each in repaired["messages"][2:4]] == ["c1", "c2"]
    other = choice(None)
    other["message"]["tool_calls"] = [call("c3", '{"other": true}')]
    put(lake, "third", asked, choices=[other])
    _, skipped = exported(lake, tmp_path, repair_tools=True)
    assert skipped == {"tool_calls_not_stored": 1}


def test_repeated_lines_are_left_out(lake: Lake, tmp_path: Path) -> None:
    """The same line, the same inputs, or an earlier turn of a conversation that continued."""
    asked = [said("user", "1")]
    put(lake, "a", asked, content="2")
    put(lake, "b", asked, content="2")
    put(lake, "c", asked, content="other")
    put(lake, "d", [*asked, said("assistant", "2"), said("user", "3")], content="4")
    expected = {
        "none": {},
        "exact": {"duplicate": 1},
        "input": {"duplicate": 2},
        "longest": {"continued": 2},
    }
    for kind, reasons in expected.items():
        _, skipped = exported(lake, tmp_path, dedupe=kind)
        assert skipped == reasons, kind


def test_turns_of_one_conversation_stay_on_one_side(mixed: Lake, tmp_path: Path) -> None:
    """No first user message is on both sides, and both sides have about their share."""
    path = tmp_path / "tune.jsonl"
    export_finetune(mixed, path, Selection(), TrainingOptions(split=0.7))
    sides = []
    for file in (path, validation_path(path)):
        users = (
            next(m for m in line["messages"] if m["role"] == "user") for line in lines_of(file)
        )
        sides.append([json.dumps(user["content"]) for user in users])
    assert set(sides[0]) & set(sides[1]) == set()
    assert 0.6 < len(sides[0]) / (len(sides[0]) + len(sides[1])) < 0.8


def test_missing_messages_and_few_lines_are_named(lake: Lake, tmp_path: Path) -> None:
    """A completion whose messages could not be fetched is skipped; a short file is warned of."""
    store(lake, [(json.dumps(completion(id="a")), None)])
    put(lake, "b", [said("user", "?")])
    path = tmp_path / "out.jsonl"
    report = export_finetune(lake, path)
    assert (report.selected, report.written) == (2, 1)
    assert dict(report.skipped) == {"messages_missing": 1}
    assert "only 1 line:" in report.warnings[0]


def test_all_choices_are_lines(lake: Lake, tmp_path: Path) -> None:
    """Selected counts replies then; the inputs are the same in each."""
    put(lake, "a", [said("user", "?")], choices=[choice("x"), choice("y", 1)])
    lines, _ = exported(lake, tmp_path, all_choices=True)
    assert [line["messages"][-1]["content"] for line in lines] == ["x", "y"]
    lines, _ = exported(lake, tmp_path)
    assert [line["messages"][-1]["content"] for line in lines] == ["x"]


def test_half_characters_become_replacement_characters(lake: Lake, tmp_path: Path) -> None:
    """A line is valid UTF-8, whatever the API sent."""
    sent = json.dumps(completion(id="a"))
    text = json.dumps(message("@", id="a-0")).replace("@", r"half \ud83d, whole \ud83d\ude00")
    store(lake, [(sent, [text])])
    lines, _ = exported(lake, tmp_path)
    assert lines[0]["messages"][0]["content"] == "half \ufffd, whole \U0001f600"
