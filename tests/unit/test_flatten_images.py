"""Embedded images: bytes once in `images`, a reference in raw, and everything comes back."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from tests.flat import Rows, choice, completion, exact, image, message, part, rebuilt, rows_of

DATA = bytes(range(256)) * 3
BASE64 = base64.b64encode(DATA).decode()
URL = f"data:image/png;base64,{BASE64}"
SHA256 = hashlib.sha256(DATA).hexdigest()
REFERENCE = f"chatlake-image:{SHA256};data:image/png;base64,"


def stored_texts(rows: Rows) -> str:
    """Return all text that the rows hold, in one."""
    values = [v for row in (rows.completion, *rows.messages, *rows.parts) for v in row.values()]
    return "\n".join(value for value in values if isinstance(value, str))


def test_an_embedded_image_is_stored_once_and_referred_to() -> None:
    """The part names its hash, type and size; no row holds the base64."""
    sent = [message("", [part(text="x"), image(URL, "high"), image(URL)])]
    rows = rows_of(completion(), sent)
    assert list(rows.flat.images) == [SHA256]
    assert rows.flat.images[SHA256].data == DATA
    names = ("image_sha256", "media_type", "image_bytes", "image_url", "image_detail")
    assert [rows.parts[1][name] for name in names] == [SHA256, "image/png", 768, None, "high"]
    assert [rows.parts[2][name] for name in names] == [SHA256, "image/png", 768, None, None]
    assert json.loads(rows.parts[1]["raw"])["image_url"]["url"] == REFERENCE
    assert BASE64[:64] not in stored_texts(rows)
    assert rebuilt(rows)["messages"] == exact(json.dumps(sent))


def test_an_image_in_a_reply_is_replaced_in_the_completion_too() -> None:
    """The reply stands in both: both refer to it, and both come back."""
    sent = completion(choices=[choice([image(URL)])])
    rows = rows_of(sent)
    assert rows.parts[0]["image_sha256"] == SHA256
    assert BASE64[:64] not in stored_texts(rows)
    assert rebuilt(rows)["completion"] == exact(json.dumps(sent))


def test_an_image_of_an_input_is_replaced_wherever_the_completion_repeats_it() -> None:
    """Some servers send the messages inside the completion as well (OGX)."""
    messages = [message("", [image(URL)])]
    sent = completion(input_messages=messages)
    rows = rows_of(sent, messages)
    assert BASE64[:64] not in stored_texts(rows)
    assert rebuilt(rows) == exact(json.dumps({"completion": sent, "messages": messages}))


@pytest.mark.parametrize(
    "token",
    [
        json.dumps(URL).replace("/", r"\/"),
        json.dumps(URL).replace("+", r"\u002b").replace("=", r"\u003D"),
        json.dumps(URL.replace("data:image/png", "DATA:image/PNG;a=b")),
    ],
)
def test_however_the_url_is_written_it_is_replaced(token: str) -> None:
    """Escaped slashes are common; the value comes back, if not the escapes."""
    sent = json.dumps(message("", [image("@")])).replace('"@"', token)
    rows = rows_of(completion(), [sent])
    assert BASE64[:64] not in stored_texts(rows)
    assert rows.parts[0]["media_type"] == "image/png"
    assert rebuilt(rows)["messages"] == [exact(sent)]


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64,!!!!",
        "data:image/png;base64,",
        "data:image/png;base64,A",
        "data:image/png;base64,no valid base64",
        "data:image/png;base64,this is not base64",
        "data:",
    ],
)
def test_an_undecodable_image_keeps_its_row_and_text(url: str) -> None:
    """No hash, no URL column; raw keeps what was sent."""
    rows = rows_of(completion(), [message("", [image(url, "low")])])
    row = rows.parts[0]
    names = ("type", "image_sha256", "media_type", "image_bytes", "image_url", "image_detail")
    assert [row[name] for name in names] == ["image_url", None, None, None, None, "low"]
    assert json.loads(row["raw"]) == image(url, "low")
    assert rows.flat.images == {}


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64," + "\r\n".join(BASE64[i : i + 76] for i in range(0, 1024, 76)),
    ],
)
def test_an_image_in_sloppy_base64_is_stored_and_stays_in_raw(url: str) -> None:
    """Line breaks and missing padding are decoded; what cannot be restored exactly is kept."""
    rows = rows_of(completion(), [message("", [image(url)])])
    assert rows.parts[0]["image_sha256"] in rows.flat.images
    assert json.loads(rows.parts[0]["raw"]) == image(url)
    assert rebuilt(rows)["messages"] == exact(json.dumps([message("", [image(url)])]))


def test_one_image_in_two_spellings_is_one_image() -> None:
    """The bytes count; each URL comes back as it was."""
    sent = [message("", [image(URL), image(URL.replace("png", "x-png"))])]
    rows = rows_of(completion(), sent)
    assert len(rows.flat.images) == 1
    assert [row["media_type"] for row in rows.parts[:2]] == ["image/png", "image/x-png"]
    assert rebuilt(rows)["messages"] == exact(json.dumps(sent))


def test_the_size_of_many_images_is_not_multiplied() -> None:
    """Rows grow with the references, not with the images."""
    urls = [
        f"data:image/png;base64,{base64.b64encode(bytes([n]) * 9000).decode()}" for n in range(20)
    ]
    rows = rows_of(completion(), [message("", [image(url) for url in urls])])
    assert len(rows.flat.images) == 20
    assert rows.flat.text_bytes < 30_000


def test_texts_that_look_like_references_stay_texts() -> None:
    """In keys and values, in messages and completions, next to a real image."""
    sent = completion(
        choices=[choice(REFERENCE)], metadata={REFERENCE: REFERENCE}, odd={REFERENCE: [REFERENCE]}
    )
    messages = [
        message(REFERENCE, [part(text=REFERENCE), image(URL), image(REFERENCE)]),
        message("chatlake-image: \\u003a", number=1),
    ]
    rows = rows_of(sent, messages)
    assert rebuilt(rows) == exact(json.dumps({"completion": sent, "messages": messages}))
    assert rows.inputs[0]["content"] == REFERENCE
    assert rows.parts[2]["image_url"] == REFERENCE
    assert json.loads(rows.inputs[0]["raw"])["content"] == REFERENCE


def test_an_image_next_to_a_lone_surrogate_comes_back() -> None:
    """Exact text and references together."""
    sent = json.dumps(message("@", [part(text="@"), image(URL)])).replace("@", r"\ud83d")
    rows = rows_of(completion(), [sent])
    assert BASE64[:64] not in stored_texts(rows)
    assert rebuilt(rows)["messages"] == [exact(sent)]
