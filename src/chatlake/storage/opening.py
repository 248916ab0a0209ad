"""From the lake's address to its storage: a folder of this machine, or a bucket."""

from __future__ import annotations

import os
import re
from importlib import import_module
from typing import Final

from chatlake.errors import ConfigurationError
from chatlake.storage.folder import Access, LocalStorage
from chatlake.storage.interface import Storage

_URL: Final = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
# Scheme: the extra that brings the cloud's library, and where the store is. It is imported only
# when needed, because these libraries are slow to import and may not be installed.
_CLOUDS: Final = {
    "s3": ("s3", "chatlake.storage.bucket.s3", "S3Store"),
    "gs": ("gcs", "chatlake.storage.bucket.gcs", "GcsStore"),
    "az": ("azure", "chatlake.storage.bucket.azure", "AzureStore"),
}


def storage_at(location: str | os.PathLike[str], access: Access = "private") -> Storage:
    """Return the storage at a folder or URL; nothing is read or written yet.

    `access` is for folders. ConfigurationError for a URL of another kind, or whose library is not
    installed.
    """
    place = os.fspath(location)
    match = _URL.match(place)
    if match is None:
        return LocalStorage(place, access)
    if match[1] not in _CLOUDS:
        raise ConfigurationError(
            f"{place}: lakes cannot be on {match[1]}://",
            hint="Give a folder, or an s3://, gs:// or az:// address as `lake`.",
        )
    extra, module, name = _CLOUDS[match[1]]
    try:
        store = getattr(import_module(module), name)
    except ImportError as error:
        raise ConfigurationError(
            f'lakes on {match[1]}:// need chatlake[{extra}]: pip install "chatlake[{extra}]"',
            hint="Or use a folder on this machine as `lake`.",
        ) from error
    from chatlake.storage.bucket.remote import RemoteStorage  # noqa: PLC0415 - only for buckets

    return RemoteStorage(place.rstrip("/"), store)
