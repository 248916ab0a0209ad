"""A lake to read in: completions given as the API would send them, flattened and committed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from chatlake.backup.rows import RowBuffer
from chatlake.lake import Lake
from chatlake.model.flatten import Observation, flatten
from chatlake.model.manifest import Failure, Manifest, SourceRun, format_time
from chatlake.model.objects import read_completion
from chatlake.model.pages import read_message_page
from chatlake.model.partitions import Partition

SEEN = datetime(2026, 3, 1, 2, tzinfo=UTC)

Message = Mapping[str, Any]


def at(text: str) -> int:
    """Return UTC seconds of `2026-01-02T12:00`."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def reply(content: str | None = "Certainly.", index: int = 0, **more: Any) -> dict[str, Any]:
    """Return one choice."""
    reason = more.pop("finish_reason", "stop")
    message = {"role": "assistant", "content": content, **more}
    return {"index": index, "message": message, "finish_reason": reason}


def completion(name: str, created: str, *choices: Message, **more: Any) -> dict[str, Any]:
    """Return a completion, with one short reply if none is given."""
    return {
        "id": name,
        "object": "chat.completion",
        "created": at(created),
        "model": "gpt-4o",
        "metadata": {"team": "support"},
        "usage": {"prompt_tokens": 1200, "completion_tokens": 34, "total_tokens": 1234},
        "choices": list(choices) or [reply()],
        **more,
    }


def store(
    lake: Lake,
    conversations: Iterable[tuple[dict[str, Any], Iterable[Message] | None]],
    *,
    source: str = "openai",
    failures: Iterable[Failure] = (),
) -> None:
    """Commit completions with their messages; None: these could not be fetched."""
    rows, seen = RowBuffer(keep_images=True), int(SEEN.timestamp()) * 1_000_000
    observation = Observation("run-1", seen, seen)
    count = 0
    for given, inputs in conversations:
        messages = None if inputs is None else _sent(given["id"], inputs)
        flat = flatten(read_completion(json.dumps(given).encode()), messages, observation)
        rows.add(Partition.of(source, given.get("created", 0)), flat)
        count += 1
    run = SourceRun(
        run_id="run-1",
        source=source,
        status="complete",
        mode="incremental",
        started_at=format_time(SEEN),
        finished_at=format_time(SEEN),
        seconds=3.2,
        listed=count,
        new=count,
    )
    with lake.lock():
        added = lake.write_parts(rows.columns())
        lake.commit(Manifest(run_id="run-1", added=added, runs=[run], failures=list(failures)))


def _sent(name: str, inputs: Iterable[Message]) -> Any:
    data = [{"id": f"{name}-{number}", **message} for number, message in enumerate(inputs)]
    page = {"object": "list", "data": data, "has_more": False,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None}  # fmt: skip
    return read_message_page(json.dumps(page).encode()).items
