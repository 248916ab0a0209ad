"""The configuration as frozen values; the keys and defaults of the file, version 1."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from chatlake.config import entries, places, schedules
from chatlake.config.expected import did_you_mean
from chatlake.config.fields import EMPTY_IS_DEFAULT, EXPANDS, Section, days, words
from chatlake.config.notify import NotifyTargets
from chatlake.config.prices import PriceEntry
from chatlake.config.redact import Redact
from chatlake.config.references import SecretLoader
from chatlake.config.source import Source
from chatlake.errors import ConfigurationError, UsageError

VERSION = 1
_ADDRESS = r"^([a-z]+://)?(\[[0-9A-Fa-f:.]+\]|[^\s/:@\[\]]+):[0-9]{1,5}$"


class Schedule(Section):
    """When `chatlake serve` backs up."""

    cron: Annotated[str, schedules.CRON] = Field(
        default="0 2 * * *",
        description="Minute, hour, day, month, weekday.",
        examples=["0 2 * * *"],
    )
    timezone: Annotated[str, schedules.TIMEZONE] = Field(
        default="UTC", description="The time zone of `cron`.", examples=["UTC", "Europe/Berlin"]
    )


class Runner(Section):
    """Where the Prefect flows run the batches of a backup."""

    kind: Annotated[Literal["threads", "processes", "dask", "ray"], EXPANDS] = Field(
        default="threads", description="Prefect's task runner."
    )
    workers: Annotated[int, Field(strict=True, ge=1, le=1024), EXPANDS] = Field(
        default=2, description="Batches at once."
    )
    batch_size: Annotated[int, Field(strict=True, ge=1, le=100_000), EXPANDS] = Field(
        default=500, description="Completions in one batch."
    )
    address: Annotated[str, words("the address of a cluster, host:port", _ADDRESS)] | None = Field(
        default=None,
        description="The Dask scheduler or the head of the Ray cluster; null: a local cluster.",
        examples=["tcp://scheduler:8786", "ray://head:10001"],
    )

    @model_validator(mode="after")
    def _cluster(self) -> Runner:
        if self.address is not None and self.kind not in ("dask", "ray"):
            problem = f"expected an address only with kind dask or ray, and kind is {self.kind}"
            raise entries.entries_error((("address",), problem))
        return self


class Settings(Section):
    """The whole configuration, as `load_settings` returns it."""

    version: Annotated[int, Field(strict=True, ge=VERSION, le=VERSION)] = Field(
        description="The version of this file's format."
    )
    lake: Annotated[str, places.LAKE] = Field(
        description="Where the lake is: a folder, relative to this file, or s3://, gs://, az://.",
        examples=["data/lake", "s3://bucket/lake"],
    )
    sources: tuple[Source, ...] = Field(
        title="sources", min_length=1, description="What to back up."
    )
    schedule: Schedule = Field(
        default=Schedule.model_construct(), description="When `chatlake serve` backs up."
    )
    notify: NotifyTargets = Field(
        default=(),
        description="Whom to notify when a run ends: an address, a section, or a list of these. "
        "An address alone gets JSON when a run ends incomplete or failed, or a source is silent.",
        examples=["${SLACK_URL}"],
        json_schema_extra={"default": None},
    )
    redact: Annotated[Redact, EMPTY_IS_DEFAULT] = Field(
        default=Redact.model_construct(),
        description="What never reaches the lake, of any source without a `redact` of its own.",
    )
    keep: Annotated[timedelta, days()] | None = Field(
        default=None,
        description="How long the lake keeps completions, by whole UTC days; null: forever. "
        "`maintain` and `chatlake forget --expired` erase what is older, and backups leave it out.",
        examples=["2y", "90d"],
    )
    access: Annotated[Literal["private", "group"], EXPANDS] = Field(
        default="private", description="Who may read the lake: private 0700/0600, group 0750/0640."
    )
    runner: Annotated[Runner, EMPTY_IS_DEFAULT] = Field(
        default=Runner.model_construct(), description="Where the Prefect flows run the batches."
    )
    prices: tuple[PriceEntry, ...] = Field(
        default=(), description="Token prices, for the view `costs`. chatlake comes without prices."
    )
    _path: Path = PrivateAttr(Path("chatlake.yaml"))

    def model_post_init(self, context: Any, /) -> None:
        """Remember the file that `context` names."""
        self._path = Path(os.path.abspath((context or {}).get("path", "chatlake.yaml")))  # noqa: PTH100  links stay

    @model_validator(mode="after")
    def _sources(self) -> Settings:
        names = [source.name for source in self.sources]
        again = [index for index, name in enumerate(names) if name in names[:index]]
        if again:
            problem = "expected another name: each source needs its own"
            raise entries.entries_error(*((("sources", i, "name"), problem) for i in again))
        return self

    @property
    def path(self) -> Path:
        """The configuration file, absolute; relative paths in it start from its folder."""
        return self._path

    @property
    def lake_location(self) -> str:
        """The lake's absolute path, or its URL without a slash at the end."""
        return self.lake if "://" in self.lake else places.absolute(self._path.parent, self.lake)

    def source(self, name: str) -> Source:
        """The source of this name; raises UsageError, naming those there are."""
        for source in self.sources:
            if source.name == name:
                return source
        names = [source.name for source in self.sources]
        raise UsageError(
            f"there is no source {name!r} in {self.path}{did_you_mean(name, names)}",
            hint=f"Sources: {', '.join(names)}.",
        )

    def redact_of(self, source: Source) -> Redact:
        """What of a source never reaches the lake: its own rules, else the general ones."""
        return self.redact if source.redact is None else source.redact

    def check_secrets(
        self, secret_loader: SecretLoader | None = None, *, sources: Iterable[str] | None = None
    ) -> None:
        """Resolve every secret of `sources` (names; all by default), their hash keys and `notify`.

        The values are not kept. Raises one ConfigurationError with a line for each that cannot be
        read, and UsageError for an unknown name.
        """
        problems = []
        chosen = self.sources if sources is None else [self.source(name) for name in sources]
        for source in chosen:
            for key, reference in source.secrets().items():
                try:
                    reference.resolve(secret_loader)
                except ConfigurationError as problem:
                    place = "" if reference.where else f"source {source.name}: {key}: "
                    problems.append((place + problem.message, problem.hint))
        for redact in {id(each): each for each in map(self.redact_of, chosen)}.values():
            try:
                redact.ready(secret_loader)
            except ConfigurationError as problem:
                problems.append((problem.message, problem.hint))
        for target in self.notify:
            for _, address in target.addresses():
                try:
                    address.resolve(secret_loader)
                except ConfigurationError as problem:
                    is_placed = address.reference is None or address.reference.where
                    place = "" if is_placed else "notify: "
                    problems.append((place + problem.message, problem.hint))
        if problems:
            text = "\n".join(message for message, _ in problems)
            hints = dict.fromkeys(hint for _, hint in problems)
            raise ConfigurationError(text, hint="\n".join(hints))


def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of the file as people write it, references included.

    It accepts every file that `load_settings` accepts. It cannot say that names of sources
    differ, that time bounds are in order, or that variables, zones and files exist.
    """
    schema = Settings.model_json_schema()
    _drop_titles(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "chatlake configuration",
        **schema,
        "description": "What chatlake backs up, from where, to where, how fast and when.",
    }


def _drop_titles(value: Any) -> None:
    """Remove the titles that pydantic makes of the keys' names."""
    if isinstance(value, dict):
        if isinstance(value.get("title"), str):
            del value["title"]
        for item in value.values():
            _drop_titles(item)
    elif isinstance(value, list):
        for item in value:
            _drop_titles(item)
