"""What goes over the wire: answers, pages, and rows that no reader expects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

JSON_TYPE = ("content-type", "application/json")
DEPTH: Final = 1_000_000  # Python 3.14 reads 200,000 levels
RESET, HANG = -1, 0
MALFORMED = (
    "no id",
    "null",
    "number",
    "text",
    "list",
    "id null",
    "id number",
    "id empty",
    "nan",
    "infinity",
    "invalid utf-8",
    "control character",
    "deep",
)
"""Rows that a list may hold instead of a completion."""
WITH_ID = ("nan", "infinity", "invalid utf-8", "control character", "deep")
"""Those in whose text the id stands."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; instead of a status RESET breaks the connection off, HANG never answers.

    `length`: what Content-Length says, None for the truth. `chunk`: bytes in a chunk of a body that
    is sent in chunks, without a length.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = field(default=(JSON_TYPE,))
    length: int | None = None
    chunk: int | None = None

    @classmethod
    def of_fault(cls, fault: int | str, name: str) -> Answer:
        """Return what a named fault answers for a completion (empty: the list)."""
        if isinstance(fault, int):
            return json_answer(fault, error(f"answered {fault} for {name or 'the list'}", "fault"))
        said = {
            "reset": cls(RESET),
            "hang": cls(HANG),
            "quota": json_answer(429, error("You exceeded your quota.", "insufficient_quota")),
            "redirect": cls(302, b"", (("location", "http://127.0.0.1:1/elsewhere"),)),
            "empty": page_of([], {"first_id": None, "last_id": None}, {"has_more": False}),
            "html": cls(200, b"<html>sign in</html>", (("content-type", "text/html"),)),
        }
        return said[fault]

    def on_the_wire(self) -> bytes:
        """Return the bytes of the answer."""
        length = len(self.body) if self.length is None else self.length
        framing = ("content-length", str(length))
        body = self.body
        if self.chunk is not None:
            framing = ("transfer-encoding", "chunked")
            starts = range(0, len(body), self.chunk)
            pieces = [body[start : start + self.chunk] for start in starts]
            body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))
        headers = (*self.headers, framing)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        return f"HTTP/1.1 {self.status} Said\r\n{head}\r\n".encode() + body


def json_answer(status: int, value: Any) -> Answer:
    """Return an answer with a JSON body."""
    return Answer(status, json.dumps(value).encode())


def error(message: str, code: str, *, param: str | None = None) -> dict[str, Any]:
    """Return the body of an error."""
    kind = "insufficient_quota" if code == "insufficient_quota" else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def page_of(rows: Sequence[bytes], ends: Mapping[str, Any], has_more: Mapping[str, Any]) -> Answer:
    """Return a page that holds these rows, byte by byte."""
    rest = json.dumps({**ends, **has_more})[1:-1]
    body = b'{"object":"list","data":[' + b",".join(rows) + b"]"
    return Answer(200, body + (b"," + rest.encode() if rest else b"") + b"}")


def created_as(form: str, completion: dict[str, Any]) -> dict[str, Any]:
    """Return the completion with `created` in another form.

    "seconds" leaves it; "milliseconds", "microseconds", "float", "iso", "text", "missing", "null".
    """
    created = completion["created"]
    if form == "seconds" or not isinstance(created, int):
        return completion
    if form == "missing":
        return {key: value for key, value in completion.items() if key != "created"}
    forms: dict[str, Any] = {
        "milliseconds": created * 1000,
        "microseconds": created * 1_000_000,
        "float": created + 0.25,
        "iso": datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "text": str(created),
        "null": None,
    }
    return completion | {"created": forms[form]}


def malformed(kind: str, completion: dict[str, Any]) -> bytes:
    """Return what stands in a list in the place of a completion; `MALFORMED` lists the kinds."""
    whole = json.dumps(completion).encode()
    without = json.dumps({key: value for key, value in completion.items() if key != "id"}).encode()
    kinds = {
        "no id": without,
        "null": b"null",
        "number": b"7",
        "text": b'"a row"',
        "list": b"[]",
        "id null": json.dumps(completion | {"id": None}).encode(),
        "id number": json.dumps(completion | {"id": 7}).encode(),
        "id empty": json.dumps(completion | {"id": ""}).encode(),
        "nan": whole[:-1] + b', "seed": NaN}',
        "infinity": whole[:-1] + b', "seed": -Infinity}',
        "invalid utf-8": whole[:-1] + b', "note": "\xff\xfe"}',
        "control character": whole[:-1] + b', "note": "a\x01b"}',
        "deep": whole[:-1] + b', "note": ' + b"[" * DEPTH + b"]" * DEPTH + b"}",
    }
    return kinds[kind]
