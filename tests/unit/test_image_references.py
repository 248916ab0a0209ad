"""Embedded images: what is decoded, what stands for them, and the way back."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import zlib

import pytest

from chatlake.model.image_references import (
    EmbeddedImage,
    decode_data_url,
    insert_references,
    is_data_url,
    restore_references,
)


def png(width: int = 2, height: int = 3) -> bytes:
    """Return a small PNG file; wrong sizes are as good here."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 21)), (b"IEND", b""))
    )


PNG = png()
BASE64 = base64.b64encode(PNG).decode()
SHA256 = hashlib.sha256(PNG).hexdigest()
URL = f"data:image/png;base64,{BASE64}"


def decoded(url: str) -> EmbeddedImage:
    """Decode a URL that can be decoded."""
    image = decode_data_url(url)
    assert image is not None
    return image


def test_a_data_url_is_decoded() -> None:
    """Bytes, hash, media type and size are what the URL holds."""
    image = decoded(URL)
    assert image == EmbeddedImage(
        SHA256, "image/png", PNG, f"chatlake-image:{SHA256};data:image/png;base64,"
    )
    assert image.size() == (2, 3)


@pytest.mark.parametrize(
    ("prefix", "media_type"),
    [
        ("DATA:IMAGE/PNG;BASE64,", "image/png"),
        ("data:image/jpeg;charset=utf-8;base64,", "image/jpeg"),
        ("data:image/svg+xml;base64,", "image/svg+xml"),
        ("data:;base64,", None),
    ],
)
def test_other_spellings_are_decoded_and_restored(prefix: str, media_type: str | None) -> None:
    """Case and parameters do not matter, and come back as they were."""
    image = decoded(prefix + BASE64)
    assert (image.sha256, image.media_type) == (SHA256, media_type)
    assert image.reference == f"chatlake-image:{SHA256};{prefix}"
    text = json.dumps({"url": prefix + BASE64}).encode()
    kept = insert_references(text, {prefix + BASE64: image.reference})
    assert BASE64.encode() not in kept
    assert restore_references(kept, {SHA256: PNG}.get) == text


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64," + "\n".join(BASE64[i : i + 20] for i in range(0, 120, 20)),
        "data:image/png;base64,AAA=".replace("AAA=", "AAB="),  # spare bits that are not zero
        'data:image/png;name="a b";base64,AAAA',
        "data:image/pñg;base64,AAAA",
    ],
)
def test_what_could_not_be_restored_exactly_gets_no_reference(url: str) -> None:
    """The bytes are still stored, and the text keeps the image as it was sent."""
    image = decoded(url)
    assert image.reference is None
    assert image.data


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a.png",
        "data:image/png;base64,",
        "data:image/png;base64,====",
        "data:image/png;base64,A",
        "data:image/png;base64,-_+/",
        "data:image/png;base64,AA AA",
        "data:image/png;base64,AA!A",
        "data:image/png;base64,AAAA====BBBB",
        "data:image/png;base64,ÄÄÄÄ",
        "data:image/svg+xml,",
        "data:image/png;base64AAAA",
        "data:",
        "",
    ],
)
def test_what_is_no_base64_is_not_decoded(url: str) -> None:
    """Links, damaged base64 and nothing at all give no image."""
    assert decode_data_url(url) is None


@pytest.mark.parametrize(
    ("url", "data"),
    [
        ("data:image/svg+xml,%3Csvg%2F%3E", b"<svg/>"),
        ("data:image/svg+xml;charset=utf-8,<svg/>", b"<svg/>"),
    ],
)
def test_other_spellings_are_decoded_and_stay_in_raw(url: str, data: bytes) -> None:
    """Percent-encoding: the bytes are known, the text not restorable."""
    image = decode_data_url(url)
    assert image is not None
    assert (image.data, image.reference) == (data, None)


