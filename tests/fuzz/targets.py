"""Every parser of what comes from outside, and the errors that it may raise."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chatlake.api.decoding import EncodedBodyError, decoder_for
from chatlake.backup.rows import columns_of
from chatlake.config import parse_settings
from chatlake.errors import (
    ConfigurationError,
    InvalidResponseError,
    LakeDamagedError,
    LakeFormatError,
)
from chatlake.lake.files.arrow import to_table
from chatlake.lake.sealed import read_document, seal
from chatlake.model.digest import completion_digest
from chatlake.model.error_body import read_refusal
from chatlake.model.flatten import flatten
from chatlake.model.image_references import decode_data_url, insert_references, restore_references
from chatlake.model.manifest import Checkpoint, LakeState, Manifest
from chatlake.model.objects import Completion, Message, read_completion
from chatlake.model.pages import (
    read_completion_page,
    read_message_page,
    read_readable_completions,
)
from chatlake.model.retry_after import rate_limit, retry_after_s, should_retry
from chatlake.model.tables import COMPLETIONS, CONTENT_PARTS, MESSAGES
from tests.flat import SEEN
from tests.fuzz import corpus, rules

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHOWN = 4000
"""Characters that the message of any error may have."""


@dataclass(frozen=True, slots=True)
class Target:
    """One parser: its good documents, and the errors that it may raise for a damaged one.

    `check` parses a document and raises AssertionError if what comes out is wrong.
    """

    name: str
    documents: Callable[[], Sequence[bytes]]
    check: Callable[[bytes], None]
    errors: tuple[type[Exception], ...] = ()
    is_json: bool = False


def completion(body: bytes) -> None:
    """A single completion, and the rows that it becomes."""
    _flattened(read_completion(body), None)


def completion_page(body: bytes) -> None:
    """A page of the list. If it can be read, so can it without its malformed rows."""
    page = read_completion_page(body)
    again = read_readable_completions(body)
    assert [each.id for each in again.items] == [each.id for each in page.items]
    assert not again.malformed
    for each in page.items:
        _flattened(each, None)


def readable_rows(body: bytes) -> None:
    """The readable rows of a page, whatever the others are."""
    for each in read_readable_completions(body).items:
        _flattened(each, None)


def message_page(body: bytes) -> None:
    """A page of messages, and the rows that they become."""
    messages = read_message_page(body, "chatcmpl-1").items
    _flattened(read_completion(corpus.completions()[0]), messages)


def configuration(text: bytes) -> None:
    """A configuration; the message of a refusal is lines that a terminal shows."""
    try:
        parse_settings(text.decode("utf-8", "replace"), Path("file"))
    except ConfigurationError as problem:
        if not all(line.isprintable() for line in problem.message.splitlines()):
            raise AssertionError("the message holds what a terminal obeys") from problem
        raise


def manifest(text: bytes) -> None:
    """A commit whose seal is right: a forger can write one. It is applied to a state."""
    state = LakeState.from_checkpoint(_read(corpus.checkpoints()[0], Checkpoint))
    state.apply(_read(text, Manifest))
    _used(state)


def checkpoint(text: bytes) -> None:
    """A checkpoint whose seal is right."""
    _used(LakeState.from_checkpoint(_read(text, Checkpoint)))


def sealed(text: bytes) -> None:
    """A sealed document as it stands in its file: no damage of it may go unnoticed."""
    good = _sealed_manifests()
    read_document(_File(text), "manifests/1.json", Manifest, _number(text))  # type: ignore[arg-type]
    assert text in good, "a damaged manifest was read"


def refusal(body: bytes) -> None:
    """A body of an error, for each kind of status; any bytes give a refusal."""
    for status in (302, 400, 404, 429, 503):
        said = read_refusal(status, {}, body, route="/chat/completions", completion_id="chatcmpl-1")
        assert "\n" not in said.error.message
        assert said.error.message.isprintable()


def headers(text: bytes) -> None:
    """Headers about waiting; any values give a number or nothing."""
    lines = (line.partition(":") for line in text.decode("latin-1").splitlines())
    named = {name.strip().lower(): value.strip() for name, _, value in lines}
    wait_s = retry_after_s(named, now=NOW)
    assert wait_s is None or 0 <= wait_s < float("inf")
    limit = rate_limit(named)
    if limit is not None:
        assert limit.reset_s is None or 0 <= limit.reset_s < float("inf")
        assert all(each is None or each >= 0 for each in (limit.limit, limit.remaining))
    should_retry(named)
    assert read_refusal(307, named, b"", route="/r").error.message.isprintable()


def data_url(text: bytes) -> None:
    """A data URL; an image that is stored gives exactly the same text again."""
    url = text.decode("utf-8", "replace")
    image = decode_data_url(url)
    if image is None:
        return
    image.size()
    if image.reference is not None:
        sent = b'{"url":"%b"}' % url.encode()
        kept = insert_references(sent, {url: image.reference})
        assert restore_references(kept, lambda _: image.data) == sent
        assert base64.b64encode(image.data).decode() == url.partition(",")[2]


def encoding(body: bytes) -> None:
    """A body in gzip or deflate; it is decoded in pieces of 64 KiB, up to a limit."""
    for name in ("gzip", "deflate"):
        decoder, size = decoder_for([name]), 0
        try:
            for start in range(0, len(body), 4096):
                for piece in decoder.feed(body[start : start + 4096]):
                    assert len(piece) <= 1 << 16
                    size += len(piece)
                if size > 1 << 22:
                    break
            else:
                decoder.finish()
        except EncodedBodyError:
            continue


class _File:
    """Where a document is read from: a storage of one file."""

    location = "lake"

    def __init__(self, text: bytes) -> None:
        self._text = text

    def read(self, path: str) -> bytes:
        return self._text


def _read(inner: bytes, kind: Any) -> Any:
    file: Any = _File(seal(inner))
    return read_document(file, "manifests/1.json", kind, _number(inner))


def _number(text: bytes) -> int:
    digits = text.partition(b'"number":')[2].partition(b",")[0]
    return int(digits) if digits.isdigit() and len(digits) < 20 else 1


def _used(state: LakeState) -> None:
    """Use a state as a backup does."""
    for source in sorted(state.cursors) or [""]:
        for partition in state.partitions(source):
            state.partition_files(partition)
    state.checkpoint(created_at="", chatlake="")
    state.forgotten.has("openai", "chatcmpl-1")


def _flattened(sent: Completion, messages: Sequence[Message] | None) -> None:
    """What was read must become rows, whatever it is."""
    completion_digest(sent.sent)
    flat = flatten(sent, messages, SEEN)
    tables = {
        COMPLETIONS: [flat.completion],
        MESSAGES: flat.messages,
        CONTENT_PARTS: flat.content_parts,
    }
    for table, rows in tables.items():
        if rows:
            to_table(table, columns_of(table, rows)).validate(full=True)


def _sealed_manifests() -> tuple[bytes, ...]:
    return tuple(map(seal, corpus.manifests()))


_LAKE = (LakeDamagedError, LakeFormatError)
TARGETS: tuple[Target, ...] = (
    Target("completion", corpus.completions, completion, (InvalidResponseError,), is_json=True),
    Target(
        "completion_page", corpus.completion_pages, completion_page, (InvalidResponseError,), True
    ),
    Target("readable_rows", corpus.completion_pages, readable_rows, (InvalidResponseError,), True),
    Target("message_page", corpus.message_pages, message_page, (InvalidResponseError,), True),
    Target("configuration", corpus.configurations, configuration, (ConfigurationError,)),
    Target("rules", rules.rules, rules.rules_of_redaction, (ConfigurationError,), is_json=True),
    Target("redaction", corpus.completions, rules.redacted_completion, is_json=True),
    Target("duration", lambda: (b"2y", b"1w2d3h", b"90d", b"500ms"), rules.duration, (ValueError,)),
    Target("manifest", corpus.manifests, manifest, _LAKE, is_json=True),
    Target("checkpoint", corpus.checkpoints, checkpoint, _LAKE, is_json=True),
    Target("sealed", _sealed_manifests, sealed, _LAKE),
    Target("refusal", corpus.refusals, refusal),
    Target("headers", corpus.headers, headers),
    Target("data_url", corpus.data_urls, data_url),
    Target("encoding", corpus.encoded, encoding),
)
