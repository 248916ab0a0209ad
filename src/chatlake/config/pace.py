"""How fast to send requests to a source, and when to give up on a request."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from chatlake.config.fields import EXPANDS, Section, duration, duration_field, size
from chatlake.config.sizes import parse_size


class PaceSettings(Section):
    """How fast to send requests to a source, and how long to retry."""

    concurrency: Annotated[int, Field(strict=True, ge=1, le=1024), EXPANDS] = Field(
        default=32, description="Maximum number of requests at once."
    )
    requests_per_minute: Annotated[int | None, Field(strict=True, ge=1, le=1_000_000), EXPANDS] = (
        Field(
            default=None,
            description=(
                "Maximum number of requests per minute; null: as fast as the service allows."
            ),
        )
    )
    timeout: Annotated[timedelta, duration()] = duration_field(
        "60s", "How long one request may take."
    )
    max_body: Annotated[int, size()] = Field(
        default=parse_size("512MiB"),
        description=(
            "Maximum size of one decoded response. A larger one is a named failure. A backup's "
            "memory use stays close to this."
        ),
        examples=["512MiB", "2GiB"],
        json_schema_extra={"default": "512MiB"},
    )
    max_attempts: Annotated[int, Field(strict=True, ge=1, le=100), EXPANDS] = Field(
        default=8, description="How many times to try one request before it counts as a failure."
    )
    give_up_after: Annotated[timedelta, duration()] = duration_field(
        "15m", "How long to retry one request before it counts as a failure."
    )
