"""Azure Blob Storage.

The account comes from the environment (AZURE_STORAGE_CONNECTION_STRING, or
AZURE_STORAGE_ACCOUNT_NAME), credentials from there too or from Azure's own chain.
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar, Final

import adlfs
from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceModifiedError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from fsspec.asyn import sync

from chatlake.lake.object_store import (
    ANSWER_S,
    CONDITIONAL_S,
    Buffer,
    Refusal,
    Stat,
    time_of,
    upload_s,
)

# It warns at length of each way to log in that is not there; the error itself says it once.
logging.getLogger("azure.identity").setLevel(logging.CRITICAL)

_WRONG_CREDENTIALS: Final = {
    "AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation",
}  # fmt: skip
_DENIED: Final = {
    "AuthorizationFailure", "AuthorizationPermissionMismatch", "InsufficientAccountPermissions",
}  # fmt: skip


class AzureStore:
    """The blobs of Azure, by adlfs; a version is an ETag."""

    errors: ClassVar[tuple[type[Exception], ...]] = (OSError, AzureError, ValueError)
    credentials_hint: ClassVar[str] = (
        "Set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and a key, a SAS token "
        "or a managed identity."
    )
    rights_hint: ClassVar[str] = "It takes the role Storage Blob Data Contributor on the container."
    no_version: ClassVar[str] = '"0x0"'

    def __init__(self) -> None:
        self.filesystem: Any = adlfs.AzureBlobFileSystem(
            anon=False,
            max_concurrency=4,
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def get(self, key: str) -> bytes:
        """Return an object."""
        return bytes(self.filesystem.cat_file(key, timeout=ANSWER_S))

    def put(self, key: str, data: Buffer) -> None:
        """Write a blob; Azure's library cuts a large one into blocks."""
        self.filesystem.pipe_file(key, data, timeout=upload_s(data))

    def put_if(self, key: str, data: bytes, version: str | None) -> str | None:
        """Write a blob whose ETag is `version` (None: that is absent)."""
        try:
            if version is None:
                answer = self.filesystem.pipe_file(
                    key, data, overwrite=False, timeout=CONDITIONAL_S
                )
            else:
                answer = self.filesystem.pipe_file(
                    key,
                    data,
                    overwrite=True,
                    etag=version,
                    match_condition=MatchConditions.IfNotModified,
                    timeout=CONDITIONAL_S,
                )
        except (FileExistsError, ResourceModifiedError):
            return None
        return str(answer["etag"])

    def stat(self, key: str) -> Stat | None:
        """Return the ETag of a blob; None if it is absent."""
        found: Stat | None = sync(self.filesystem.loop, self._stat, key, timeout=ANSWER_S)
        return found

    async def _stat(self, key: str) -> Stat | None:
        container, _, name = key.partition("/")
        headers: dict[str, str] = {}

        def keep(response: Any) -> None:
            headers.update(response.http_response.headers)

        client = self.filesystem.service_client
        async with client.get_blob_client(container=container, blob=name) as blob:
            try:
                found = await blob.get_blob_properties(raw_response_hook=keep)
            except ResourceNotFoundError as error:
                if _code(error) == "ContainerNotFound":
                    raise
                return None
        return Stat(str(found.etag), found.size, found.last_modified, time_of(headers))

    @staticmethod
    def refusal(error: Exception) -> Refusal:
        """Say why Azure refused."""
        code = _code(error)
        is_unknown = isinstance(error, ClientAuthenticationError | ValueError)
        if code in _DENIED:
            return "denied"
        if is_unknown or code in _WRONG_CREDENTIALS:
            return "credentials"
        if code == "ContainerNotFound":
            return "bucket"
        is_silent = isinstance(error, ServiceRequestError | ServiceResponseError | ConnectionError)
        return "unreachable" if is_silent or isinstance(error, TimeoutError) else "other"


def _code(error: BaseException) -> str:
    """Return Azure's word for an error, itself or its cause; empty if it is none of Azure's."""
    for problem in (error, error.__cause__, error.__context__):
        if isinstance(problem, HttpResponseError):
            return str(getattr(problem, "error_code", "") or "")
    return ""
