"""Reading a lake in a bucket: at the terminal, in the browser, by report and exports."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import pytest

from chatlake.lake.lake import Lake
from chatlake.simulator import Running, Scenario, running
from chatlake.web.browse.server import BrowseServer
from tests.command_line import CommandLine
from tests.moto_server import S3Server
from tests.support import NOW, backup, in_bucket, write_config

COUNT = 20
FORMATS = {
    "raw": "out.jsonl",
    "finetune": "tune.jsonl",
    "hf": "dataset",
    "eval": "samples.jsonl",
    "markdown": "notes",
    "html": "page.html",
    "images": "pictures",
    "parquet": "copy",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """Serve a few completions with images."""
    with running(Scenario(completions=COUNT, seed=8, now=NOW, image_share=0.2)) as server:
        yield server


def stored(server: Running, folder: Path, lake: str) -> Lake:
    """Back up into the bucket, and return the lake."""
    backup(in_bucket(write_config(folder, server.base_url), lake))
    return Lake.open(lake)


def check_reading(
    chatlake: CommandLine, lake: Lake, tmp_path: Path, formats: Iterable[str] = FORMATS
) -> None:
    """Run every command that reads, and look at what it gives."""
    with lake.connect() as connection:
        ((name, text),) = connection.sql(
            "SELECT completion_id, text FROM messages WHERE length(text) > 20 AND role = 'user' "
            "ORDER BY ALL LIMIT 1"
        ).fetchall()
    shown = chatlake("show", name)
    assert (shown.code, shown.err) == (0, "")
    assert text.split()[0] in shown.out
    found = chatlake("search", text.split()[0], "--json")
    assert found.code == 0, found.err
    assert name in found.out
    for words in (["ask", "keys"], ["runs"], ["failures"], ["files", "messages"]):
        done = chatlake(*words)
        assert done.code == 0, done.err
    reported = chatlake("report", "--output", "report.html")
    assert reported.code == 0, reported.err
    assert lake.location in (tmp_path / "report.html").read_text()
    for name in formats:
        output = FORMATS[name]
        done = chatlake("export", name, "--output", output)
        assert done.code == 0, done.err
        report = json.loads((tmp_path / f"{output}.report.json").read_text())
        assert report["selected"] == COUNT == report["written"] + sum(report["skipped"].values())
        assert report["written"] > 0


def check_browsing(lake: Lake) -> None:
    """Open the list, a conversation, an image, and the ledger's pages."""
    with lake.connect() as connection:
        source, day, name = connection.sql(
            "SELECT source, created_date::VARCHAR, completion_id FROM completions "
            "WHERE image_count > 0 ORDER BY ALL LIMIT 1"
        ).fetchall()[0]
    browse = BrowseServer(lake, 0)
    with (
        browse.running(),
        httpx.Client(base_url=browse.base_url, follow_redirects=True, trust_env=False) as client,
    ):
        assert name in client.get(browse.address).text
        for path in (f"/c/{source}/{day}/{name}", "/runs", "/gaps", "/usage", "/?q=the"):
            assert client.get(path).status_code == 200, path
        page = client.get(f"/c/{source}/{day}/{name}").text
        image = page.partition('src="/image/')[2].partition('"')[0]
        assert client.get(f"/image/{image}").headers["content-type"].startswith("image/")


@pytest.mark.slow
def test_everything_reads_a_bucket_and_writes_nothing_there(
    chatlake: CommandLine, server: Running, s3: S3Server, s3_lake: str, tmp_path: Path
) -> None:
    """Terminal, pages, images and each format give what they give of a folder; requests only read."""
    lake = stored(server, tmp_path, s3_lake)
    s3.requests.clear()
    check_browsing(lake)
    check_reading(chatlake, lake, tmp_path)
    assert {method for method, _ in s3.requests} == {"GET", "HEAD"}


@pytest.mark.slow
@pytest.mark.parametrize("fixture", ["gs_lake", "az_lake"])
def test_other_clouds_are_read(
    fixture: str,
    chatlake: CommandLine,
    request: pytest.FixtureRequest,
    server: Running,
    tmp_path: Path,
) -> None:
    """The same for the stores of Google and Azure, with half of the exports each."""
    formats = sorted(FORMATS)
    half = formats[::2] if fixture == "gs_lake" else formats[1::2]
    lake = stored(server, tmp_path, str(request.getfixturevalue(fixture)))
    check_reading(chatlake, lake, tmp_path, half)
    check_browsing(lake)
