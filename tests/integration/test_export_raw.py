"""`export raw`: what comes out is what the API sent, whole files or none."""

from __future__ import annotations

import base64
import json
import os
import stat
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from chatlake.backup.rows import RowBuffer
from chatlake.bootstrap.backup import open_lake
from chatlake.errors import ChatlakeError, LakeDamagedError, UsageError
from chatlake.exports import conversations
from chatlake.exports.raw import RawExportReport, export_raw
from chatlake.lake.lake import Lake
from chatlake.model.flatten import flatten
from chatlake.model.manifest import Manifest
from chatlake.model.objects import read_completion
from chatlake.model.pages import read_message_page
from chatlake.model.partitions import Partition
from chatlake.simulator import Scenario, running
from tests.flat import CREATED, SEEN, choice, completion, exact, image, message, page_of
from tests.support import NOW, backup, settings_for

URL = "data:image/png;base64," + base64.b64encode(bytes(range(200))).decode()

Sent = tuple[str, list[str] | None]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Make a lake without anything in it."""
    return Lake.open(tmp_path / "lake", create=True)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Make a lake with a few completions of two sources; tests only read it."""
    lake = Lake.open(tmp_path_factory.mktemp("shared") / "lake", create=True)
    store(lake, [talk("a"), talk("b", CREATED + 1), talk("c", metadata={"k": "v"})])
    store(lake, [talk("d", CREATED + 2)], source="azure")
    return lake


def store(
    lake: Lake, sent: Iterable[Sent], *, source: str = "openai", keep_images: bool = True
) -> None:
    """Commit completions with their messages, given as JSON texts, as the backup does.

    Without the lock, at whose end the catalogue would be built: the first reader builds it.
    """
    buffer = RowBuffer(keep_images=keep_images)
    for text, messages in sent:
        found = read_completion(text.encode())
        items = None if messages is None else read_message_page(page_of(messages)).items
        buffer.add(Partition.of(source, found.created), flatten(found, items, SEEN))
    lake.commit(Manifest(run_id="test", added=lake.write_parts(buffer.columns())))


def talk(name: str, created: int | None = CREATED, **fields: Any) -> Sent:
    """Return a completion with one message, as JSON texts."""
    sent = completion(id=name, created=created, **fields)
    return json.dumps(sent), [json.dumps(message(f"Hi, {name}", id=f"{name}-0"))]


def exported(lake: Lake, path: Path, **options: Any) -> list[Any]:
    """Export to a file; return its lines parsed."""
    export_raw(lake, path, **options)
    return [exact(line) for line in path.read_bytes().split(b"\n")[:-1]]


def names(lines: Iterable[Any]) -> list[str]:
    """Return the ids of the completions."""
    return [line["completion"]["id"] for line in lines]


def expected(sent: Iterable[Sent]) -> list[Any]:
    """Return what should come out."""
    return [
        {"completion": exact(text), "messages": None if items is None else [*map(exact, items)]}
        for text, items in sent
    ]


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(completions=250, seed=5, now=NOW, odd_text=True, image_share=0.2),
        Scenario(completions=150, seed=6, now=NOW, odd_text=True, repeat_reply=True),
        Scenario(completions=150, seed=7, now=NOW, ogx=True, image_share=0.2),
    ],
    ids=["openai", "repeated-reply", "ogx"],
)
def test_a_backup_comes_out_as_the_api_sent_it(scenario: Scenario, tmp_path: Path) -> None:
    """Every completion and message, value by value, oldest first, by way of HTTP and the lake."""
    with running(scenario) as server:
        settings = settings_for(tmp_path, server.base_url)
        assert backup(settings).status == "complete"
        truth = [exact(record) for record in server.simulator.world.truth()]
    path = tmp_path / "out.jsonl"
    report = export_raw(open_lake(settings), path)
    lines = [exact(line) for line in path.read_bytes().split(b"\n")[:-1]]
    assert report == RawExportReport(len(truth), 0, path.stat().st_size, 0)
    assert lines == sorted(truth, key=lambda item: (item["completion"]["created"], names([item])))


