"""The lake on disk: part files, manifests, lock, storage, and the catalogue of views."""

from chatlake.lake.lake import Lake

__all__ = ["Lake"]
