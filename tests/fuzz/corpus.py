"""Good documents to start from: what the simulator answers, what the repository holds."""

from __future__ import annotations

import gzip
import json
import zlib
from functools import cache
from pathlib import Path

from chatlake.config.template import template
from chatlake.simulator import Scenario
from chatlake.simulator.operations import get
from chatlake.simulator.pages import list_completions, list_messages
from chatlake.simulator.requests import PageQuery, page
from chatlake.simulator.world import World

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "tests" / "fixtures" / "lake_format_1" / "lake" / "manifests"
NOW = 1_800_000_000


@cache
def worlds() -> tuple[World, ...]:
    """Small stores of both mixes of completions."""
    return tuple(
        World(Scenario(completions=60, now=NOW, **mix)) for mix in ({}, {"mix": "readers"})
    )


def _query(text: bytes) -> PageQuery:
    read = page(text)
    assert isinstance(read, PageQuery)
    return read


@cache
def completion_pages() -> tuple[bytes, ...]:
    """Pages of the list, of a few rows each."""
    return tuple(list_completions(world, _query(b"limit=4")).body for world in worlds())


@cache
def completions() -> tuple[bytes, ...]:
    """Single completions."""
    return tuple(
        get(world, world.identifier(index).decode()).body
        for world in worlds()
        for index in range(0, 60, 3)
    )


@cache
def message_pages() -> tuple[bytes, ...]:
    """Pages of messages: with images, tool calls, several parts."""
    return tuple(
        list_messages(world, world.identifier(index).decode(), _query(b"limit=20")).body
        for world in worlds()
        for index in range(60)
    )


@cache
def manifests() -> tuple[bytes, ...]:
    """Every manifest of the stored lake, without its seal."""
    return tuple(_unsealed(path) for path in sorted(MANIFESTS.glob("0*.json")))


@cache
def checkpoints() -> tuple[bytes, ...]:
    """Every checkpoint of the stored lake, without its seal."""
    return tuple(_unsealed(path) for path in sorted(MANIFESTS.glob("checkpoint-*.json")))


def _unsealed(path: Path) -> bytes:
    document = json.loads(path.read_bytes())
    del document["sha256"]
    return json.dumps(document, separators=(",", ":")).encode()


@cache
def configurations() -> tuple[bytes, ...]:
    """The configuration that `chatlake init` writes, and the commented one."""
    return template().encode(), (ROOT / "config" / "chatlake.yaml").read_bytes()


@cache
def refusals() -> tuple[bytes, ...]:
    """Bodies of errors as services, gateways and proxies send them."""
    return (
        b'{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit"}}',
        b'{"error":{"code":"DeploymentNotFound","message":"The API deployment does not exist."}}',
        b'{"detail":[{"loc":["query","limit"],"msg":"less than 100","type":"value_error"}]}',
        b'{"statusCode":401,"message":"Access denied due to invalid subscription key."}',
        b'{"error":"model not found"}',
        b"<html><head><title>502 Bad Gateway</title><style>b{}</style></head><body>x</body></html>",
        b"upstream connect error or disconnect/reset before headers",
    )


@cache
def headers() -> tuple[bytes, ...]:
    """Headers of answers, one a line."""
    return (
        b"retry-after: 7\nx-request-id: req_1\nx-should-retry: true",
        b"retry-after: Wed, 21 Oct 2026 07:28:00 GMT\ndate: Wed, 21 Oct 2026 07:27:00 GMT",
        b"retry-after-ms: 1500.5\nlocation: https://user:word@login.example/x?y=z",
        b"x-ratelimit-limit-requests: 60\nx-ratelimit-reset-requests: 1h6m0.5s",
    )


@cache
def data_urls() -> tuple[bytes, ...]:
    """Images as messages carry them."""
    png = b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    gif = b"R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
    svg = b"%3Csvg%20xmlns=%22http://www.w3.org/2000/svg%22%20width=%221%22/%3E"
    jpeg = b"/9j/4AAQSkZJRgABAQEASABIAAD/wAARCAABAAEDASIAAhEBAxEB/9k="
    return (
        b"data:image/png;base64," + png,
        b"data:image/gif;base64," + gif,
        b"data:image/svg+xml," + svg,
        b"data:image/jpeg;name=a.jpg;base64," + jpeg,
        b"data:image/webp;base64,UklGRhYAAABXRUJQVlA4IAoAAAAwAQCdASoBAAEAAA==",
        b"data:image/tiff;base64,SUkqAAgAAAACAAABAwABAAAAAQAAAAEBAwABAAAAAQAAAAAAAAA=",
    )


@cache
def encoded() -> tuple[bytes, ...]:
    """Bodies in the encodings that chatlake asks for."""
    text = completion_pages()[0]
    return gzip.compress(text), zlib.compress(text), gzip.compress(b"a") + gzip.compress(b"b")
