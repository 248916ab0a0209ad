"""Text from outside is shown without secrets, on one line, and not without end."""

from __future__ import annotations

import base64
import html
import json
import random
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatlake.model.outside_text import (
    DETAIL_LENGTH,
    ID_LENGTH,
    KnownSecrets,
    note_secret,
    one_line,
    request_id,
    strike_out,
)
from tests.growth import grows_with_length

SECRETS = (
    "sk-proj-0123456789abcdef",
    "hunter22",
    'p&ss/w+rd<"quoted">\'\\=',
    "a pass phrase, with words",
    "0123456789" * 20,
)
WAYS = {
    "bare": lambda text: text,
    "percent-encoded": lambda text: quote(text, safe=""),
    "percent-encoded in lower case": lambda text: "".join(f"%{ord(c):02x}" for c in text),
    "percent-encoded twice": lambda text: quote(quote(text, safe=""), safe=""),
    "as a form": quote_plus,
    "in JSON": lambda text: json.dumps(text)[1:-1],
    "in JSON with escaped slashes": lambda text: json.dumps(text)[1:-1].replace("/", r"\/"),
    "in JSON, all of it escaped": lambda text: "".join(f"\\u{ord(c):04X}" for c in text),
    "in HTML": html.escape,
    "in base64": lambda text: base64.b64encode(text.encode()).decode(),
    "in base64 of URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
}


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("way", WAYS)
def test_secret_is_struck_out_however_it_is_written(secret: str, way: str) -> None:
    """Bare or encoded, at the beginning, in the middle or at the end, nothing of it is left."""
    note_secret(secret)
    written = WAYS[way](secret)
    for text in (written, f"wrong: {written}", f"{written} is wrong", f'["{written}"]'):
        shown = one_line(text)
        assert "[key]" in shown
        assert written not in shown
        assert secret[:8] not in shown


@given(
    before=st.text(st.characters(codec="ascii"), max_size=9),
    secret=st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=12),
)
def test_secret_in_base64_of_a_longer_text(before: str, secret: str) -> None:
    """A password is found in the base64 of `user:password`, whatever the user is called."""
    known = KnownSecrets()
    known.note(secret)
    shown = known.strike_out("got " + base64.b64encode(f"{before}:{secret}".encode()).decode())
    assert shown.endswith("[key]")


PRINTABLE = "".join(map(chr, range(32, 127)))
MADE = {
    "one character": lambda size: "x" * size,
    "a few digits": lambda size: ("0123456789" * size)[:size],
    "backslashes": lambda size: "\\" * (size - 1) + "z",
    "percent signs, as encoded": lambda size: ("%25" * size)[: size - 1] + "z",
    "all characters": lambda size: (
        "".join(random.Random(size).choices(PRINTABLE[1:], k=size - 1)) + "z"
    ),
    "with blanks": lambda size: f"a{''.join(random.Random(size).choices(PRINTABLE, k=size - 2))}z",
}


@pytest.mark.parametrize("size", [33, 1 << 10, 8 << 10])
@pytest.mark.parametrize("made", MADE)
def test_long_secret_is_struck_out_however_it_is_written(made: str, size: int) -> None:
    """Nothing of it is left within many lines, in each way and in a mixture of them."""
    check_long(MADE[made](size), *WAYS.values(), mixed)


def test_longest_secret_is_struck_out() -> None:
    """64 KiB are found like less, bare and in a mixture."""
    check_long(MADE["with blanks"](64 << 10), WAYS["bare"], mixed)


def check_long(secret: str, *ways: Callable[[str], str]) -> None:
    """Look for a secret in many lines, written in these ways."""
    known = KnownSecrets()
    known.note(secret)
    lines = "many \\lines & more: 100 %\n" * 50
    for way in ways:
        assert known.strike_out(f"{lines}{way(secret)}\n{lines}") == f"{lines}[key]\n{lines}"


def mixed(secret: str) -> str:
    """Write seven characters in each way, but for base64, in turn."""
    ways = [way for name, way in WAYS.items() if "base64" not in name]
    sevens = enumerate(range(0, len(secret), 7))
    return "".join(ways[number % len(ways)](secret[at : at + 7]) for number, at in sevens)


