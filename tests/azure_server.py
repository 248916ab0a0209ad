"""Azure Blob Storage on loopback: Azurite, in memory."""

from __future__ import annotations

import base64
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from tests.stand_in import missing, program

ACCOUNT = "testing"
AZURITE = Path(sys.prefix, "azurite", "node_modules", ".bin", "azurite-blob")
OPTIONS = (
    "--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", "0", "--silent",
    "--skipApiVersionCheck",  # the library may be newer
)  # fmt: skip


class AzureServer:
    """A running server: its address, and the key of its only account."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key
        self.environment = self.environment_with(key)

    def environment_with(self, key: str) -> dict[str, str]:
        """Return what a command needs to use the server, with this key."""
        return self._environment(f"AccountName={ACCOUNT};AccountKey={key}")

    def environment_to_read(self, container: str) -> dict[str, str]:
        """Return what a command needs to read and list a container, and no more."""
        from azure.storage.blob import generate_container_sas

        token = generate_container_sas(
            ACCOUNT, container, self.key, permission="rl",
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )  # fmt: skip
        return self._environment(f"SharedAccessSignature={token}")

    def _environment(self, login: str) -> dict[str, str]:
        place = f"DefaultEndpointsProtocol=http;BlobEndpoint={self.url}/{ACCOUNT}"
        return {"AZURE_STORAGE_CONNECTION_STRING": f"{place};{login}"}

    def make_container(self, name: str) -> None:
        """Make an empty container."""
        from azure.storage.blob import BlobServiceClient

        given = self.environment["AZURE_STORAGE_CONNECTION_STRING"]
        with BlobServiceClient.from_connection_string(given) as client:
            client.create_container(name)


@contextmanager
def azure_server() -> Iterator[AzureServer]:
    """Serve Azure's blobs until the block ends."""
    if find_spec("adlfs") is None or not AZURITE.exists():
        missing("Azurite")
    key = base64.b64encode(b"testing-secret-" + secrets.token_bytes(33)).decode()
    environment = {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"}
    with program([str(AZURITE), *OPTIONS], r"listens on (http://\S+)", environment) as url:
        yield AzureServer(url, key)
