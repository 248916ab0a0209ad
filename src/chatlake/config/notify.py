"""`notify`: whom a run tells how it ended. An address alone, a section, or a list of both.

    notify: ${SLACK_URL}                                # JSON to one address
    notify:
      - {url: "${TEAMS_URL}", format: teams, on: [failed]}
      - ping: ${HEALTHCHECKS_URL}                       # a monitor that alerts when no ping comes

Addresses are secrets: whoever has one can post there, or keep a monitor quiet.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from chatlake.config import entries
from chatlake.config.fields import EXPANDS, Section
from chatlake.config.notify_address import ADDRESS, NOTIFY, NotifyAddress

Event = Literal["complete", "incomplete", "failed", "silent"]
Shape = Literal["json", "slack", "teams", "discord"]
_MOST: Final = 10


class _OrAddress:
    """Marks a section that may also be written as its `url` alone."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_section_of, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        section = handler(schema)
        sections = [each for each in section.get("anyOf", [section]) if each != {"type": "null"}]
        return {"anyOf": [dict(ADDRESS), *sections]}


class _OneOrMore:
    """Marks a list that may also be written as its one entry, or as null."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_list_of, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        several = handler(schema)
        return {"anyOf": [*several["items"]["anyOf"], several, {"type": "null"}]}


def _section_of(value: Any) -> Any:
    return value if isinstance(value, dict | Section) else {"url": value}


def _list_of(value: Any) -> Any:
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else [value]


def _without_default(schema: dict[str, Any]) -> None:
    del schema["default"]


def _none_of(*keys: str) -> dict[str, Any]:
    return {"not": {"anyOf": [{"required": [key]} for key in keys]}}


class PingAddresses(Section):
    """A monitor that alerts when no success comes: one `url` for all events, or one for each."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["url"], **_none_of("start", "success", "failure")},
                {"required": ["success"], **_none_of("url")},
            ]
        }
    )

    url: Annotated[NotifyAddress | None, NOTIFY] = Field(
        default=None,
        description="Send a POST to this address on success, to the address with /start added when "
        "a backup starts, and with /fail when one fails, as Healthchecks and Better Stack define "
        "it.",
        examples=["${HEALTHCHECKS_URL}"],
        json_schema_extra=_without_default,
    )
    start: Annotated[NotifyAddress, NOTIFY] | None = Field(
        default=None, description="Instead of `url`: GET this address when a backup starts."
    )
    success: Annotated[NotifyAddress | None, NOTIFY] = Field(
        default=None,
        description="Instead of `url`: GET this address when a backup of all sources is complete.",
        json_schema_extra=_without_default,
    )
    failure: Annotated[NotifyAddress, NOTIFY] | None = Field(
        default=None, description="Instead of `url`: GET this address when a backup fails."
    )

    @model_validator(mode="after")
    def _one_way(self) -> PingAddresses:
        if self.url is None:
            if self.success is None:
                raise ValueError("expected an address, or a section with url or success")
        elif given := self.model_fields_set - {"url"}:
            problem = "expected either url, or success, start and failure"
            raise entries.entries_error(*(((key,), problem) for key in sorted(given)))
        return self

    def addresses(self) -> Iterator[tuple[str, NotifyAddress]]:
        """Yield each address that is set, with its key."""
        for key in ("url", "start", "success", "failure"):
            address = getattr(self, key)
            if address is not None:
                yield key, address


class NotifyTarget(Section):
    """An address to notify when runs end, or a monitor to ping."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["url"], **_none_of("ping")},
                {"required": ["ping"], **_none_of("url", "format", "on")},
            ]
        }
    )

    url: Annotated[NotifyAddress | None, NOTIFY] = Field(
        default=None,
        description="The address that takes a POST. It is a secret: ${NAME}, file:/PATH or "
        "secret:NAME (Prefect) keeps it out of this file.",
        examples=["${SLACK_URL}"],
        json_schema_extra=_without_default,
    )
    format: Annotated[Shape, EXPANDS] = Field(
        default="json",
        description="What to post: json is a document with all figures, the others chat messages.",
    )
    on: tuple[Event, ...] = Field(
        default=("incomplete", "failed", "silent"),
        title="events: complete, incomplete, failed, silent",
        min_length=1,
        description="Which events to report: complete, incomplete, failed (also damage that "
        "verify or maintenance finds), silent (a source has had nothing new for silent_after).",
    )
    ping: Annotated[PingAddresses | None, _OrAddress()] = Field(
        default=None,
        description="Instead of `url`: a monitor such as Healthchecks, which alerts when no "
        "success comes. An address, or a section.",
        examples=["${HEALTHCHECKS_URL}"],
        json_schema_extra=_without_default,
    )

    @model_validator(mode="after")
    def _one_way(self) -> NotifyTarget:
        if self.url is None and self.ping is None:
            raise ValueError("expected url or ping")
        if self.ping is not None and (given := self.model_fields_set - {"ping"}):
            problem = "expected only with url, not with ping"
            if "url" in given:
                problem = "expected either url or ping; for both, write two targets"
            raise entries.entries_error(*(((key,), problem) for key in sorted(given)))
        return self

    def __str__(self) -> str:
        """What stands in the file: the format and the reference, never an address."""
        if self.ping is None:
            return f"{self.format} to {self.url}"
        return f"ping {', '.join(str(address) for _, address in self.ping.addresses())}"

    def addresses(self) -> Iterator[tuple[str, NotifyAddress]]:
        """Yield each address of the target, with its key."""
        if self.url is not None:
            yield "url", self.url
        if self.ping is not None:
            yield from self.ping.addresses()


NotifyTargets = Annotated[
    tuple[Annotated[NotifyTarget, _OrAddress()], ...],
    Field(title="addresses and sections", max_length=_MOST),
    _OneOrMore(),
]
