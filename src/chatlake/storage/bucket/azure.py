"""Azure Blob Storage.

The account comes from the environment (AZURE_STORAGE_CONNECTION_STRING, or
AZURE_STORAGE_ACCOUNT_NAME), credentials from there too or from Azure's own chain.
"""

from __future__ import annotations

import builtins
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
from azure.storage.blob.aio import BlobServiceClient, ExponentialRetry
from fsspec.asyn import sync

from chatlake.storage.bucket.object_store import (
    ANSWER_S,
    CONDITIONAL_S,
    LIST_S,
    Buffer,
    ListedObject,
    Refusal,
    Stat,
    time_of,
    upload_s,
)

# azure.identity warns at length about each missing way to log in; the error itself says it once.
logging.getLogger("azure.identity").setLevel(logging.CRITICAL)

_WRONG_CREDENTIALS: Final = {
    "AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation",
}  # fmt: skip
_NO_LOGIN: Final = "failed to authenticate"
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
    rights_hint: ClassVar[str] = "You need the role Storage Blob Data Contributor on the container."
    no_version: ClassVar[str] = '"0x0"'

    def __init__(self) -> None:
        self.filesystem: Any = adlfs.AzureBlobFileSystem(
            anon=False,
            max_concurrency=4,
            use_listings_cache=False,
            skip_instance_cache=True,
        )
        # adlfs passes on no options, and by default the library tries for more than a minute.
        # Retries after 1, 3, 5 and 9 seconds, give or take three.
        retries = ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=4)
        given = self.filesystem.service_client
        self.filesystem.service_client = BlobServiceClient(
            given.url, credential=given.credential, retry_policy=retries
        )

    def get(self, key: str) -> bytes:
        """Return an object."""
        return bytes(self.filesystem.cat_file(key, timeout=ANSWER_S))

    def put(self, key: str, data: Buffer) -> None:
        """Write a blob; Azure's library cuts a large one into blocks."""
        self.filesystem.pipe_file(key, data, timeout=upload_s(len(data)))

    def put_if(self, key: str, data: bytes, version: str | None) -> str | None:
        """Write a blob if its ETag is `version` (None: if it is absent)."""
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

    def copy(self, key: str, new_key: str, size: int) -> None:
        """Write a blob under a second key.

        It is downloaded and uploaded, because Azure's own copy is asynchronous.
        """
        data = self.filesystem.cat_file(key, timeout=upload_s(size))
        self.put(new_key, bytes(data))

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

    def list(self, start: str) -> list[ListedObject]:
        """Return every blob below a folder; adlfs would hide a missing container."""
        return sync(self.filesystem.loop, self._list, start, timeout=LIST_S)  # type: ignore[no-any-return]

    async def _list(self, start: str) -> builtins.list[ListedObject]:
        container, _, prefix = start.partition("/")
        async with self.filesystem.service_client.get_container_client(container) as client:
            return [
                ListedObject(f"{container}/{found.name}", found.size, found.last_modified)
                async for found in client.list_blobs(name_starts_with=prefix, include=["metadata"])
                if not (found.metadata or {}).get("hdi_isfolder")  # of accounts that have folders
            ]

    @staticmethod
    def refusal(error: Exception) -> Refusal:
        """Say why Azure refused."""
        code = _code(error)
        is_unknown = isinstance(error, ClientAuthenticationError | ValueError)
        # Azurite uses the same code for a wrong key and a missing permission.
        if code in _DENIED and _NO_LOGIN not in str(error):
            return "denied"
        if is_unknown or code in _DENIED | _WRONG_CREDENTIALS:
            return "credentials"
        if code == "ContainerNotFound":
            return "bucket"
        is_silent = isinstance(error, ServiceRequestError | ServiceResponseError | ConnectionError)
        return "unreachable" if is_silent or isinstance(error, TimeoutError) else "other"


def _code(error: BaseException) -> str:
    """Return Azure's code for an error or its cause; empty if it is not Azure's."""
    for problem in (error, error.__cause__, error.__context__):
        if isinstance(problem, HttpResponseError):
            code = getattr(problem, "error_code", None)
            return str(getattr(code, "value", code) or "")  # a word, or one of an enumeration
    return ""
