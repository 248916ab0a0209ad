"""One source: its address, its key, and what of it to keep.

Every field's description is also in the JSON Schema that editors show. Durations are
`timedelta`, instants are aware and in UTC, paths are absolute.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, model_validator

from chatlake.config import durations, entries, places
from chatlake.config.fields import (
    EMPTY_IS_DEFAULT,
    EXPANDS,
    Leaf,
    Section,
    duration,
    duration_field,
    words,
)
from chatlake.config.pace import PaceSettings
from chatlake.config.redact import Redact
from chatlake.config.references import SecretLoader, SecretReference, Text
from chatlake.config.select import Select

_PERMITTED = {"anyOf": [{"const": True}, {"type": "string", "pattern": r"^\$\{"}]}
_ENCRYPTED: dict[str, Any] = {
    "anyOf": [
        {"properties": {"base_url": {"not": {"pattern": places.OPEN_HTTP_PATTERN}}}},
        {"properties": {"allow_http": _PERMITTED}, "required": ["allow_http"]},
    ]
}


SilentAfter = timedelta | Literal["auto"] | None
"""How long a source may have nothing new; auto: by its own rhythm; None: as long as it likes."""


def _silent_after(value: object) -> SilentAfter:
    if value is None or value == "auto":
        return None if value is None else "auto"
    try:
        length: timedelta = _DURATION.check(value)
    except ValueError as problem:
        raise ValueError(str(problem).replace("expected ", "expected auto, null or ", 1)) from None
    return length


_DURATION = duration()
SILENT_PATTERN: Final = rf"^auto$|{durations.PATTERN}"
SILENT_AFTER: Final = Leaf(
    _silent_after,
    {
        "type": ["string", "null"],
        "pattern": SILENT_PATTERN,
        "not": {"type": "string", **_DURATION.schema["not"]},
    },
    lambda value: durations.format_duration(value) if isinstance(value, timedelta) else value,
)


class Tls(Section):
    """Which certificates to trust."""

    ca_file: places.File | None = Field(
        default=None,
        description="A file of certificates (PEM) to trust instead of the usual ones, relative to "
        "this file; null: what SSL_CERT_FILE, SSL_CERT_DIR or REQUESTS_CA_BUNDLE name, if set.",
        examples=["company-ca.pem"],
    )


class Source(Section):
    """One account or server whose stored completions you back up."""

    model_config = ConfigDict(json_schema_extra=_ENCRYPTED)

    name: Annotated[
        str,
        words(
            "a name of a-z, 0-9, _ and -, at most 64 long",
            "^[a-z0-9_-]{1,64}$",
            never=("null", "__hive_default_partition__"),
        ),
    ] = Field(
        description="The source's name in the lake (a partition). Do not change it later.",
        examples=["openai"],
    )
    base_url: Annotated[str, places.BASE_URL] = Field(
        description="The API's address, without /chat/completions.",
        examples=["https://api.openai.com/v1", "https://RESOURCE.openai.azure.com/openai/v1"],
    )
    api_key: Annotated[SecretReference, places.SECRET] = Field(
        description="Where to find the key: ${NAME}, file:/PATH or secret:NAME (Prefect). "
        "Never the key itself.",
        examples=["${OPENAI_API_KEY}", "file:/run/secrets/openai-key", "secret:openai-key"],
    )
    auth: Annotated[Literal["bearer", "api-key"], EXPANDS] = Field(
        default="bearer",
        description="How the key is sent: `Authorization: Bearer`, or `api-key` (Azure).",
    )
    allow_http: Annotated[bool, Field(strict=True), EXPANDS] = Field(
        default=False,
        description="true: send the key unencrypted over http:// to another machine. To this "
        "machine that is always allowed.",
    )
    headers: Annotated[Mapping[str, str | SecretReference], entries.HEADERS] = Field(
        default={},
        description="Extra headers for every request; one with a secret must be a reference.",
        examples=[{"OpenAI-Project": "proj_abc123"}],
    )
    query: Annotated[Mapping[str, str | SecretReference], entries.QUERY] = Field(
        default={},
        description="Extra parameters for every request; one with a secret must be a reference.",
        examples=[{"api-version": "2025-02-01-preview"}],
    )
    select: Annotated[Select, EMPTY_IS_DEFAULT] = Field(
        default=Select.model_construct(),
        description="Which completions to back up; by default all.",
    )
    lookback: Annotated[timedelta, duration(zero=True)] = duration_field(
        "24h", "How far before the newest backed-up completion each run starts to list."
    )
    full_sweep_every: Annotated[timedelta, duration()] | None = duration_field(
        "7d", "How often a run lists everything again to find changes; null: only with --full."
    )
    retention: Annotated[timedelta, duration()] = duration_field(
        "30d",
        "How long the source keeps completions; for warnings, and to know what expired.",
    )
    silent_after: Annotated[SilentAfter, SILENT_AFTER] = Field(
        default="auto",
        description="How long a source may have nothing new before chatlake warns; auto: twice the "
        "longest pause in the 90 days before its newest completion, at least 3 days; null: never.",
        examples=["auto", "3d"],
    )
    images: Annotated[Literal["store", "reference"], EXPANDS] = Field(
        default="store",
        description="store: keep embedded images; reference: keep links and hashes only.",
    )
    redact: Redact | None = Field(
        default=None,
        description="What of this source never reaches the lake, instead of the general `redact`.",
    )
    pace: Annotated[PaceSettings, EMPTY_IS_DEFAULT] = Field(
        default=PaceSettings.model_construct(),
        description="How fast to send requests to the source, and how long to retry.",
    )

    proxy: (
        Annotated[
            str,
            words(
                "direct, or an http:// or https:// address without user name and password",
                r"^(direct|https?://(\[[0-9A-Fa-f:.]+\]|[^\s/:@\[\]]+)(:[0-9]{1,5})?/?)$",
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="The proxy for this source, or direct for none; null: use HTTPS_PROXY, "
        "HTTP_PROXY and NO_PROXY.",
        examples=["http://proxy.example.org:3128", "direct"],
    )
    tls: Annotated[Tls, EMPTY_IS_DEFAULT] = Field(
        default=Tls.model_construct(), description="Which certificates to trust."
    )

    @model_validator(mode="after")
    def _encrypted(self) -> Source:
        if places.is_open_http(self.base_url) and not self.allow_http:
            problem = (
                "expected https://: over http:// others can read the key; "
                "to allow it, set allow_http: true in this source"
            )
            raise entries.entries_error((("base_url",), problem))
        return self

    def secrets(self) -> dict[str, SecretReference]:
        """Every reference to a secret, by its key path within the source."""
        sent = {f"headers.{name}": value for name, value in self.headers.items()}
        sent |= {f"query.{name}": value for name, value in self.query.items()}
        kept = {key: value for key, value in sent.items() if isinstance(value, SecretReference)}
        return {"api_key": self.api_key, **kept}

    def resolved_texts(self) -> set[str]:
        """The values of references to variables in `headers`, `query` and `base_url`'s path.

        The secrets of `secrets` are not among them. Neither is the host of `base_url`, because
        messages would say nothing without it.
        """
        sent = [*self.headers.values(), *self.query.values()]
        found = {value for text in sent if isinstance(text, Text) for value in text.resolved}
        if isinstance(self.base_url, Text):
            path = urlsplit(self.base_url).path
            found |= {value for value in self.base_url.resolved if value in path}
        return found

    def resolved_headers(self, secret_loader: SecretLoader | None = None) -> dict[str, str]:
        """`headers` with their secrets; `api_key` is not among them. Raises as `resolve`."""
        return _resolved(self.headers, secret_loader)

    def resolved_query(self, secret_loader: SecretLoader | None = None) -> dict[str, str]:
        """`query` with its secrets. Raises as `SecretReference.resolve`."""
        return _resolved(self.query, secret_loader)


def _resolved(
    sent: Mapping[str, str | SecretReference], secret_loader: SecretLoader | None
) -> dict[str, str]:
    return {
        name: value.resolve(secret_loader) if isinstance(value, SecretReference) else value
        for name, value in sent.items()
    }