def test_long_secret_ends_where_the_next_one_begins() -> None:
    """Of secrets side by side each is found, and text that agrees with one is not the whole."""
    digits, letters = "".join(map(str, range(400))), 'q"%41 &' * 100
    known = KnownSecrets()
    for secret in (digits, letters, "hunter22"):
        known.note(secret)
    odd, written = quote(letters, safe=""), WAYS["percent-encoded in lower case"](digits)
    for text, shown in (
        (f"{digits}{letters}hunter22{odd}{odd}", "[key]" * 5),
        (f"12{digits[2:]}{letters},{digits[1:]}", f"12{digits[2:]}[key],{digits[1:]}"),
        (f"\\{digits[:-1]}&", f"\\{digits[:-1]}&"),
        (f"\\{digits[:-10]}{written}&", r"\[key]&"),
        (f"%25{digits[:-1]}%39%", "%25[key]%"),
    ):
        assert known.strike_out(text) == shown


@pytest.mark.parametrize("written", ["bare", "percent-encoded in lower case"])
@pytest.mark.parametrize("made", ["one character", "a few digits", "backslashes"])
def test_time_grows_with_the_length_of_a_secret(made: str, written: str) -> None:
    """Remembering a secret, and looking for it where all but its end stands, many times."""

    def seconds(size: int) -> float:
        secret = MADE[made](size)
        text = WAYS[written](secret[:-1] + "-") * 3
        start = time.process_time()
        known = KnownSecrets()
        known.note(secret)
        known.strike_out(text)
        return time.process_time() - start

    assert grows_with_length(seconds, 8 << 10)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Token", "Basic", "ApiKey", "Api-Key"])
def test_the_token_alone_is_struck_out(scheme: str) -> None:
    """A server that repeats the token without the scheme before it shows nothing of it."""
    note_secret(f"{scheme} 9f8e7d6c5b4a9f8e")
    assert strike_out("token 9f8e7d6c5b4a9f8e is wrong") == "token [key] is wrong"


def test_the_password_of_basic_is_struck_out() -> None:
    """A server decodes Basic, and may repeat the user and the password."""
    note_secret("Basic " + base64.b64encode(b"robot:correct-horse").decode())
    assert strike_out("robot:correct-horse") == "[key]"
    assert strike_out("wrong password correct-horse") == "wrong password [key]"


@pytest.mark.parametrize("length", range(8, 24))
def test_secret_that_was_cut_off(length: int) -> None:
    """The beginning of a long secret is struck out as well: servers shorten what they repeat."""
    note_secret(SECRETS[0])
    assert strike_out(f"key {SECRETS[0][:length]}") == "key [key]"


def test_longer_secret_that_begins_with_another() -> None:
    """Of two secrets with the same beginning the longer one leaves no rest."""
    for secret in ("hunter22", "hunter22-and-more"):
        note_secret(secret)
    assert strike_out("hunter22-and-more hunter22") == "[key] [key]"


def test_short_secrets_ruin_no_text() -> None:
    """Up to 3 characters are no secret; from 4 to 7 they are struck out as words alone."""
    for secret in ("", " ", "no", "get", "2024", "list"):
        note_secret(secret)
    assert strike_out("no get listed, 12024") == "no get listed, 12024"
    assert strike_out("list=2024, (list)") == "[key]=[key], ([key])"


def test_text_without_secrets_stays() -> None:
    """Nothing is struck out before a secret is known, nor where there is none."""
    text = "the list cannot be read: 404 Not Found (request req_1)"
    assert one_line(text) == text
    note_secret(SECRETS[0])
    note_secret("https://hooks.example/services/T0/B0")
    assert one_line(text + " https://example.com") == text + " https://example.com"


def test_text_is_bounded() -> None:
    """A detail has at most 500 characters, an id 100, and no secret is cut in two by that."""
    note_secret(SECRETS[0])
    for bound, cut in ((DETAIL_LENGTH, one_line), (ID_LENGTH, request_id)):
        assert len(cut("x" * 7000)) == bound
        assert cut("x" * bound) == "x" * bound
        for before in range(bound - len(SECRETS[0]), bound + 2):
            shown = cut("x" * before + SECRETS[0])
            assert len(shown) <= bound
            assert "sk-" not in shown


@pytest.mark.parametrize(
    "character", [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), *"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\ufeff\u200b\ud800"]
)  # fmt: skip
def test_nothing_acts_on_a_terminal(character: str) -> None:
    """Control characters, C1 ones, line ends and marks of direction become spaces."""
    assert one_line(f"a{character}b") == "a b"
    assert request_id(f"{character}a{character}b") == "a b"
