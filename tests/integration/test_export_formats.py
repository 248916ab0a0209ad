"""Exports to read and to copy: Markdown, HTML, images, Parquet, samples; and what all share."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
import yaml
from markdown_it import MarkdownIt

from chatlake.errors import LakeDamagedError, UsageError
from chatlake.exports.evals import export_eval
from chatlake.exports.hf import export_hf
from chatlake.exports.html import export_html
from chatlake.exports.images import export_images
from chatlake.exports.lake_copy import export_parquet
from chatlake.exports.markdown import export_markdown
from chatlake.exports.narrowing import Selection
from chatlake.lake.lake import Lake
from tests.command_line import CommandLine
from tests.export_lakes import lines_of, mixed_lake, report_of
from tests.flat import choice, completion, message
from tests.integration.test_export_raw import store

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "![x](https://evil.example/x.png) [y](javascript:alert(1))",
    "````\n# heading\n```\n<b>out</b>",
    "---\nid: other\n---",
    "turned \u202eround\u2066 \x00 \x1b[31m",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a lake of mixed completions and its configuration."""
    folder = tmp_path_factory.mktemp("formats")
    mixed_lake(folder, readers=60, plain=40)
    return folder


@pytest.fixture(scope="module")
def mixed(folder: Path) -> Lake:
    """Open that lake."""
    return Lake.open(folder / "lake")


@pytest.fixture
def hostile(tmp_path: Path) -> Lake:
    """Make a lake in which everything that people write is an attack."""
    lake = Lake.open(tmp_path / "lake", create=True)
    for number, text in enumerate(HOSTILE):
        url = "data:image/svg+xml;base64," + base64.b64encode(text.encode()).decode()
        parts = [
            {"type": "text", "text": text},
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "image_url", "image_url": {"url": f"https://evil.example/{text}"}},
        ]
        sent = completion(
            id=f"../{text}", choices=[choice(text)], metadata={text[:60]: text}, model=text
        )
        asked = message(text, parts, id=f"{number}", name=text, role=text)
        store(lake, [(json.dumps(sent), [json.dumps(asked)])])
    return lake


@pytest.mark.parametrize(
    ("name", "export"),
    [
        ("md", export_markdown),
        ("page.html", export_html),
        ("pages", export_html),
        ("pictures", export_images),
        ("copy", export_parquet),
        ("dataset", export_hf),
        ("samples.jsonl", export_eval),
    ],
)
def test_every_export_adds_up_and_gives_the_same_bytes(
    mixed: Lake, tmp_path: Path, name: str, export: Any
) -> None:
    """Selected is written plus skipped; a second export replaces the first by the same bytes."""
    report = export(mixed, tmp_path / name)
    assert report.selected == 100 == report.written + sum(report.skipped.values())
    first = report_of(tmp_path / name)
    assert first["files"] != []
    for file in first["files"]:
        place = tmp_path / name if (tmp_path / name).is_dir() else tmp_path
        data = (place / file["path"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])
    export(mixed, tmp_path / name)
    assert report_of(tmp_path / name) == first
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, f"{name}.report.json"])


@pytest.mark.parametrize(
    "export",
    [export_markdown, export_html, export_images, export_parquet, export_hf, export_eval],
)
def test_an_empty_lake_gives_an_empty_export(tmp_path: Path, export: Any) -> None:
    """Nothing selected is no error, and the report says so."""
    export(Lake.open(tmp_path / "lake", create=True), tmp_path / "out")
    report = report_of(tmp_path / "out")
    assert (report["selected"], report["written"], report["skipped"]) == (0, 0, {})


