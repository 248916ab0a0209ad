"""Lists of completion ids: what counts as an id, and how anything else is refused."""

import io
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatlake.config import IdList, ids, lines_of, parse_ids, parse_settings, read_ids
from chatlake.errors import ConfigurationError, UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", IdList(())),
        ("\n# only a comment\n   \n", IdList(())),
        ("a\nb\n", IdList(("a", "b"))),
        ("b\r\na\r\nb\r\nb", IdList(("b", "a"), 2)),
        ("\ufeffa", IdList(("a",))),
        ("\"a\"\n'b'\n  c d \ne,f", IdList(("a", "b", "c d", "e,f"))),
        ("completion_id\na", IdList(("a",))),
        ("a\nid", IdList(("a", "id"))),
        ("chatcmpl-B5x_9.z/1", IdList(("chatcmpl-B5x_9.z/1",))),
    ],
)
def test_reads(text: str, expected: IdList) -> None:
    """One id a line, in the order of first mention, later mentions counted."""
    assert parse_ids(text.splitlines(keepends=True)) == expected


@given(st.lists(st.from_regex(r"[A-Za-z0-9_-]{3,40}", fullmatch=True)))
def test_keeps_every_id_once(ids: list[str]) -> None:
    """What goes in comes out once each, and the duplicates make up the difference."""
    found = parse_ids(f'  "{completion_id}"\n' for completion_id in ["completion_id", *ids])
    assert list(found.ids) == list(dict.fromkeys(ids))
    assert len(found.ids) + found.duplicates == len(ids)


@pytest.mark.parametrize("line", ["a\x00b", "x" * 513, "a\tb"])
def test_refuses_what_is_not_one_id(line: str) -> None:
    """A line that is not one id is named by file and number."""
    with pytest.raises(UsageError, match=r"^standard input:2: expected one completion id, got '"):
        parse_ids(["first\n", line])


@pytest.mark.parametrize("line", ['{"id": "a"}', "[", '["a", "b"]'])
def test_json_is_not_taken_for_ids(line: str) -> None:
    """A file that begins as JSON does is refused as a whole."""
    with pytest.raises(UsageError, match=r"^standard input:1: expected one completion id, got '"):
        parse_ids([line])


def test_byte_order_mark_and_utf8(tmp_path: Path) -> None:
    """A file with a byte order mark is read as without."""
    file = tmp_path / "ids.txt"
    file.write_bytes(b"\xef\xbb\xbfid-\xc3\xa9\n")
    assert read_ids(file).ids == ("id-é",)


def test_binary_file_is_one_clear_error(tmp_path: Path) -> None:
    """A file that is not text is refused, not read as ids."""
    file = tmp_path / "ids.parquet"
    file.write_bytes(b"PAR1\xff\xfe\x00\x01")
    with pytest.raises(UsageError, match=r"ids\.parquet: not a list of ids: it is not UTF-8 text"):
        read_ids(file)


@pytest.mark.parametrize("error", [UsageError, ConfigurationError])
def test_unreadable_file(tmp_path: Path, error: type[UsageError | ConfigurationError]) -> None:
    """A missing file or a folder is an error of the kind that the caller names."""
    with pytest.raises(error, match=r"absent: the list of ids cannot be read: No such file"):
        read_ids(tmp_path / "absent", error=error)
    with pytest.raises(error, match="the list of ids is a folder, not a file"):
        read_ids(tmp_path, error=error)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("error", [UsageError, ConfigurationError])
def test_devices_and_fifos(tmp_path: Path, error: type[UsageError | ConfigurationError]) -> None:
    """A device never ends, and a FIFO may never begin: neither is waited for."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(error, match="fifo: the list of ids is a FIFO, not a file"):
        read_ids(fifo, error=error)
    for device in ("/dev/zero", "/dev/null"):
        with pytest.raises(error, match=f"{device}: the list of ids is a device, not a file"):
            read_ids(Path(device), error=error)
    (tmp_path / "link").symlink_to("/dev/zero")
    with pytest.raises(error, match="link: the list of ids is a device"):
        read_ids(tmp_path / "link", error=error)


def test_a_pipe_that_a_shell_opened(tmp_path: Path) -> None:
    """`--ids-file <(command)` names a pipe that has a writer: that is read."""
    reader, writer = os.pipe()
    os.write(writer, b"one\ntwo\n")
    os.close(writer)
    try:
        assert read_ids(Path(f"/dev/fd/{reader}")).ids == ("one", "two")
    finally:
        os.close(reader)


def test_a_line_that_never_ends(tmp_path: Path) -> None:
    """It is named by its number, and is not read into memory first."""
    file = tmp_path / "ids.txt"
    with file.open("wb") as output:
        output.write(b"one\n")
        output.truncate(100 << 20)  # zeros, without a line break
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match=r"ids\.txt:2: the line is longer than 4096"):
            read_ids(file)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    with pytest.raises(UsageError, match=r"^standard input:2: the line is longer than 4096"):
        parse_ids(lines_of(io.StringIO("one\n" + "x" * 5000)))


def test_a_list_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than the bound is refused; as much as the bound is read."""
    monkeypatch.setattr(ids, "LARGEST_FILE", 2 << 20)
    file = tmp_path / "ids.txt"
    file.write_text("".join(f"{number:07}\n" for number in range(1 << 18)))
    assert len(read_ids(file).ids) == 1 << 18
    file.write_text(file.read_text() + "x")
    with pytest.raises(ConfigurationError, match=r"ids\.txt: the list of ids is larger than 2 MiB"):
        read_ids(file, error=ConfigurationError)


def _select(text: str, folder: Path) -> str:
    return (
        "version: 1\nlake: x\nsources:\n- name: a\n  base_url: https://h\n"
        f"  api_key: ${{K}}\n  select: {text}\n"
    )


def test_chosen_ids(tmp_path: Path) -> None:
    """`ids` and `ids_file` together select; an empty file selects nothing, not everything."""
    file = tmp_path / "chatlake.yaml"
    (tmp_path / "ids.txt").write_text("b\na\nb\n")
    (tmp_path / "empty.txt").write_text("# none\n")

    def chosen(text: str) -> IdList | None:
        return parse_settings(_select(text, tmp_path), file).sources[0].select.chosen_ids()

    assert chosen("{}") is None
    assert chosen("{ids: [a, c, a]}") == IdList(("a", "c"))
    assert chosen("{ids: [a], ids_file: ids.txt}") == IdList(("a", "b"), 2)
    assert chosen("{ids_file: empty.txt}") == IdList(())
    with pytest.raises(ConfigurationError, match=r"gone\.txt"):
        chosen("{ids_file: gone.txt}")
