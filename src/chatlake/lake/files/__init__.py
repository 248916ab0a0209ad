"""Part files: their columns, how they are written, merged and rewritten, and what they contain.

The modules named here are imported when they are first used: Arrow, which they need, takes longer
to import than a question to the views takes to answer.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatlake.lake.files import arrow, message_versions, parts, rewriting, versions

__all__ = ["arrow", "message_versions", "parts", "rewriting", "versions"]


def __getattr__(name: str) -> ModuleType:
    """Import a module of this folder."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