def test_a_data_url_is_known_by_its_scheme() -> None:
    """In any case; a text about data is not a data URL."""
    assert is_data_url("data:,")
    assert is_data_url("DaTa:image/png;base64,AAAA")
    assert not is_data_url("https://example.org/data:image")
    assert not is_data_url("database")


REFERENCES = {URL: decoded(URL).reference or ""}


@pytest.mark.parametrize(
    "token",
    [
        json.dumps(URL),
        json.dumps(URL).replace("/", r"\/"),
        json.dumps(URL).replace("+", r"\u002B").replace("=", r"\u003d"),
        json.dumps(URL).replace("/", r"\/", 1),
    ],
)
def test_the_url_is_found_however_it_is_escaped(token: str) -> None:
    """Every JSON spelling of a URL is replaced, and the value comes back."""
    text = f'{{"a": {token}, "b": [{token}], "c": "{BASE64[:9]}"}}'.encode()
    kept = insert_references(text, REFERENCES)
    assert len(kept) < 260
    assert json.loads(restore_references(kept, {SHA256: PNG}.get)) == json.loads(text)


@pytest.mark.parametrize(
    "value",
    [
        f"see {URL}",
        f'"{URL}',
        f'"{URL}"',
        f"{URL} ",
        f'{URL}"',
        URL[:-4],
        {URL: URL},
        "\\" + URL,
        ["data:", 'data:"'],
    ],
)
def test_texts_that_hold_a_url_survive(value: object) -> None:
    """Only whole strings are replaced; what is near one is never cut into."""
    for text in (json.dumps(value), json.dumps([value, URL, value])):
        kept = insert_references(text.encode(), REFERENCES)
        json.loads(kept)
        assert json.loads(restore_references(kept, {SHA256: PNG}.get)) == json.loads(text)


@pytest.mark.parametrize(
    "value",
    [
        f"chatlake-image:{SHA256};data:image/png;base64,",
        f"chatlake-image:{SHA256};",
        "chatlake-image:",
        {f"chatlake-image:{SHA256};x": f"a chatlake-image:{SHA256}; b"},
        "chatlake-image\\u003a",
        "\\chatlake-image:" + SHA256,
    ],
)
def test_a_text_that_looks_like_a_reference_survives(value: object) -> None:
    """It stays text, in keys and values, next to a real image."""
    text = json.dumps([value, URL, value])
    kept = insert_references(text.encode(), REFERENCES)
    assert json.loads(restore_references(kept, {SHA256: PNG}.get)) == json.loads(text)
    assert json.loads(kept)[0] == value


def test_an_image_that_is_not_there_leaves_its_reference() -> None:
    """What the lake does not hold cannot be put back; nothing is invented."""
    kept = insert_references(json.dumps([URL]).encode(), REFERENCES)
    assert restore_references(kept, lambda _: None) == kept
    assert json.loads(kept) == [REFERENCES[URL]]


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a\xff\xff\xff\xff",
        b"\xff\xd8\xff\xe0",
        b"\xff\xd8\xff\xe0\x00\x00" * 9,
        png(2**31, 5),
        png(0, 0),
        b"<svg width='" + b"9" * 400 + b"' height='1'/>",
        b"<?xml version='1.0'?><svg/>",
        b"RIFF\x00\x00\x00\x00WEBPVP8L",
    ],
)
def test_a_broken_image_has_no_size(data: bytes) -> None:
    """Whatever a stranger sent, its size is unknown rather than an error or a lie."""
    assert EmbeddedImage("", None, data, None).size() == (None, None)


@pytest.mark.parametrize("size", [3 << 16, (3 << 16) + 1, (3 << 17) - 1, 400_000])
def test_a_large_image_is_compared_to_its_last_character(size: int) -> None:
    """Only a text that its bytes give again gets a reference: the last padding bits count."""
    data = bytes(number * 7 % 256 for number in range(size))
    text = base64.b64encode(data).decode()
    assert decoded(f"data:image/png;base64,{text}").reference is not None
    broken = f"{text[:-4]}\n{text[-4:]}"
    assert decoded(f"data:image/png;base64,{broken}").reference is None
    if text.endswith("="):
        place = text.index("=") - 1
        other = text[:place] + chr(ord(text[place]) + 1) + text[place + 1 :]
        image = decode_data_url(f"data:image/png;base64,{other}")
        assert image is None or image.reference is None


