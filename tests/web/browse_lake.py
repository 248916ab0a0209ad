"""A lake of four conversations, one of them hostile, a gap and a failed run: for `browse`."""

from __future__ import annotations

import base64
from pathlib import Path

from chatlake.lake import Lake
from chatlake.model.manifest import Failure, Manifest, SourceRun, format_time
from chatlake.simulator.pictures import logo
from tests.reading_lake import SEEN, completion, reply, store

HOSTILE = (
    "<script>alert(1)</script> [go](javascript:alert(1)) ![x](https://tracker.example/x.png) "
    "<img src=x onerror=alert(1)> \u202egnp.exe"
)
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


def _image(data: bytes, media_type: str) -> dict[str, object]:
    url = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def lake_to_browse(folder: Path) -> Lake:
    """Make the lake in an empty folder."""
    lake = Lake.open(folder, create=True)
    call = {"id": "call-1", "type": "function",
            "function": {"name": "find_order", "arguments": '{"number": 7}'}}  # fmt: skip
    first = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello there"}]
    parts = [{"type": "text", "text": "Two pictures"}, _image(logo(1), "image/png"),
             _image(SVG, "image/svg+xml")]  # fmt: skip
    store(
        lake,
        [
            (completion("chatcmpl-first", "2026-02-01T10:00", reply("Good day.")), first),
            (completion("chatcmpl-second", "2026-02-01T11:00"),
             [*first, {"role": "assistant", "content": "Good day."},
              {"role": "user", "content": "And now?"},
              {"role": "assistant", "content": None, "tool_calls": [call]},
              {"role": "tool", "tool_call_id": "call-1", "content": "shipped"}]),
            (completion("chatcmpl-hostile/../x", "2026-02-02T10:00", reply(HOSTILE),
                        metadata={"<b>": "\"'><script>"}),
             [{"role": "user", "content": HOSTILE}, {"role": "user", "content": "x" * 5_000_000}]),
            (completion("chatcmpl-images", "2026-02-03T10:00"),
             [{"role": "user", "content": "Two pictures", "content_parts": parts}]),
        ],
        failures=[Failure(source="openai", completion_id="chatcmpl-gap", reason="not_found",
                          detail="<i>gone</i>")],
    )  # fmt: skip
    failed = SourceRun(run_id="run-2", source="a-source-" + "x" * 60, status="failed", mode="full",
                       started_at=format_time(SEEN), finished_at=format_time(SEEN), seconds=9.5,
                       error=f"the source cannot be reached: {HOSTILE} " + "and so on " * 40)  # fmt: skip
    with lake.lock():
        lake.commit(Manifest(run_id="run-2", runs=[failed]))
    return lake
