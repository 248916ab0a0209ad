"""Which certificates to trust: the configured file's, else those that the environment names.

The first of these that is set applies: `tls.ca_file`, `SSL_CERT_FILE`, `SSL_CERT_DIR`,
`REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE`. If none is set, the certificates that come with httpx apply.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Final

import httpx

from chatlake.errors import ConfigurationError

VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_HINT: Final = "Name a file of certificates in PEM form."


def trusting(ca_file: str | None = None) -> ssl.SSLContext:
    """Return an SSL context that trusts these certificates.

    Raises ConfigurationError if they cannot be read, or there are none.
    """
    if ca_file is not None:
        return _of_file(Path(ca_file), "tls.ca_file")
    for name in VARIABLES:
        if os.environ.get(name):
            return _of_file(Path(os.environ[name]), name)
    return httpx.create_ssl_context(trust_env=False)


def _of_file(path: Path, where: str) -> ssl.SSLContext:
    try:
        if path.is_dir():
            return ssl.create_default_context(capath=str(path))
        return ssl.create_default_context(cafile=str(path))
    except ssl.SSLError:
        reason = "it contains no certificate"
    except OSError as error:
        reason = error.strerror or str(error)
    raise ConfigurationError(f"{where} names {path}: {reason}", hint=_HINT)
