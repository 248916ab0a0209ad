"""Finding what was redacted: what the rules leave in the lake in place of a known value."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

from chatlake.bootstrap.forgetting import Choice
from chatlake.bootstrap.sources import redaction_of
from chatlake.config import Settings
from chatlake.errors import UsageError
from chatlake.model.redaction.json_values import is_hashed


def hashes_of(settings: Settings, value: str, *, source: str | None = None) -> dict[str, str]:
    """Return source -> what stands for a value in the fields that the source's rules hash.

    UsageError if no rules hash anything; ConfigurationError for a key that cannot be read.
    """
    found = {}
    for name in _names(settings, source):
        redaction = redaction_of(settings, settings.source(name))
        if redaction is not None and settings.redact_of(settings.source(name)).hash:
            found[name] = redaction.hashed(value.encode("utf-8", "surrogateescape"))
    if not found:
        raise UsageError(
            "no rules of `redact` hash anything", hint="`hash` in `redact` names fields to hash."
        )
    return found


def with_hashes(settings: Settings, choice: Choice) -> tuple[Choice, list[str]]:
    """Let a choice by metadata also find values that the rules have hashed.

    Also returns the keys whose values the rules drop or replace: what was stored under these rules
    cannot be found by them. ConfigurationError for a key of hashes that cannot be read.
    """
    pairs = {key: list(values) for key, values in choice.metadata.items()}
    unseen: list[str] = []
    for name in _names(settings, choice.source):
        redaction = redaction_of(settings, settings.source(name))
        if redaction is None:
            continue
        for key, values in choice.metadata.items():
            for value in values:
                stored = _stored(redaction.completion(_object(key, value)).text, key)
                if stored is not None and is_hashed(stored):
                    pairs[key] += [stored] if stored not in pairs[key] else []
                elif stored != value and key not in unseen:
                    unseen.append(key)
    return dataclasses.replace(choice, metadata=pairs), unseen


def _names(settings: Settings, source: str | None) -> list[str]:
    return [each.name for each in settings.sources if source in (None, each.name)]


def _object(key: str, value: str) -> bytes:
    return json.dumps({"metadata": {key: value}}).encode()


def _stored(text: bytes, key: str) -> str | None:
    metadata: Mapping[str, str | None] = json.loads(text)["metadata"]
    return metadata.get(key)
