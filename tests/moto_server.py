"""S3 on loopback: moto's server in a thread, one request at a time as S3 orders writes to a name."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing-secret-9f8e7d",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What a command needs besides AWS_ENDPOINT_URL to use the server."""


class S3Server:
    """A running server: its address, and what was asked of it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[tuple[str, str]] = []
        self.environment = {**ENVIRONMENT, "AWS_ENDPOINT_URL": url}

    @cached_property
    def client(self) -> Any:
        """boto3's own client, to look at what lies there."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key=ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        )

    def make_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        self.client.create_bucket(Bucket=name)

    def copy(self, source: str, target: str) -> None:
        """Copy every object of a lake; both are addresses."""
        start, _, prefix = source.removeprefix("s3://").partition("/")
        bucket, _, folder = target.removeprefix("s3://").partition("/")
        for found in self.client.list_objects_v2(Bucket=start, Prefix=f"{prefix}/")["Contents"]:
            name = folder + found["Key"].removeprefix(prefix)
            self.client.copy_object(
                Bucket=bucket, Key=name, CopySource={"Bucket": start, "Key": found["Key"]}
            )


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds: a client that was stopped keeps no thread for ever

    def log(self, *_: Any) -> None:
        """Do not log requests."""


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Serve S3 until the block ends."""
    application = DomainDispatcherApplication(create_backend_app)
    mutex = threading.Lock()

    def ordered(environ: dict[str, Any], respond: Callable[..., Any]) -> Iterable[bytes]:
        # The whole body first: a client that stalls must not hold up the others.
        body, length = environ["wsgi.input"], int(environ.get("CONTENT_LENGTH") or 0)
        data = body.read() if environ.get("wsgi.input_terminated") else body.read(length)
        environ["wsgi.input"] = io.BytesIO(data)
        # moto looks whether an object is there and then writes it: without this, two at once
        # could both find that it is not.
        with mutex:
            server.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
            return list(application(environ, respond))

    listening = make_server("127.0.0.1", 0, ordered, threaded=True, request_handler=_Quiet)
    server = S3Server(f"http://127.0.0.1:{listening.port}")
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