class _Tags(HTMLParser):
    """Gather what a page loads or runs."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.values: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.values += [(name, value or "") for name, value in attrs]


def test_hostile_texts_are_only_read_as_html(hostile: Lake, tmp_path: Path) -> None:
    """No tag, attribute or address comes from a text; the policy allows styles and images alone."""
    export_html(hostile, tmp_path / "pages")
    export_html(hostile, tmp_path / "page.html")
    pages = [*(tmp_path / "pages").rglob("*.html"), tmp_path / "page.html"]
    assert len(pages) == len(HOSTILE) + 2
    for page in pages:
        text = page.read_text()
        found = _Tags()
        found.feed(text)
        assert found.tags <= {
            "html", "head", "meta", "title", "style", "body", "article", "section", "h2", "h3",
            "small", "p", "span", "div", "pre", "img", "footer", "ol", "li", "a", "br",
        }  # fmt: skip
        assert not [name for name, _ in found.values if name.startswith("on")]
        links = [value for name, value in found.values if name in ("src", "href")]
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\d/[\w.-]+\.html", link) for link in links)
        assert "default-src 'none'; img-src data:; style-src 'sha256-" in text
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", text)


def test_the_styles_hash_is_that_of_the_style(mixed: Lake, tmp_path: Path) -> None:
    """The policy has the hash of the style; otherwise browsers would ignore the style."""
    export_html(mixed, tmp_path / "page.html", Selection(limit=1))
    text = (tmp_path / "page.html").read_text()
    style = text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in text


def test_hostile_texts_are_only_read_as_markdown(hostile: Lake, tmp_path: Path) -> None:
    """Headings are ours, there is no link or HTML of a text, and the front matter is YAML."""
    export_markdown(hostile, tmp_path / "md")
    pages = list((tmp_path / "md").rglob("*.md"))
    assert len(pages) == len(HOSTILE)
    ids = set()
    for page in pages:
        _, front, body = page.read_text().split("---\n", 2)
        ids.add(yaml.safe_load(front)["id"])
        kinds = {
            token.type
            for top in MarkdownIt("commonmark").parse(body)
            for token in (top, *(top.children or ()))
        }
        assert not kinds & {"html_block", "html_inline", "link_open", "image"}
        assert body.count("\n## ") + body.startswith("## ") >= 2
    assert {each.replace("\ufffd", "") for each in ids} == {f"../{text}" for text in HOSTILE}


def test_images_stand_beside_markdown(mixed: Lake, tmp_path: Path) -> None:
    """Every link of a page leads to a file whose name is its hash."""
    export_markdown(mixed, tmp_path / "md")
    links = [
        page.parent / link
        for page in (tmp_path / "md").rglob("*.md")
        for link in re.findall(r"^!\[image\]\((.+)\)$", page.read_text(), re.MULTILINE)
    ]
    assert links
    for link in links:
        assert hashlib.sha256(link.read_bytes()).hexdigest() == link.stem


def test_each_image_is_written_once_and_links_are_listed(mixed: Lake, tmp_path: Path) -> None:
    """The index has a row for each image part of the lake; a link has no file."""
    export_images(mixed, tmp_path / "pictures")
    with (tmp_path / "pictures" / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with mixed.connect() as connection:
        parts = connection.execute(
            "SELECT image_sha256, image_url FROM image_parts ORDER BY ALL"
        ).fetchall()
    found = sorted((row["sha256"], row["image_url"]) for row in rows)
    assert found == sorted((sha256 or "", url or "") for sha256, url in parts)
    files = {path.stem for path in (tmp_path / "pictures").iterdir()} - {"index"}
    assert files == {row["sha256"] for row in rows if row["file"]}
    assert any(row["image_url"].startswith("https://") and not row["file"] for row in rows)


@pytest.mark.parametrize("slice_bytes", [1, 100_000, 1 << 30])
def test_the_copy_has_the_rows_of_the_views(
    mixed: Lake, tmp_path: Path, slice_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain glob gives what the view gives for the selection, however a day was sliced."""
    monkeypatch.setattr("chatlake.exports.lake_copy._SLICE_BYTES", slice_bytes)
    where = "image_count > 0 OR model LIKE 'gpt-4.1%'"
    export_parquet(mixed, tmp_path / "copy", Selection(where=where))
    names = {
        "completions": "raw::VARCHAR, metadata, created_at, finish_reasons, source, created_date",
        "messages": "raw::VARCHAR, text, tool_calls::VARCHAR, message_index, source, created_date",
        "content_parts": "raw::VARCHAR, text, image_sha256, source, created_date",
    }
    with mixed.connect() as connection:
        chosen = f"SELECT completion_id FROM completions WHERE {where}"
        for table, columns in names.items():
            copied = f"read_parquet('{tmp_path}/copy/{table}/**/*.parquet', hive_partitioning=true)"
            rows = [
                connection.execute(f"SELECT {columns} FROM {place} ORDER BY ALL").fetchall()
                for place in (copied, f"{table} WHERE completion_id IN ({chosen})")
            ]
            assert rows[0] == rows[1] != []
            for path in (tmp_path / "copy" / table).rglob("*.parquet"):
                times = pq.read_table(path, partitioning=None)["created_at"].to_pylist()
                assert times == sorted(times)
    pictures = [
        pq.read_table(p)["sha256"] for p in (tmp_path / "copy" / "images").rglob("*.parquet")
    ]
    assert sum(map(len, pictures)) > 0


