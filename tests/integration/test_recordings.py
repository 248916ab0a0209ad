"""Recorded traffic of the real service, served again: what went over the wire comes out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from chatlake.bootstrap.backup import open_lake
from chatlake.exports.raw import export_raw
from tests.flat import exact
from tests.loopback_server import Handler, listening
from tests.support import backup, rows, settings_for

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "recordings"
FILES = sorted(RECORDINGS.glob("*.json"))
LIST = "/v1/chat/completions"
NOT_FOUND = 404

pytestmark = pytest.mark.skipif(
    not FILES, reason="the recorded traffic lies beside the repository, not in it"
)

Json = dict[str, Any]


@dataclass
class Recorded:
    """What a recording shows of the store.

    `completions` by id; `messages` by completion id; `not_found`: how often `/messages` answered
    404 before it knew the completion (late visibility), and what it answered then.
    """

    completions: dict[str, Json] = field(default_factory=dict)
    messages: dict[str, dict[str, Json]] = field(default_factory=dict)
    not_found: Counter[str] = field(default_factory=Counter)
    refusal: Json = field(default_factory=dict)

    def take(self, entry: Json) -> None:
        """Learn from one request and its answer."""
        path, body = urlsplit(entry["RequestUri"]).path, entry["ResponseBody"]
        method, status = entry["RequestMethod"], entry["StatusCode"]
        if path.endswith("/messages"):
            name = path.split("/")[-2]
            if status == NOT_FOUND:
                self.not_found[name] += 1
                self.refusal = body
            else:
                known = self.messages.setdefault(name, {})
                known.update({item["id"]: item for item in body["data"]})
        elif method == "GET" and path == LIST:
            self.completions.update({item["id"]: item for item in body["data"]})
        elif method in {"GET", "POST"} and status == 200:
            # The answer to a creation is a completion in the form that the specification has.
            self.completions.setdefault(body["id"], body)

    def in_order(self) -> list[Json]:
        """All completions, oldest first."""
        found = self.completions.values()
        return sorted(found, key=lambda item: (item["created"], item["id"]))


def read(files: list[Path]) -> Recorded:
    """Read recordings."""
    recorded = Recorded()
    for file in files:
        for entry in json.loads(file.read_text("utf-8-sig"))["Entries"]:
            recorded.take(entry)
    return recorded


@contextmanager
def served(recorded: Recorded, *, page_size: int) -> Iterator[str]:
    """Serve the two list routes as the service answers them; gives the base URL."""
    completions = recorded.in_order()
    late = recorded.not_found.copy()

    class Replaying(Handler):
        protocol_version = "HTTP/1.1"

        def reply(self) -> None:
            url = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            assert query.pop("order") == "asc"
            if url.path == LIST:
                self.answer(200, page(completions, page_size, **query))
                return
            name = url.path.split("/")[-2]
            if late[name]:
                late[name] -= 1
                self.answer(NOT_FOUND, recorded.refusal)
            else:
                self.answer(200, page([*recorded.messages.get(name, {}).values()], 2, **query))

        def answer(self, status: int, body: Json) -> None:
            self.respond(status, json.dumps(body).encode())

    with listening(Replaying) as port:
        yield f"http://127.0.0.1:{port}/v1"


def page(items: list[Json], size: int, *, limit: str, after: str = "") -> Json:
    """Return a page as the service makes them."""
    ids = [item["id"] for item in items]
    start = ids.index(after) + 1 if after else 0
    found = items[start : start + min(size, int(limit))]
    return {
        "object": "list",
        "data": found,
        "first_id": found[0]["id"] if found else None,
        "last_id": found[-1]["id"] if found else None,
        "has_more": start + len(found) < len(items),
    }


def check(recorded: Recorded, folder: Path, *, page_size: int) -> None:
    """Back up what was recorded, and compare rows and export with it."""
    completions = recorded.in_order()
    with served(recorded, page_size=page_size) as base_url:
        settings = settings_for(folder, base_url)
        report = backup(settings)
    assert (report.status, report.sources[0].run.new) == ("complete", len(completions))
    assert report.sources[0].new_fields == []

    export_raw(open_lake(settings), folder / "out.jsonl")
    lines = (folder / "out.jsonl").read_bytes().split(b"\n")[:-1]
    sent = [
        {"completion": item, "messages": [*recorded.messages.get(item["id"], {}).values()]}
        for item in completions
    ]
    assert [exact(line) for line in lines] == [exact(json.dumps(item)) for item in sent]

    stored = rows(settings, "SELECT completion_id, seed, model FROM completions ORDER BY ALL")
    assert stored == sorted((item["id"], item.get("seed"), item["model"]) for item in completions)
    texts = rows(
        settings,
        "SELECT message_id, content FROM messages WHERE direction = 'input' ORDER BY ALL",
    )
    assert texts == sorted(
        (name, item["content"])
        for found in recorded.messages.values()
        for name, item in found.items()
    )
    images = rows(settings, "SELECT count(*) FROM image_parts WHERE image_sha256 IS NOT NULL")
    assert images == [(json.dumps([item["messages"] for item in sent]).count('"data:image/'),)]


@pytest.mark.sample(1)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_recording_comes_out_unchanged(file: Path, tmp_path: Path) -> None:
    """Completions and messages of one session, by way of HTTP and the lake."""
    recorded = read([file])
    recorded.not_found.clear()  # waiting them out is for the test of all sessions
    check(recorded, tmp_path, page_size=7)


def test_all_recordings_together_come_out_unchanged(tmp_path: Path) -> None:
    """A store of everything that was seen, late visibility included."""
    recorded = read(FILES)
    assert sum(recorded.not_found.values()) > 5
    check(recorded, tmp_path, page_size=100)
