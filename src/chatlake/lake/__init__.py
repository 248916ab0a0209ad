"""The lake: its part files, its manifests, its catalogue of views, and their upkeep."""

from chatlake.lake.lake import Lake

__all__ = ["Lake"]
