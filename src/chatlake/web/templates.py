"""The templates: every value is escaped unless it is `Markup`, and a missing name is an error."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from chatlake.model.counts import count
from chatlake.web import shown


@cache
def environment() -> Environment:
    """Return the environment of all templates of this package."""
    made = Environment(
        loader=PackageLoader("chatlake.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "visible": shown.visible,
        "number": shown.number,
        "counted": count,
        "size": shown.size,
        "time_of": shown.time_of,
        "moment": shown.moment,
        "long_day": shown.long_day,
        "segment": lambda text: quote(text, safe=""),
    }
    return made


def render(template: str, **values: Any) -> str:
    """Return a page."""
    return environment().get_template(template).render(**values)
