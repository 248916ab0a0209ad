"""Google Cloud Storage.

Credentials come from Google's own chain: GOOGLE_APPLICATION_CREDENTIALS, `gcloud auth
application-default login`, the service account of the machine.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar, Final
from urllib.parse import urljoin

import aiohttp
import gcsfs.core
import google.auth.exceptions
import msgspec
import requests
from gcsfs.retry import ChecksumError, HttpError

from chatlake.storage.bucket.object_store import (
    ANSWER_S,
    CONDITIONAL_S,
    PART_BYTES,
    Buffer,
    ListedObject,
    Refusal,
    Stat,
    time_of,
    upload_s,
)

# gcsfs also logs a traceback of each error that it raises.
logging.getLogger("gcsfs").setLevel(logging.CRITICAL)

_EMULATOR: Final = "STORAGE_EMULATOR_HOST"
_ABSENT: Final = "0"
_BOUNDARY: Final = f"chatlake-{uuid.uuid4()}"


class GcsStore:
    """The objects of Google Cloud Storage, by gcsfs; a version is a generation."""

    errors: ClassVar[tuple[type[Exception], ...]] = (
        OSError,
        HttpError,
        ChecksumError,
        ValueError,  # gcsfs's for some refused requests
        aiohttp.ClientError,
        requests.exceptions.RequestException,
        google.auth.exceptions.GoogleAuthError,
    )
    credentials_hint: ClassVar[str] = (
        "Set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`, or "
        "give the machine a service account."
    )
    rights_hint: ClassVar[str] = "You need the role Storage Object User on the bucket."
    no_version: ClassVar[str] = "1"

    def __init__(self) -> None:
        self.filesystem: Any = gcsfs.core.GCSFileSystem(
            token="anon" if os.environ.get(_EMULATOR) else "google_default",
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def get(self, key: str) -> bytes:
        """Return an object."""
        return bytes(self.filesystem.cat_file(key, timeout=ANSWER_S))

    def put(self, key: str, data: Buffer) -> None:
        """Write an object, a large one in parts."""
        self.filesystem.pipe_file(key, data, chunksize=PART_BYTES, timeout=upload_s(len(data)))

    def put_if(self, key: str, data: bytes, version: str | None) -> str | None:
        """Write an object if its generation is `version` (None: if it is absent)."""
        bucket, _, name = key.partition("/")
        try:
            answer = self.filesystem.call(
                "POST",
                urljoin(self.filesystem.base, f"/upload/storage/v1/b/{bucket}/o"),
                uploadType="multipart",
                ifGenerationMatch=_ABSENT if version is None else version,
                headers={"Content-Type": f"multipart/related; boundary={_BOUNDARY}"},
                data=_multipart(name, data),
                json_out=True,
                timeout=CONDITIONAL_S,
            )
        except FileExistsError:  # what gcsfs makes of 412
            return None
        return str(answer["generation"])

    def copy(self, key: str, new_key: str, size: int) -> None:
        """Write an object under a second key; Google copies it on the server."""
        self.filesystem.cp_file(key, new_key, timeout=upload_s(size))

    def stat(self, key: str) -> Stat | None:
        """Return the generation of an object; None if it is absent."""
        bucket, _, name = key.partition("/")
        try:
            headers, content = self.filesystem.call(
                "GET", "b/{}/o/{}", bucket, name, timeout=ANSWER_S
            )
        except FileNotFoundError:
            return None
        found = msgspec.json.decode(content, type=dict[str, Any])
        modified_at = datetime.fromisoformat(found["updated"])
        return Stat(
            str(found["generation"]), int(found.get("size", 0)), modified_at, time_of(headers)
        )

    def list(self, start: str) -> Iterator[ListedObject]:
        """Yield every object below a folder; gcsfs would hide a missing bucket."""
        bucket, _, prefix = start.partition("/")
        token = None
        while True:
            page = self.filesystem.call(
                "GET",
                "b/{}/o",
                bucket,
                prefix=prefix,
                pageToken=token,
                json_out=True,
                timeout=ANSWER_S,
            )
            for found in page.get("items", ()):
                modified_at = datetime.fromisoformat(found["updated"])
                yield ListedObject(
                    f"{bucket}/{found['name']}", int(found.get("size", 0)), modified_at
                )
            token = page.get("nextPageToken")
            if not token:
                return

    @staticmethod
    def refusal(error: Exception) -> Refusal:
        """Say why Google refused."""
        code = str(getattr(error, "code", ""))
        text = str(error)
        if isinstance(error, google.auth.exceptions.GoogleAuthError) or code == "401":
            return "credentials"
        if "bucket does not exist" in text:
            return "bucket"
        if code == "403" or text.startswith("Forbidden"):
            return "denied"
        silent = aiohttp.ClientError | requests.exceptions.RequestException | ConnectionError
        return "unreachable" if isinstance(error, silent | TimeoutError) else "other"


def _multipart(name: str, data: bytes) -> bytes:
    """Return a request's body: the object's name, and its content."""
    head = msgspec.json.encode({"name": name})
    return b"\r\n".join(
        [
            f"--{_BOUNDARY}".encode(),
            b"Content-Type: application/json; charset=UTF-8",
            b"",
            head,
            f"--{_BOUNDARY}".encode(),
            b"Content-Type: application/octet-stream",
            b"",
            data,
            f"--{_BOUNDARY}--".encode(),
            b"",
        ]
    )
