"""Amazon S3, and servers that speak its protocol.

Credentials, region and endpoint come from botocore's own chain: environment, files below ~/.aws,
the role of the machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import cache
from typing import Any, ClassVar, Final

import s3fs
from aiobotocore.session import AioSession
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)
from botocore.loaders import Loader, create_loader

from chatlake.storage.bucket.object_store import (
    ANSWER_S,
    CONDITIONAL_S,
    LIST_S,
    PART_BYTES,
    Buffer,
    ListedObject,
    Refusal,
    Stat,
    time_of,
    upload_s,
)

_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_NO_CREDENTIALS: Final = (
    NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, ProfileNotFound,
    TokenRetrievalError,
)  # fmt: skip
_WRONG_CREDENTIALS: Final = {
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
    "AuthorizationHeaderMalformed", "TokenRefreshRequired",
}  # fmt: skip
_DENIED: Final = {"AccessDenied", "AllAccessDisabled", "AccountProblem", "403"}
# S3 copies up to 5 GiB in one request.
_COPIED_AT_ONCE_BYTES: Final = 5 << 30
# With two conditional writes at the same instant, S3 asks the second one to try again.
_TRIES: Final = 6
_PAUSE_S: Final = 0.1


class S3Store:
    """The objects of S3, by s3fs."""

    errors: ClassVar[tuple[type[Exception], ...]] = (OSError, BotoCoreError, ClientError)
    credentials_hint: ClassVar[str] = (
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a "
        "role."
    )
    rights_hint: ClassVar[str] = (
        "You need s3:ListBucket on the bucket and s3:GetObject, s3:PutObject and s3:DeleteObject "
        "on what is in it."
    )
    no_version: ClassVar[str] = '"00000000000000000000000000000000"'

    def __init__(self) -> None:
        config: dict[str, Any] = {"retries": {"mode": "standard", "max_attempts": 5}}
        if any(os.environ.get(name) for name in _ENDPOINTS):
            # Servers other than Amazon's rarely support a host name for each bucket.
            config["s3"] = {"addressing_style": "path"}
        self.filesystem: Any = s3fs.S3FileSystem(
            config_kwargs=config,
            max_concurrency=4,
            use_listings_cache=False,
            skip_instance_cache=True,
            session=_new_session(),
        )

    def get(self, key: str) -> bytes:
        """Return an object; s3fs would first request its size, to read it in pieces."""
        return bytes(self.filesystem.cat_file(key, max_concurrency=1, timeout=ANSWER_S))

    def put(self, key: str, data: Buffer) -> None:
        """Write an object, a large one in parts."""
        self.filesystem.pipe_file(key, data, chunksize=PART_BYTES, timeout=upload_s(len(data)))

    def put_if(self, key: str, data: bytes, version: str | None) -> str | None:
        """Write an object if its ETag is `version` (None: if it is absent)."""
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        bucket, _, name = key.partition("/")
        end = time.monotonic() + CONDITIONAL_S
        for left in reversed(range(_TRIES)):
            try:
                answer = self.filesystem.call_s3(
                    "put_object",
                    Bucket=bucket,
                    Key=name,
                    Body=data,
                    **condition,
                    timeout=max(_PAUSE_S, end - time.monotonic()),
                )
            except OSError as error:
                match _code(error):
                    case "PreconditionFailed" | "412":
                        return None
                    case "NoSuchKey" | "404" if version is not None:
                        return None
                    case "ConditionalRequestConflict" | "409" if left:
                        time.sleep(_PAUSE_S)
                    case _:
                        raise
            else:
                return str(answer["ETag"])
        raise AssertionError("unreachable")

    def copy(self, key: str, new_key: str, size: int) -> None:
        """Write an object under a second key; S3 copies it on the server.

        s3fs would ask for the size first; it copies one that is too large for one request in parts.
        """
        if size > _COPIED_AT_ONCE_BYTES:
            self.filesystem.cp_file(key, new_key, timeout=upload_s(size))
            return
        bucket, _, name = key.partition("/")
        new_bucket, _, new_name = new_key.partition("/")
        self.filesystem.call_s3(
            "copy_object",
            Bucket=new_bucket,
            Key=new_name,
            CopySource={"Bucket": bucket, "Key": name},
            timeout=upload_s(size),
        )

    def stat(self, key: str) -> Stat | None:
        """Return the ETag of an object; None if it is absent."""
        bucket, _, name = key.partition("/")
        try:
            answer = self.filesystem.call_s3(
                "head_object", Bucket=bucket, Key=name, timeout=ANSWER_S
            )
        except FileNotFoundError:
            return None
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        return Stat(
            str(answer["ETag"]), answer["ContentLength"], answer["LastModified"], time_of(headers)
        )

    def list(self, start: str) -> Iterator[ListedObject]:
        """Yield every object below a folder.

        By prefix: of an empty folder by its path, s3fs asks twice more whether it is an object.
        """
        bucket, _, prefix = start.partition("/")
        found_below = self.filesystem.find(bucket, prefix=prefix, detail=True, timeout=LIST_S)
        for key, found in found_below.items():
            if found["type"] == "file" and key.startswith(start):
                yield ListedObject(key, found["size"] or 0, found["LastModified"])

    @staticmethod
    def refusal(error: Exception) -> Refusal:
        """Say why S3 refused."""
        code = _code(error)
        if isinstance(error, _NO_CREDENTIALS) or code in _WRONG_CREDENTIALS:
            return "credentials"
        if code == "NoSuchBucket":
            return "bucket"
        if code in _DENIED:
            return "denied"
        if code in {"NotImplemented", "501"}:
            return "unsupported"
        is_silent = isinstance(error, BotoCoreError | ConnectionError | TimeoutError)
        return "unreachable" if is_silent else "other"


@cache
def _descriptions() -> Loader:
    """Read botocore's description of S3, once a process: that is most of the work of a session."""
    loader: Loader = create_loader(os.environ.get("AWS_DATA_PATH"))
    return loader


def _new_session() -> AioSession:
    session = AioSession()
    session.register_component("data_loader", _descriptions())
    return session


def _code(error: BaseException) -> str:
    """Return S3's code for an error, which s3fs keeps as the cause; empty if it is not S3's."""
    for problem in (error, error.__cause__):
        if isinstance(problem, ClientError):
            return str(problem.response.get("Error", {}).get("Code", ""))
    return ""
