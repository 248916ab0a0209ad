"""Take the README's screenshots in Chromium: `make screenshots`.

A simulator stands in for the service, with the conversations of its mix `readers`. chatlake backs
them up, verifies the lake, and writes its report. Then Chromium opens the report and the pages of
`chatlake browse`. What the pictures show follows from the seed, but for dates and times.

It needs Debian's packages `chromium` and `chromium-driver`.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from selenium import webdriver

from chatlake.bootstrap.opened import open_lake
from chatlake.config import load_settings
from chatlake.simulator import Faults, Scenario, running
from chatlake.web.browse.server import BrowseServer

FOLDER = Path(__file__).resolve().parent
SIZE = (1080, 720)
MOST_BYTES = 150_000
DAYS = 24
COMPLETIONS = 1_500
SHOWN_LAKE = "/srv/chatlake/lake"
_CONFIG = """\
version: 1
lake: lake
sources:
  - {{name: openai, base_url: "{url}", api_key: "${{CHATLAKE_SHOT_KEY}}"}}
"""
# A short one with a call and its result.
_CONVERSATION = """
SELECT source, created_date::VARCHAR, completion_id
FROM tool_calls JOIN completions USING (source, created_date, completion_id)
WHERE direction = 'input' AND answered AND tool_name = 'lookup_order' AND message_count < 8
    AND length(raw::VARCHAR) < 3000
    AND completion_id IN (
        SELECT completion_id FROM messages WHERE role = 'user' AND text LIKE '%Where is my order%')
ORDER BY completion_id
LIMIT 1
"""
_HIDE_PLACE = """
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const text = walk.currentNode;
  text.data = text.data.replaceAll(arguments[0], arguments[1]);
}
"""


def main() -> int:
    """Write the pictures; returns 1 with a line on standard error if one is too large."""
    program, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if program is None or driver is None:
        print("screenshots: Debian's chromium and chromium-driver are needed", file=sys.stderr)
        return 1
    os.environ["CHATLAKE_SHOT_KEY"] = "any"
    too_large = []
    with (
        tempfile.TemporaryDirectory(prefix="chatlake-") as folder,
        _chromium(program, driver) as take,
    ):
        place = Path(folder)
        _back_up(place)
        settings = load_settings(place / "chatlake.yaml")
        lake = open_lake(settings)
        with lake.connect() as connection:
            ((source, day, name),) = connection.execute(_CONVERSATION).fetchall()
        server = BrowseServer(lake, 0)
        with server.running():
            take(server.address, None)
            pages = {
                "report": (place / "report.html").as_uri(),
                "browse-list": f"{server.base_url}/?q=order",
                "browse-conversation": f"{server.base_url}/c/{source}/{day}/{quote(name)}",
            }
            for title, address in pages.items():
                picture = smaller(take(address, lake.location))
                (FOLDER / f"{title}.png").write_bytes(picture)
                print(f"docs/{title}.png  {len(picture) / 1000:.0f} kB")
                too_large += [title] if len(picture) > MOST_BYTES else []
    if too_large:
        print(f"screenshots: larger than {MOST_BYTES} bytes: {too_large}", file=sys.stderr)
    return 1 if too_large else 0


def _back_up(place: Path) -> None:
    """Make a lake in a folder, verify it, and write its report beside."""
    now = int(time.time()) // 86_400 * 86_400 - 1
    scenario = Scenario(completions=COMPLETIONS, seed=7, days=DAYS, now=now, mix="readers")
    with running(scenario, Faults()) as source:
        (place / "chatlake.yaml").write_text(_CONFIG.format(url=source.base_url), encoding="utf-8")
        for words in (["backup"], ["verify"], ["report", "--output", "report.html"]):
            command = [sys.executable, "-m", "chatlake", *words]
            subprocess.run(command, cwd=place, check=True, stdout=subprocess.DEVNULL)  # noqa: S603


@contextmanager
def _chromium(program: str, driver: str) -> Iterator[Callable[[str, str | None], bytes]]:
    """Start Chromium, light and without a window; yields what opens an address and takes a picture.

    The second argument is the lake's place, which the picture does not show.
    """
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for word in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{word}")
    options.add_argument("--hide-scrollbars")
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        width, height = SIZE
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        light = [{"name": "prefers-color-scheme", "value": "light"}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": light})

        def take(address: str, location: str | None) -> bytes:
            browser.get(address)
            if location is not None:
                browser.execute_script(_HIDE_PLACE, location, SHOWN_LAKE)
            return bytes(browser.get_screenshot_as_png())

        yield take
    finally:
        browser.quit()


def smaller(png: bytes) -> bytes:
    """Return the same picture, compressed as well as zlib can: Chromium's own is quick instead."""
    signature, rest = png[:8], png[8:]
    chunks: list[tuple[bytes, bytes]] = []
    while rest:
        (length,) = struct.unpack(">I", rest[:4])
        chunks.append((rest[4:8], rest[8 : 8 + length]))
        rest = rest[12 + length :]
    pixels = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    packed = zlib.compress(pixels, 9)
    kept = [chunk for chunk in chunks if chunk[0] in (b"IHDR", b"IEND")]
    kept.insert(1, (b"IDAT", packed))
    return signature + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in kept
    )


if __name__ == "__main__":
    sys.exit(main())