def test_odd_values_come_out_as_they_were_sent(lake: Lake, tmp_path: Path) -> None:
    """Lone surrogates, boundless numbers, look-alike references, images, repeated replies."""
    odd = json.dumps(
        completion(
            choices=[choice("@"), choice([image(URL)], 1)], metadata={"@": "chatlake-image:"}
        )
    )
    repeated = message("@", number=9, role="assistant")
    first = message("@", [image(URL), image("chatlake-image:" + "0" * 64 + ";")], extra="#")
    texts = [
        text.replace("@", r"\ud83d \ud83d\ude00 \\ud83d \u0000").replace('"#"', "1e400")
        for text in (odd, json.dumps(first), json.dumps(repeated))
    ]
    sent: list[Sent] = [(texts[0], texts[1:])]
    store(lake, sent)
    assert exported(lake, tmp_path / "out.jsonl") == expected(sent)


def test_a_long_conversation_comes_out_in_order(lake: Lake, tmp_path: Path) -> None:
    """Hundreds of messages, by their position and not by their ids."""
    messages = [json.dumps(message(f"{n} {URL}", number=n)) for n in range(650)]
    sent: list[Sent] = [(json.dumps(completion()), messages)]
    store(lake, sent)
    assert exported(lake, tmp_path / "out.jsonl") == expected(sent)


def test_a_completion_is_one_line_however_it_was_sent(lake: Lake, tmp_path: Path) -> None:
    """Line breaks between tokens are not kept; those in strings are escapes and stay."""
    sent: list[Sent] = [
        (
            json.dumps(completion(choices=[choice("a\r\nb")]), indent=2).replace("\n", "\r\n"),
            [json.dumps(message("c\nd"), indent="\t")],
        )
    ]
    store(lake, sent)
    assert exported(lake, tmp_path / "out.jsonl") == expected(sent)


def test_missing_messages_are_null_and_none_is_a_list(lake: Lake, tmp_path: Path) -> None:
    """A gap is not taken for an empty conversation, and is counted."""
    sent: list[Sent] = [
        (json.dumps(completion(id="a")), None),
        (json.dumps(completion(id="b")), []),
        (json.dumps(completion(id="c", choices=None)), []),
        (json.dumps(completion(id="d", choices=None)), None),
    ]
    store(lake, sent)
    path = tmp_path / "out.jsonl"
    assert exported(lake, path) == expected(sent)
    assert export_raw(lake, path).without_messages == 2


def test_the_order_is_by_creation_then_source_then_id(lake: Lake, tmp_path: Path) -> None:
    """Over sources, days and files, whatever the order of storing; the unknown time comes first."""
    day = 86_400
    store(lake, [talk("b", CREATED + day), talk("z"), talk("y", CREATED - 1)])
    store(lake, [talk("a", CREATED + 1), talk("x"), talk("nil", None)], source="azure")
    store(lake, [talk("c"), talk("a", CREATED - 3 * day)])
    lines = exported(lake, tmp_path / "out.jsonl")
    assert names(lines) == ["nil", "a", "y", "x", "c", "z", "a", "b"]


