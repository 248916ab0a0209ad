"""Through which proxy a host is reached, by the configuration and by the environment."""

from __future__ import annotations

import pytest

from chatlake.api.proxies import proxy_for
from chatlake.errors import ConfigurationError

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("http://proxy:3128", "http://proxy:3128"),
        ("proxy:3128", "http://proxy:3128"),
        ("proxy", "http://proxy"),
        ("10.1.2.3:8080", "http://10.1.2.3:8080"),
        ("user:pass@proxy:3128", "http://user:pass@proxy:3128"),
        ("[fd00::1]:3128", "http://[fd00::1]:3128"),
        ("https://proxy", "https://proxy"),
        ("HTTP://proxy:1", "HTTP://proxy:1"),
    ],
)
@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_with_or_without_a_scheme(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, address: str
) -> None:
    """What curl takes for an address is one."""
    monkeypatch.setenv(name, value)
    assert proxy_for("https", "api.example.org") == address


@pytest.mark.parametrize(
    "value", ["socks5://u:secret@proxy:1080", "socks5h://proxy", "socks4://p:1"]
)
def test_socks_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """The variable, the kind and the host are named, credentials are not."""
    monkeypatch.setenv("ALL_PROXY", value)
    with pytest.raises(ConfigurationError, match=r"ALL_PROXY names a socks.* only http") as caught:
        proxy_for("https", "api.example.org")
    assert "secret" not in caught.value.message
    assert proxy_for("https", "127.0.0.1") is None  # it is not asked for what is near


@pytest.mark.parametrize(
    "value", ["http://", "proxy:port", "http://u:secret@:80", "[::1", "p:99999"]
)
def test_what_is_not_an_address_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """The variable and what it holds, without credentials."""
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY is") as caught:
        proxy_for("https", "api.example.org")
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "is_direct"),
    [
        ("*", "api.example.org", 443, True),
        ("other, example.org", "api.example.org", 443, True),
        (".example.org", "example.org", 443, True),
        ("*.example.org", "api.example.org", 443, True),
        ("EXAMPLE.org", "api.Example.ORG", 443, True),
        ("ample.org", "example.org", 443, False),
        ("example.org:443", "example.org", None, True),
        ("example.org:8443", "example.org", 443, False),
        ("10.0.0.0/8", "10.2.3.4", 443, True),
        ("10.0.0.1/8", "10.2.3.4", 443, True),
        ("10.0.0.0/8", "11.2.3.4", 443, False),
        ("10.0.0.0/8", "10.example.org", 443, False),
        ("fd00::/8", "fd12::1", 443, True),
        ("fd00::/8", "fe80::1", 443, False),
        ("10.2.3.4", "10.2.3.4", 443, True),
        ("3.4", "10.2.3.4", 443, False),
        ("fd00::5", "fd00:0::5", 443, True),
        ("[fd00::5]", "fd00::5", 443, True),
        ("[fd00::5]:8443", "fd00::5", 8443, True),
        ("[fd00::5]:8443", "fd00::5", 443, False),
        ("", "example.org", 443, False),
        (" , ,", "example.org", 443, False),
        ("300.0.0.0/8, 10.0.0.0/99", "10.2.3.4", 443, False),
        (".", "example.org", 443, False),
    ],
)
def test_hosts_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, host: str, port: int | None, is_direct: bool
) -> None:
    """`NO_PROXY` names domains, ports, addresses and networks."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    expected = None if is_direct else "http://proxy:3128"
    assert proxy_for("https", host, port) == expected


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "a.localhost"])
def test_loopback_needs_no_proxy(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Whatever is configured: a proxy cannot reach this machine's own servers."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    assert proxy_for("http", host) is None
    assert proxy_for("http", host, configured="http://proxy:3128") is None


def test_the_configuration_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address there is used although `NO_PROXY` names the host; `direct` means none."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert proxy_for("https", "example.org", configured="direct") is None
    monkeypatch.setenv("NO_PROXY", "*")
    assert proxy_for("https", "example.org", configured="http://other:1") == "http://other:1"
