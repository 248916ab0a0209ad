"""The script that a user would write: the openai client, 32 requests at once, then Parquet."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from openai import AsyncOpenAI, DefaultAioHttpClient


async def main() -> None:
    """Fetch everything into memory, then write two files."""
    parser = argparse.ArgumentParser(description="Stored completions to Parquet with openai")
    parser.add_argument("base_url")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    at_once = asyncio.Semaphore(32)
    completions: list[dict[str, Any]] = []
    messages: list[dict[str, Any]] = []
    async with AsyncOpenAI(
        api_key="bench", base_url=given.base_url, http_client=DefaultAioHttpClient()
    ) as client:

        async def fetch(completion_id: str) -> None:
            async with at_once:
                pages = client.chat.completions.messages.list(completion_id, limit=100, order="asc")
                async for message in pages:
                    found = message.to_dict()
                    parts = found.get("content_parts")
                    messages.append(
                        {
                            "completion_id": completion_id,
                            "message_id": found["id"],
                            "role": found["role"],
                            "content": found["content"],
                            "content_parts": json.dumps(parts) if parts else None,
                        }
                    )

        async with asyncio.TaskGroup() as group:
            async for completion in client.chat.completions.list(limit=100, order="asc"):
                completions.append({"id": completion.id, "raw": completion.to_json(indent=None)})
                group.create_task(fetch(completion.id))
    for name, rows in (("completions", completions), ("messages", messages)):
        (given.folder / name).mkdir(parents=True)
        table = pa.Table.from_pylist(rows)
        pq.write_table(table, given.folder / name / "all.parquet", compression="zstd")
    print(json.dumps({"folder": "."}))


if __name__ == "__main__":
    asyncio.run(main())
