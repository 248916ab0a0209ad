"""A secret may be a file: read again each time, and never waited for."""

from __future__ import annotations

import os
import pickle
import socket
from pathlib import Path

import pytest

from chatlake.config import SecretReference
from chatlake.config.secret_files import LARGEST_BYTES
from chatlake.errors import ConfigurationError
from chatlake.model.outside_text import strike_out

SECRET = "sk-proj-abcdefghijklmnop1234"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the file of a secret, with the line end that editors and `echo` write."""
    path = tmp_path / "key"
    path.write_text(SECRET + "\n")
    return path


def refusal(path: Path | str) -> str:
    """Resolve a reference to a file that is no secret; returns the message."""
    with pytest.raises(ConfigurationError) as caught:
        SecretReference.parse(f"file:{path}").resolve()
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 4
    return caught.value.message


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n", " \t\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_secret_without_what_editors_add(file: Path, start: str, end: str) -> None:
    """The line end and a byte order mark are no part of the secret."""
    file.write_bytes((start + SECRET + end).encode())
    assert SecretReference.parse(f"file:{file}").resolve() == SECRET


def test_secret_is_read_anew(file: Path, tmp_path: Path) -> None:
    """What was changed since then counts, also where a link points elsewhere."""
    reference = SecretReference.parse(f"file:{file}")
    assert reference.resolve() == SECRET
    file.write_text("another-secret-of-today")
    assert reference.resolve() == "another-secret-of-today"
    other = tmp_path / "..2026_01_31"
    other.write_text("and-one-more-by-a-link")
    file.unlink()
    file.symlink_to(other)
    assert reference.resolve() == "and-one-more-by-a-link"


def test_secret_is_stored_nowhere_and_struck_out(file: Path) -> None:
    """Neither the reference's text nor what is sent to workers holds it, and no message shows it."""
    reference = SecretReference.parse(f"file:{file}")
    assert reference.resolve() == SECRET
    assert SECRET not in f"{reference!r} {reference} {pickle.dumps(reference)!r}"
    assert str(reference) == f"file:{file}"
    assert strike_out(f"got {SECRET}") == "got [key]"


def test_path_may_look_like_a_key(tmp_path: Path) -> None:
    """A path that looks like a key is still a path."""
    file = tmp_path / "sk-proj-of-the-production-account1"
    file.write_text(SECRET)
    assert SecretReference.parse(f"file:{file}").resolve() == SECRET


def test_path_may_begin_with_home_or_a_variable(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`~` is the home folder; systemd names the folder of its credentials in a variable."""
    monkeypatch.setenv("HOME", str(file.parent))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(file.parent))
    assert SecretReference.parse("file:~/key").resolve() == SECRET
    assert SecretReference.parse("file:${CREDENTIALS_DIRECTORY}/key").resolve() == SECRET
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "relative")
    assert "expected a path from the root" in refusal("${CREDENTIALS_DIRECTORY}/key")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert "CREDENTIALS_DIRECTORY is not set" in refusal("${CREDENTIALS_DIRECTORY}/key")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"x" * (LARGEST_BYTES + 1), "larger than 64 KiB"),
        (b"\xff\xfes\0k\0", "contains no text"),
        (
            SECRET.encode() + b"\nanother line\n",
            "characters that are not allowed in an HTTP header",
        ),
        (SECRET.encode() + b"\0", "characters that are not allowed in an HTTP header"),
        ("sk-schlüssel".encode(), "characters that are not allowed in an HTTP header"),
    ],
)
def test_content_that_is_no_secret(file: Path, content: bytes, words: str) -> None:
    """Such a file is named in one line, without what it holds."""
    file.write_bytes(content)
    message = refusal(file)
    assert words in message
    assert str(file) in message
    assert SECRET not in message


def test_largest_file(file: Path) -> None:
    """64 KiB are read, and struck out."""
    file.write_bytes(b"x" * LARGEST_BYTES)
    assert SecretReference.parse(f"file:{file}").resolve() == "x" * LARGEST_BYTES
    assert strike_out(f"got {'x' * LARGEST_BYTES}") == "got [key]"


def test_what_is_no_file(tmp_path: Path) -> None:
    """Folders, pipes, sockets and devices are named at once: a pipe is never waited for."""
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        (tmp_path / "to-a-folder").symlink_to(tmp_path)
        for name in (tmp_path, tmp_path / "to-a-folder"):
            assert "this is a folder" in refusal(name)
        for name in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/null")):
            assert "a pipe, a socket or a device" in refusal(name)
        assert "cannot be read" in refusal(tmp_path / "socket")
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    for name in ("missing", "nowhere", "missing/key"):
        assert "there is no such file" in refusal(tmp_path / name)
    assert "cannot be read" in refusal(tmp_path / ("x" * 300))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads every file")
def test_file_of_somebody_else(file: Path) -> None:
    """A missing permission is named."""
    file.chmod(0)
    assert "Permission denied" in refusal(file)