def test_slices_of_a_day_join_without_a_seam(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large day is read in many slices; the output is the same."""
    sent = [talk(f"c{n:03}", CREATED + n // 7) for n in range(60)]
    store(lake, [*sent[::2], talk("nil", None)])
    store(lake, sent[1::2])
    whole = exported(lake, tmp_path / "whole.jsonl")
    for size in (1, 5_000, 20_000):
        monkeypatch.setattr(conversations, "_SLICE_BYTES", size)
        assert exported(lake, tmp_path / "sliced.jsonl") == whole
    assert names(whole) == ["nil", *names(expected(sent))]


def test_deleted_completions_are_exported_too(lake: Lake, tmp_path: Path) -> None:
    """What vanished at the source stays readable."""
    found = read_completion(talk("gone")[0].encode())
    flat = flatten(found, [], SEEN)
    flat.completion = tuple(SEEN.synced_at if n == 27 else v for n, v in enumerate(flat.completion))
    buffer = RowBuffer(keep_images=True)
    buffer.add(Partition.of("openai", found.created), flat)
    with lake.lock("test"):
        lake.commit(Manifest(added=lake.write_parts(buffer.columns())))
    assert names(exported(lake, tmp_path / "out.jsonl", where="deleted_at IS NOT NULL")) == ["gone"]


def test_images_that_were_not_stored_are_counted(lake: Lake, tmp_path: Path) -> None:
    """With `images: reference` the reference stays, and the report says how many."""
    text, _ = talk("a")
    store(lake, [(text, [json.dumps(message("", [image(URL), image(URL)]))])], keep_images=False)
    path = tmp_path / "out.jsonl"
    assert export_raw(lake, path).missing_images == 2
    url = json.loads(path.read_text())["messages"][0]["content_parts"][1]["image_url"]["url"]
    assert url.startswith("chatlake-image:")


def test_images_are_found_in_their_own_source_and_day(lake: Lake, tmp_path: Path) -> None:
    """The same image is stored in each partition, and read from it."""
    for source, days in (("a", 0), ("b", 0), ("a", 1), ("b", 2)):
        text, _ = talk(f"{source}{days}", CREATED + days * 86_400)
        store(lake, [(text, [json.dumps(message("", [image(URL)]))])], source=source)
    report = export_raw(lake, tmp_path / "out.jsonl")
    assert (report.completions, report.missing_images) == (4, 0)
    assert (tmp_path / "out.jsonl").read_text().count(URL) == 4


@pytest.mark.sample(4)
@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"where": "completion_id IN ('b', 'c') -- and nothing else"}, ["b", "c"]),
        ({"where": f"created_at > to_timestamp({CREATED})"}, ["b", "d"]),
        ({"where": "metadata['k'] = 'v' OR completion_id = 'd'"}, ["c", "d"]),
        ({"where": "completion_id IN (SELECT completion_id FROM messages WHERE text LIKE '%, a')"},
         ["a"]),
        ({"where": "NULL"}, []),
        ({"sources": ["openai"]}, ["a", "b", "c"]),
        ({"sources": ["azure", "openai"]}, ["a", "c", "b", "d"]),
        ({"sources": ["it's none"]}, []),
        ({"sources": []}, []),
        ({"sources": ["azure"], "where": "true"}, ["d"]),
    ],
)  # fmt: skip
def test_a_selection_is_exported(
    shared: Lake, tmp_path: Path, options: dict[str, Any], found: list[str]
) -> None:
    """`where` is a condition on the view, `sources` names sources; both must hold."""
    lines = exported(shared, tmp_path / "out.jsonl", **options)
    assert sorted(names(lines)) == sorted(found)
    assert all(len(line["messages"]) == 1 for line in lines)


@pytest.mark.sample(4)
@pytest.mark.parametrize(
    "where",
    [
        "",
        "model =",
        "true; DROP VIEW completions",
        "true) OR (true",
        "true) UNION SELECT 1, 2, 3 --",
        "true, false",
        "nowhere = 1",
        "model",
        "*",
        "count(*) > 1",
        "model = $1",
        "/* open",
        "SELECT true",
    ],
)
def test_a_bad_condition_is_a_usage_error(shared: Lake, tmp_path: Path, where: str) -> None:
    """It must be one expression; nothing is written, and the message shows no SQL but the user's."""
    with pytest.raises(UsageError) as caught:
        export_raw(shared, tmp_path / "out.jsonl", where=where)
    assert caught.value.message.startswith(f"--where {where!r}: ")
    assert "selected" not in caught.value.message
    assert list(tmp_path.iterdir()) == []
    assert export_raw(shared, tmp_path / "out.jsonl").completions == 4


@pytest.mark.parametrize("output", [None, "-"])
def test_standard_output_gets_the_lines_and_nothing_else(
    shared: Lake, output: str | None, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Only the lines go there, so they can be piped on; the stream stays open."""
    report = export_raw(shared, output)
    written, errors = capfdbinary.readouterr()
    assert names(exact(line) for line in written.split(b"\n")[:-1]) == ["a", "c", "b", "d"]
    assert (report.bytes, errors) == (len(written), b"")


def test_an_empty_lake_gives_an_empty_file(lake: Lake, tmp_path: Path) -> None:
    """Without completions there are no lines."""
    assert export_raw(lake, tmp_path / "out.jsonl") == RawExportReport()
    assert (tmp_path / "out.jsonl").read_bytes() == b""


def test_a_file_appears_whole_or_not_at_all(lake: Lake, tmp_path: Path) -> None:
    """When the lake turns out to be damaged half way, an older export stays as it was."""
    store(lake, [talk("a", CREATED - 86_400)])
    store(lake, [talk("b")])
    path = tmp_path / "out.jsonl"
    export_raw(lake, path)
    before = path.read_bytes()
    newest = lake.state.partitions("openai")[-1]
    for file in lake.state.partition_files(newest, "messages"):
        Path(lake.location, file.path).write_bytes(b"PAR1 and nothing more")
    with pytest.raises(LakeDamagedError):
        export_raw(lake, path)
    assert path.read_bytes() == before
    assert {item.name for item in tmp_path.iterdir()} == {"lake", "out.jsonl"}


@pytest.mark.sample(2)
@pytest.mark.parametrize("table", ["completions", "messages", "images"])
@pytest.mark.parametrize("part", [4, 13])
def test_altered_bytes_are_never_given_out_as_sent(
    lake: Lake, tmp_path: Path, table: str, part: int
) -> None:
    """A flipped bit that a reader may overlook ends the export, which names the file."""
    text, _ = talk("a")
    sent = [(text, [json.dumps(message("", [image(URL)]))])]
    store(lake, sent)
    (file,) = lake.state.table_files(table)
    path = Path(lake.location, file.path)
    whole = bytearray(path.read_bytes())
    damaged = bytearray(whole)
    damaged[len(whole) * part // 20] ^= 1
    path.write_bytes(damaged)
    try:
        assert exported(lake, tmp_path / "out.jsonl") == expected(sent)
    except LakeDamagedError as error:
        assert path.name in error.message  # noqa: PT017 - of an image only its own bytes count
    else:
        assert table == "images"


def test_rows_that_are_missing_are_damage(lake: Lake, tmp_path: Path) -> None:
    """A conversation is never exported with a message fewer than it has."""
    flat = flatten(read_completion(talk("a")[0].encode()), [], SEEN)
    flat.messages.clear()
    buffer = RowBuffer(keep_images=True)
    buffer.add(Partition.of("openai", CREATED), flat)
    with lake.lock("test"):
        lake.commit(Manifest(added=lake.write_parts(buffer.columns())))
    with pytest.raises(LakeDamagedError, match="completion a of openai has 1 message,"):
        export_raw(lake, tmp_path / "out.jsonl")


def test_only_the_owner_may_read_a_new_file(lake: Lake, tmp_path: Path) -> None:
    """It holds conversations, as the lake does."""
    export_raw(lake, tmp_path / "out.jsonl")
    assert stat.S_IMODE((tmp_path / "out.jsonl").stat().st_mode) == 0o600


def test_a_link_stays_and_what_it_points_to_is_replaced(lake: Lake, tmp_path: Path) -> None:
    """The link stays a link, and the file that it points to is replaced."""
    target, link = tmp_path / "target.jsonl", tmp_path / "link.jsonl"
    target.write_text("old")
    link.symlink_to(target)
    store(lake, [talk("a")])
    assert names(exported(lake, link)) == ["a"]
    assert link.is_symlink()
    assert target.read_bytes() == link.read_bytes()


def test_a_pipe_is_written_to_and_never_replaced(lake: Lake, tmp_path: Path) -> None:
    """Devices and pipes are written to, not replaced."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    store(lake, [talk("a")])
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    export_raw(lake, pipe)
    reader.join(10)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert json.loads(got[0])["completion"]["id"] == "a"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_full_disk_is_an_error_that_says_so(shared: Lake) -> None:
    """A failed write is an error without a traceback."""
    with pytest.raises(ChatlakeError, match="cannot write /dev/full: No space left") as caught:
        export_raw(shared, "/dev/full")
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("output", ["", "missing/out.jsonl"])
def test_a_place_that_cannot_be_written_is_a_usage_error(
    shared: Lake, tmp_path: Path, output: str
) -> None:
    """A folder, or a folder that is not there: nothing is made or left."""
    before: Sequence[Path] = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError):
        export_raw(shared, tmp_path / output)
    assert sorted(tmp_path.rglob("*")) == before