def test_the_copy_keeps_completions_without_a_time(tmp_path: Path) -> None:
    """They come first, before the first slice by time ends."""
    lake = Lake.open(tmp_path / "lake", create=True)
    sent = [completion(id=f"c-{created}", created=created) for created in (None, "soon", 5, 0)]
    store(lake, [(json.dumps(each), []) for each in sent])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chatlake.exports.lake_copy._SLICE_BYTES", 1)
        report = export_parquet(lake, tmp_path / "copy")
    (path,) = (tmp_path / "copy" / "completions").rglob("*.parquet")
    names = pq.read_table(path, partitioning=None)["completion_id"].to_pylist()
    assert names == ["c-None", "c-soon", "c-0", "c-5"]
    assert report.written == 4


def test_the_copy_has_the_types_of_the_lake(mixed: Lake, tmp_path: Path) -> None:
    """Types and descriptions of the columns are those of the lake's own files."""
    export_parquet(mixed, tmp_path / "copy")
    stored = {path.partition("/")[0]: Path(mixed.location, path) for path in mixed.state.files}
    for table in ("completions", "messages", "content_parts", "images"):
        expected = pq.read_schema(stored[table])
        (path, *_) = (tmp_path / "copy" / table).rglob("*.parquet")
        schema = pq.read_schema(path)
        assert set(expected.names) - set(schema.names) <= {"digest"}
        for field in schema:
            assert field.equals(expected.field(field.name), check_metadata=True)


