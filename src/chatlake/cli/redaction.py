"""Texts of unexpected errors, without anything that may be a key."""

from __future__ import annotations

import traceback

from chatlake.model.outside_text import strike_out


def redacted(text: str) -> str:
    """Return `text` without secrets, and with whatever else looks like a key as an ellipsis."""
    from chatlake.config.references import without_keys  # noqa: PLC0415 - heavy, rarely needed

    return without_keys(strike_out(text))


def redacted_traceback(problem: BaseException) -> str:
    """Return the traceback of an error, redacted."""
    return redacted("".join(traceback.format_exception(problem)).rstrip())
