"""Write a lake to read in: `python -m bench.reading_lake FOLDER --completions 200000 --days 60`.

The objects are made here as the API would send them, with messages of about 720 characters, and
chatlake's own code flattens, writes and commits them: files, types and indexes are those of a
backup. One word, `zanzibar`, is in about one of 20,000 completions, for a search that finds little.
Prints how many rows there are.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from typing import Any, Final

from chatlake.backup.rows import RowBuffer
from chatlake.lake import Lake
from chatlake.model.flatten import Observation, flatten
from chatlake.model.manifest import Manifest, SourceRun, format_time
from chatlake.model.objects import read_completion
from chatlake.model.pages import read_message_page
from chatlake.model.partitions import Partition
from chatlake.model.tables import MESSAGES
from chatlake.simulator.pictures import logo

RARE: Final = "zanzibar"
_RARE_SHARE: Final = 1 / 20_000
_CONTINUED_SHARE: Final = 0.15
_SENTENCES: Final = 60_000
_SENTENCES_A_MESSAGE: Final = 9  # of about 80 characters
_MODELS: Final = (
    "gpt-4o-mini-2024-07-18",
    "gpt-4.1-2025-04-14",
    "gpt-5-mini-2025-08-07",
    "o4-mini",
)
_TEAMS: Final = ("support", "search", "billing", "research")
_SYLLABLES: Final = ("ta", "ren", "mo", "li", "sor", "ka", "ve", "din", "pa", "ul", "est", "or")


class Writer:
    """Makes completions and their messages; the same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - no secret
        words = ["".join(self._dice.choices(_SYLLABLES, k=1 + n % 4)) for n in range(6_000)]
        weights = list(accumulate(1 / (rank + 3) for rank in range(len(words))))
        self._sentences = [
            " ".join(self._dice.choices(words, cum_weights=weights, k=14)).capitalize() + "."
            for _ in range(_SENTENCES)
        ]
        self._turns: list[list[dict[str, Any]]] = []

    def text(self) -> str:
        """Return a message's text, of paragraphs."""
        sentences = self._dice.choices(self._sentences, k=self._dice.randint(1, 17))
        middle = len(sentences) // 2
        return " ".join(sentences[:middle]) + "\n\n" + " ".join(sentences[middle:])

    def conversation(self, name: str, created: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return a completion and its messages as the API would send them."""
        dice = self._dice
        messages: list[dict[str, Any]] = []
        if self._turns and dice.random() < _CONTINUED_SHARE:
            messages += [dict(message) for message in self._turns.pop()]
        elif dice.random() < 0.6:
            messages.append({"role": "system", "content": dice.choice(self._sentences)})
        for _ in range(dice.choice((0, 0, 0, 1, 1, 2))):
            messages += ({"role": "user", "content": self.text()},
                         {"role": "assistant", "content": self.text()})  # fmt: skip
        question = self.text()
        if dice.random() < _RARE_SHARE:
            question += f" {RARE.capitalize()} is what this asks about."
        messages.append({"role": "user", "content": question})
        if dice.random() < 0.03:
            url = "data:image/png;base64," + base64.b64encode(logo(dice.randrange(8))).decode()
            messages[-1]["content_parts"] = [
                {"type": "text", "text": question},
                {"type": "image_url", "image_url": {"url": url, "detail": "auto"}},
            ]
        calls = dice.random() < 0.1
        reply: dict[str, Any] = {"role": "assistant", "content": None if calls else self.text()}
        if calls:
            function = {
                "name": dice.choice(("find_order", "get_weather")),
                "arguments": '{"id": 7}',
            }
            reply["tool_calls"] = [{"id": f"call-{name}", "type": "function", "function": function}]
        elif dice.random() < 0.01:
            reply |= {"content": None, "refusal": "I cannot help with that."}
        self._turns = [*self._turns[-20:], [*messages, reply]]
        for number, message in enumerate(messages):
            message["id"] = f"{name}-{number}"
        sizes = dice.randint(200, 2_000), dice.randint(50, 700)
        return {
            "id": name,
            "object": "chat.completion",
            "created": created,
            "model": dice.choice(_MODELS),
            "metadata": {"team": dice.choice(_TEAMS), "ticket": str(dice.randrange(10_000))},
            "usage": {"prompt_tokens": sizes[0], "completion_tokens": sizes[1],
                      "total_tokens": sum(sizes)},
            "choices": [{"index": 0, "message": reply,
                         "finish_reason": "tool_calls" if calls else
                         "length" if dice.random() < 0.02 else "stop"}],
        }, messages  # fmt: skip


def completions_of(writer: Writer, day: date, count: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the bodies of a day's completions and of their messages, oldest first."""
    began = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    for number in range(count):
        name = f"chatcmpl-{day:%Y%m%d}{number:06d}"
        completion, messages = writer.conversation(name, began + number * 86_400 // count)
        page = {"object": "list", "data": messages, "has_more": False,
                "first_id": messages[0]["id"], "last_id": messages[-1]["id"]}  # fmt: skip
        yield json.dumps(completion).encode(), json.dumps(page).encode()


def write_day(lake: Lake, writer: Writer, day: date, count: int) -> Manifest:
    """Write a day's files and return the commit that lists them."""
    partition, rows = Partition("openai", day.isoformat()), RowBuffer(keep_images=True)
    seen = datetime(day.year, day.month, day.day, 23, tzinfo=UTC)
    seen_at = int(seen.timestamp()) * 1_000_000
    run = SourceRun(run_id=f"run-{day}", source="openai", status="complete", mode="incremental",
                    started_at=format_time(seen), finished_at=format_time(seen), seconds=60.0,
                    listed=count, new=count)  # fmt: skip
    for completion, page in completions_of(writer, day, count):
        messages = read_message_page(page).items
        observed = Observation(run.run_id, seen_at, seen_at)
        rows.add(partition, flatten(read_completion(completion), messages, observed))
    added = lake.write_parts(rows.columns())
    run.messages = sum(file.rows for file in added if file.table == MESSAGES)
    return Manifest(run_id=run.run_id, added=added, runs=[run])


def main() -> None:
    """Write days that end today, a commit each."""
    parser = argparse.ArgumentParser(description="A lake to read in")
    parser.add_argument("folder")
    parser.add_argument("--completions", type=int, default=50_000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    lake, writer = Lake.open(given.folder, create=True), Writer(given.seed)
    first = datetime.now(UTC).date() - timedelta(days=given.days - 1)
    rows = Counter[str]()
    with lake.lock("bench"):
        for number in range(given.days):
            day = first + timedelta(days=number)
            manifest = write_day(lake, writer, day, given.completions // given.days)
            lake.commit(manifest)
            for file in manifest.added:
                rows[file.table] += file.rows
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