def test_a_reference_takes_the_place_of_its_own_url_only() -> None:
    """A URL that looks like another one's JSON text is not taken for it."""
    backslash, line_break = "data:;base64,AA\\nAA", "data:;base64,AA\nAA"
    text = json.dumps([backslash, line_break]).encode()
    replaced = insert_references(text, {backslash: "chatlake-image:one"})
    assert json.loads(replaced) == ["chatlake-image:one", line_break]


def test_only_whole_strings_become_references() -> None:
    """A URL within a longer text, or at its start, stays; each string that is the URL is replaced."""
    url, reference = "data:image/png;base64,QUJD", "chatlake-image:one"
    value = [f"see {url}", url, f"{url} and {url}", url, {url: url}]
    text = json.dumps(value, separators=(",", ":")).encode()
    expected = [value[0], reference, value[2], reference, {reference: reference}]
    assert json.loads(insert_references(text, {url: reference})) == expected
    assert insert_references(b'"' + url.encode(), {url: reference}) == b'"' + url.encode()


ODD_SPELLINGS = {
    "unpadded": lambda text: text.rstrip("="),
    "safe in URLs": lambda text: text.replace("+", "-").replace("/", "_"),
    "safe in URLs, unpadded": lambda text: text.replace("+", "-").replace("/", "_").rstrip("="),
    "percent-encoded": lambda text: text.replace("+", "%2B").replace("/", "%2f").replace("=", "%3D"),
    "in lines, unpadded": lambda text: "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76)).rstrip("="),
}  # fmt: skip


@pytest.mark.parametrize("extra", [0, 1, 2])
@pytest.mark.parametrize("spelling", ODD_SPELLINGS)
def test_base64_is_decoded_however_it_is_spelled(spelling: str, extra: int) -> None:
    """Without padding, in the alphabet for URLs, percent-encoded: the same image every time.

    `raw` can have a reference only where it gives the very same text back.
    """
    data = bytes(range(256)) * 3 + bytes(extra)
    text = base64.b64encode(data).decode()
    assert "+" in text
    assert "/" in text
    url = f"data:image/png;base64,{ODD_SPELLINGS[spelling](text)}"
    image = decode_data_url(url)
    assert image is not None
    assert image.data == data
    sent = b'{"url":%b}' % json.dumps(url).encode()
    references = {} if image.reference is None else {url: image.reference}
    stored = insert_references(sent, references)
    assert json.loads(restore_references(stored, lambda _: data)) == {"url": url}
    assert (image.reference is None) == (ODD_SPELLINGS[spelling](text) != text)


@pytest.mark.parametrize("payload", ["a", "abcde", "ab+_", "a-b/", "ab=", "a===", "=", "ab*c", "é"])
def test_what_only_resembles_base64_is_no_image(payload: str) -> None:
    """A wrong length, both alphabets at once, half a padding: the part keeps its text."""
    assert decode_data_url(f"data:image/png;base64,{payload}") is None


def test_images_that_begin_alike_are_told_apart() -> None:
    """Each gets its own reference, also next to one without any, and where one ends early."""
    alike = "data:image/png;base64," + 60 * "QUJD"
    one, other, unknown = (alike + end for end in ("QQ==", "Qg==", "Qw=="))
    references = {one: "chatlake-image:one", other: "chatlake-image:other"}
    sent = json.dumps([one, other, unknown, one, one[:-2], alike]).encode()
    kept = [references.get(url, url) for url in json.loads(sent)]
    assert json.loads(insert_references(sent, references)) == kept
