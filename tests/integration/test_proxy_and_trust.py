"""Proxies and certificates, with real sockets and the command as it is started."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import certifi
import pytest

from chatlake.api.client import ApiClient
from chatlake.api.notification import Outgoing, deliver
from chatlake.api.trust import VARIABLES, trusting
from chatlake.errors import ConfigurationError
from tests.command_line import CommandLine
from tests.integration.scripted_server import serving
from tests.support import KEY, settings_for, write_config

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *PROXIES, *(name.upper() for name in PROXIES)):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("is_configured", [False, True])
def test_a_source_is_asked_through_its_proxy(
    monkeypatch: pytest.MonkeyPatch, *, is_configured: bool
) -> None:
    """Named by the environment without a scheme, or by the configuration: it gets the request."""

    async def asked() -> list[str]:
        async with serving() as proxy:
            configured = f"http://127.0.0.1:{proxy.port}" if is_configured else None
            if not is_configured:
                monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")
            client = ApiClient(base_url="http://api.invalid/v1", key=KEY, proxy=configured)
            try:
                await client.get_completion(bytes, "x")
            finally:
                await client.aclose()
            return [request.target for request in proxy.seen]

    assert asyncio.run(asked()) == ["http://api.invalid/v1/chat/completions/x"]


@pytest.mark.parametrize("variable", VARIABLES)
def test_certificates_that_are_not_there_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    """The variable, the file and the reason, before anything is asked."""
    (tmp_path / "empty.pem").write_text("no certificate\n")
    for name, reason in (("absent.pem", "No such file"), ("empty.pem", "contains no certificate")):
        monkeypatch.setenv(variable, str(tmp_path / name))
        with pytest.raises(ConfigurationError, match=f"{variable} names .*{name}: .*{reason}"):
            ApiClient(base_url="https://api.invalid/v1", key=KEY)
        ApiClient(base_url="http://api.invalid/v1", key=KEY)  # needs none


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_of_the_environment_are_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    """Just those in the named file are trusted."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    first = Path(certifi.where()).read_text().partition(begin)[2].partition(end)[0]
    file = tmp_path / "one.pem"
    file.write_text(f"{begin}{first}{end}\n")
    assert len(trusting().get_ca_certs()) > 20
    monkeypatch.setenv(variable, str(file))
    assert len(trusting().get_ca_certs()) == 1
    monkeypatch.setenv(variable, str(tmp_path))  # a folder is one of hashed certificates
    assert trusting().verify_mode is ssl.CERT_REQUIRED
    assert len(trusting(str(file)).get_ca_certs()) == 1


def test_the_configuration_names_proxy_and_certificates(tmp_path: Path) -> None:
    """`tls.ca_file` is relative to the file; a proxy with a password is refused unshown."""
    settings = settings_for(
        tmp_path, "https://h/v1", proxy="http://proxy:3128", tls={"ca_file": "ca.pem"}
    )
    (source,) = settings.sources
    assert source.proxy == "http://proxy:3128"
    assert source.tls.ca_file == tmp_path / "ca.pem"
    for wrong in ("socks5://proxy:1", "proxy:3128", "http://u:p@proxy", "http://", 3128, "none"):
        with pytest.raises(ConfigurationError, match=r"sources\[0\]\.proxy: .*expected direct, or"):
            settings_for(tmp_path, "https://h/v1", proxy=wrong)


def test_a_notification_obeys_them_and_never_raises(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A backup that has ended is not ended again by a variable of the environment."""
    url = "https://hooks.invalid/secret-path"
    for name, value in (("HTTPS_PROXY", "socks5://proxy:1"), ("SSL_CERT_FILE", "/absent.pem")):
        with monkeypatch.context() as context:
            context.setenv(name, value)
            result = deliver(Outgoing(url, document={}), pause=lambda _: None)
            assert not result.taken
            assert name in result.answer
            assert "secret-path" not in str(result)


@pytest.mark.parametrize(
    "variable",
    [
        ("HTTPS_PROXY", "socks5://proxy:1080", "HTTPS_PROXY names a socks5 proxy (proxy)"),
        ("SSL_CERT_FILE", "/absent/ca.pem", "SSL_CERT_FILE names /absent/ca.pem: No such file"),
    ],
)
@pytest.mark.parametrize("command", ["backup", "doctor"])
def test_the_command_says_so_in_a_line(
    chatlake: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variable: tuple[str, str, str],
    command: str,
) -> None:
    """Exit code 4, what is wrong, and what to do; no traceback."""
    name, value, words = variable
    monkeypatch.setenv(name, value)
    write_config(tmp_path, "https://api.invalid/v1")
    ended = chatlake(command)
    assert ended.code == 4
    assert words in ended.out + ended.err
    assert "hint" in ended.err or "→" in ended.out
    assert "Traceback" not in ended.out + ended.err
