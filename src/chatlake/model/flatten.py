"""Flattening: from API objects to rows of the lake's tables.

Pure functions. The rules are the lake's contract (docs/schema.md): what the API sent is in `raw`;
missing values are NULL, never 0 or an empty string; and nothing is dropped because its shape is
unknown. Rows are tuples in the order of `tables.COLUMNS`; times are microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from chatlake.model.content import Content, Reply, image_url_of, read_replies, without_echo
from chatlake.model.digest import completion_digest
from chatlake.model.image_references import (
    EmbeddedImage,
    decode_data_url,
    insert_references,
    is_as_sent,
    is_data_url,
)
from chatlake.model.json_text import SentObject, spell_out_lone_surrogates
from chatlake.model.message_ids import MessageIds
from chatlake.model.objects import Completion, Message
from chatlake.model.values import (
    entry,
    float_or_none,
    int_or_none,
    invalid_argument_calls,
    json_column,
    pairs,
    text_or_none,
)

Row = tuple[Any, ...]

INPUT, OUTPUT = "input", "output"


class Observation(msgspec.Struct, frozen=True, gc=False):
    """When and by which run a completion was seen. Times in microseconds since 1970, UTC."""

    run_id: str
    synced_at: int
    first_seen_at: int


@dataclass(slots=True)
class FlatCompletion:
    """The rows of one completion, and the images that it embeds, by SHA-256.

    `image_count`: how many of its parts are images, embedded or linked. `text_bytes`: about how
    much memory the texts take; each is in its object's `raw`, and also a separate value.
    """

    completion: Row
    messages: list[Row] = field(default_factory=list)
    content_parts: list[Row] = field(default_factory=list)
    images: dict[str, EmbeddedImage] = field(default_factory=dict)
    image_count: int = 0
    text_bytes: int = 0


def flatten(
    completion: Completion,
    messages: Sequence[Message] | None,
    seen: Observation,
    *,
    keep_images: bool = True,
    digest: bytes | None = None,
) -> FlatCompletion:
    """Turn a completion and its messages into rows.

    `keep_images`: whether the lake stores the images; if not, none stays in `raw` either. `digest`:
    that of the completion, if the caller already has it.

    `messages` are the objects of `/messages`, oldest first; None if they could not be fetched: the
    completion then has its replies only, and no digest, so that the next run tries again.
    """
    replies = read_replies(completion)
    inputs, echoes = without_echo(messages or (), replies or ())
    ids = MessageIds(completion.id, (reply.index for reply in replies or ()))
    rows = _Rows(completion, keep_images=keep_images)
    for message in inputs:
        rows.add_message(
            Content(message.fields, message.sent), ids.of_input(message.id), direction=INPUT
        )
    for position, reply in enumerate(replies or ()):
        rows.add_message(
            reply.content,
            ids.of_reply(reply.index),
            direction=OUTPUT,
            choice_index=reply.index,
            finish_reason=_finish_reason(reply),
            echo=echoes.get(position),
        )
    reasons = None if replies is None else [_finish_reason(reply) for reply in replies]
    if messages is None:
        digest = None
    elif digest is None:
        digest = completion_digest(completion.sent)
    rows.add_completion(seen, reasons, digest)
    return rows.flat


class _Rows:
    """Collects the rows of one completion."""

    def __init__(self, completion: Completion, *, keep_images: bool) -> None:
        self.flat = FlatCompletion(completion=())
        self._keep_images = keep_images
        self._completion = completion
        self._images: dict[str, EmbeddedImage | None] = {}
        self._references: dict[str, str] = {}
        self._model = text_or_none(completion.fields.model)
        self._created_at = (
            None if completion.fields.created is None else completion.created * 1_000_000
        )

    def add_message(
        self,
        content: Content,
        message_id: str,
        *,
        direction: str,
        choice_index: int | None = None,
        finish_reason: str | None = None,
        echo: SentObject | None = None,
    ) -> None:
        messages, parts = self.flat.messages, self.flat.content_parts
        index, before = len(messages), len(parts)
        self._add_parts(content, (self._completion.id, message_id, index, direction))
        fields = content.fields
        tool_calls = bytes(fields.tool_calls)
        messages.append(
            (
                self._completion.id,
                message_id,
                index,
                direction,
                choice_index,
                text_or_none(fields.role),
                text_or_none(fields.name),
                content.content,
                content.text,
                text_or_none(fields.refusal),
                text_or_none(fields.tool_call_id),
                json_column("tool_calls", tool_calls, content.sent),
                finish_reason,
                len(parts) - before,
                self._created_at,
                self._model,
                *self._raw(content.sent),
                None if echo is None else self._exact(echo),
                invalid_argument_calls(tool_calls),
            )
        )

    def _add_parts(self, content: Content, head: tuple[Any, ...]) -> None:
        if content.is_plain and not content.parts:
            nothing_more = None, None, None, None, None, content.part_source, self._created_at
            self.flat.content_parts.append(
                (*head, 0, "text", content.content, *nothing_more, None, None)
            )
        for index, (part, sent) in enumerate(content.parts):
            url = image_url_of(part.image_url)
            image = None if url is None else self._image(url)
            kind = text_or_none(part.type)
            self.flat.image_count += kind == "image_url"
            self.flat.content_parts.append(
                (
                    *head,
                    index,
                    kind,
                    part.text if isinstance(part.text, str) else None,
                    None if url is None or is_data_url(url) else url,
                    text_or_none(entry(part.image_url, "detail")),
                    image.sha256 if image else None,
                    image.media_type if image else None,
                    len(image.data) if image else None,
                    content.part_source,
                    self._created_at,
                    *self._raw(sent),
                )
            )

    def _image(self, url: str) -> EmbeddedImage | None:
        if url not in self._images:
            image = self._images[url] = decode_data_url(url)
            if image is not None:
                self.flat.images.setdefault(image.sha256, image)
                if image.reference is not None:
                    self._references[url] = image.reference
                elif not self._keep_images:
                    self._references[url] = image.bare_reference
        return self._images[url]

    def add_completion(
        self, seen: Observation, finish_reasons: list[str | None] | None, digest: bytes | None
    ) -> None:
        """Add the completion's own row. Call it after all messages.

        `digest` is None if the input messages are missing.
        """
        is_whole = digest is not None
        completion, fields, sent = self._completion, self._completion.fields, self._completion.sent
        usage = fields.usage
        self.flat.completion = (
            completion.id,
            self._created_at,
            self._model,
            text_or_none(fields.service_tier),
            text_or_none(fields.system_fingerprint),
            text_or_none(fields.request_id),
            finish_reasons,
            int_or_none(entry(usage, "prompt_tokens")),
            int_or_none(entry(usage, "completion_tokens")),
            int_or_none(entry(usage, "total_tokens")),
            int_or_none(entry(usage, "prompt_tokens_details", "cached_tokens")),
            int_or_none(entry(usage, "completion_tokens_details", "reasoning_tokens")),
            float_or_none(fields.temperature),
            float_or_none(fields.top_p),
            float_or_none(fields.presence_penalty),
            float_or_none(fields.frequency_penalty),
            int_or_none(fields.seed),
            json_column("tool_choice", bytes(fields.tool_choice), sent),
            json_column("tools", bytes(fields.tools), sent),
            json_column("response_format", bytes(fields.response_format), sent),
            text_or_none(fields.input_user),
            pairs(fields.metadata),
            None if finish_reasons is None else len(finish_reasons),
            len(self.flat.messages) if is_whole else None,
            self.flat.image_count if is_whole else None,
            seen.first_seen_at,
            seen.synced_at,
            None,
            seen.run_id,
            *self._raw(sent),
            digest,
        )

    def _raw(self, sent: SentObject) -> tuple[str, str | None]:
        """Return `raw` (valid for strict readers) and `raw_exact` (only where the two differ)."""
        text = sent.text
        as_sent = is_as_sent(text, self._references)
        exact = text.decode() if as_sent else self._exact(sent)
        self.flat.text_bytes += 2 * len(exact)
        if text is sent.clean:
            return exact, None
        valid = spell_out_lone_surrogates(exact.encode()).decode()
        return valid, None if valid == exact else exact

    def _exact(self, sent: SentObject) -> str:
        """Return the exact text, with references for the images met so far."""
        return insert_references(sent.text, self._references).decode()


def _finish_reason(reply: Reply) -> str | None:
    return text_or_none(reply.choice.finish_reason)
