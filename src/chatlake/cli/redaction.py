"""Texts of errors that nobody foresaw, without anything that may be a key."""

from __future__ import annotations

import traceback


def redacted(text: str) -> str:
    """Return `text` with whatever looks like a key replaced by an ellipsis."""
    from chatlake.config.references import without_keys  # noqa: PLC0415 - heavy, rarely needed

    return without_keys(text)


def redacted_traceback(problem: BaseException) -> str:
    """Return the traceback of an error, redacted."""
    return redacted("".join(traceback.format_exception(problem)).rstrip())