def test_a_damaged_file_is_not_copied(tmp_path: Path) -> None:
    """An altered file ends the export, names the file, and leaves nothing."""
    lake = Lake.open(tmp_path / "lake", create=True)
    store(lake, [(json.dumps(completion(id="c")), [json.dumps(message("Hi", id="m"))])])
    (name,) = [path for path in lake.state.files if path.startswith("messages/")]
    data = bytearray((tmp_path / "lake" / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "lake" / name).write_bytes(data)
    with pytest.raises(LakeDamagedError, match=name):
        export_parquet(lake, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["lake"]


def test_promptfoo_gets_its_input_as_text(mixed: Lake, tmp_path: Path) -> None:
    """A list would become a test for each of its items."""
    export_eval(mixed, tmp_path / "tests.jsonl", program="promptfoo")
    for line in lines_of(tmp_path / "tests.jsonl"):
        assert set(line["vars"]) == {"id", "input", "target"}
        assert all(isinstance(value, str) for value in line["vars"].values())
        assert json.loads(line["vars"]["input"])[-1]["role"] in ("user", "tool", "assistant")


def test_a_folder_of_something_else_is_left_alone(mixed: Lake, tmp_path: Path) -> None:
    """A file that is not a chatlake export is not replaced."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="not a chatlake export"):
        export_markdown(mixed, tmp_path / "mine")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "thesis.txt"]


def _ids(mixed: Lake, tmp_path: Path, **options: Any) -> list[str]:
    export_parquet(mixed, tmp_path / "copy", Selection(**options))
    place = f"{tmp_path}/copy/completions/**/*.parquet"
    query = f"SELECT completion_id FROM '{place}' ORDER BY created_at, source, completion_id"
    return [name for (name,) in duckdb.sql(query).fetchall()]


def test_a_selection_can_be_narrowed(mixed: Lake, tmp_path: Path) -> None:
    """By time, by source, to the oldest, and to a sample that a larger one contains."""
    with mixed.connect() as connection:
        rows = connection.execute(
            "SELECT completion_id, source, created_at FROM completions "
            "ORDER BY created_at, source, completion_id"
        ).fetchall()
    everything = [name for name, *_ in rows]
    middle = rows[50][2]
    assert _ids(mixed, tmp_path) == everything
    later = [name for name, _, time in rows if time >= middle]
    assert _ids(mixed, tmp_path, since=middle.isoformat()) == later
    assert _ids(mixed, tmp_path, until=middle.isoformat()) == everything[: -len(later)]
    assert _ids(mixed, tmp_path, limit=7) == everything[:7]
    plain = [name for name, source, _ in rows if source == "plain"]
    assert _ids(mixed, tmp_path, sources=("plain",)) == plain
    small = _ids(mixed, tmp_path, sample=0.2, seed=3)
    large = _ids(mixed, tmp_path, sample=0.5, seed=3)
    assert 8 < len(small) < 32
    assert set(small) < set(large) < set(everything)
    assert _ids(mixed, tmp_path, sample=1.0) == everything
    assert small != _ids(mixed, tmp_path, sample=0.2, seed=4)


def test_every_export_takes_the_same_selection(mixed: Lake, tmp_path: Path) -> None:
    """A sample, or the first of one source, is the same whatever the export reads of it."""
    selections: list[dict[str, Any]] = [
        {"sample": 0.3, "seed": 3},
        {"sources": ("plain",), "limit": 9},
    ]
    for options in selections:
        selected = len(_ids(mixed, tmp_path, **options))
        export_images(mixed, tmp_path / "x", Selection(**options))
        export_eval(mixed, tmp_path / "x.jsonl", Selection(**options))
        assert 5 < report_of(tmp_path / "x")["selected"] == selected < 60
        assert report_of(tmp_path / "x.jsonl")["selected"] == selected


def test_the_command_reports_and_is_strict(folder: Path, chatlake: CommandLine) -> None:
    """JSON alone on standard output, and 3 where something was skipped and nothing was to be."""
    config = str(folder / "chatlake.yaml")
    done = chatlake("export", "images", "--config", config, "--output", "pictures", "--json")
    assert done.code == 0
    document = json.loads(done.out)
    assert document["selected"] == document["written"] + sum(document["skipped"].values()) == 100
    strict = chatlake("export", "images", "--config", config, "--output", "pictures", "--strict")
    assert strict.code == 3
    assert "skipped, with --strict" in strict.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["raw", "--where", "modle = 'x'"], "--where \"modle = 'x'\": Binder Error"),
        (["markdown", "--since", "lately"], "--since is 'lately'"),
        (["html", "--sample", "2"], "--sample is 2"),
        (["images", "--source", "nobody"], "there is no such source"),
        (["finetune", "--keep", "all"], "--keep is 'all'"),
        (["finetune", "--group-by", "metadata.x"], "--group-by needs --split"),
        (["hf", "--style", "chat"], "--style is 'chat'"),
        (["eval", "--for", "nobody"], "--for is 'nobody'"),
    ],
)
def test_wrong_options_are_named(
    folder: Path, chatlake: CommandLine, words: list[str], text: str, tmp_path: Path
) -> None:
    """Exit 2, what is wrong, and nothing written."""
    config = str(folder / "chatlake.yaml")
    done = chatlake("export", *words, "--config", config, "--output", "out")
    assert done.code == 2
    assert text in done.err
    assert len(done.err.splitlines()) <= 2
    assert list(tmp_path.iterdir()) == []
