"""Where no port can be listened on, one line says so, and what to do."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable

import pytest

from chatlake.errors import ChatlakeError
from chatlake.flows.serve.own_server import free_port
from chatlake.simulator import server as simulator
from chatlake.web.browse import server as browse

LISTENERS: dict[str, Callable[[int | None], object]] = {
    "browse": browse._listening,
    "simulate": lambda port: simulator._listening(port or 0),
    "serve": free_port,
}


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket can be bound to anything."""

    def bind(_: socket.socket, __: object) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(socket.socket, "bind", bind)


@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize("port", [None, 0])
@pytest.mark.parametrize("command", LISTENERS)
def test_without_a_free_port_the_message_names_no_port(command: str, port: int | None) -> None:
    """Any port was wanted: the message names none, and the remedy is not to choose one."""
    with pytest.raises(ChatlakeError) as raised:
        LISTENERS[command](port)
    assert raised.value.message.startswith("cannot listen on any port of 127.0.0.1")
    assert "Allow chatlake to listen on loopback" in raised.value.hint
    assert "--port" not in raised.value.hint
    assert "\n" not in raised.value.message


@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize("command", LISTENERS)
def test_the_port_that_was_wanted_is_named(command: str) -> None:
    """A certain port cannot be used: the message names it, and another one is the remedy."""
    with pytest.raises(ChatlakeError, match="80") as raised:
        LISTENERS[command](80)
    assert "--port" in raised.value.hint


def test_browse_takes_a_free_port_if_its_usual_one_accepts_no_listener(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two programs may bind a port, and only one can listen on it: the other takes a free one."""
    listen = socket.socket.listen

    def listen_elsewhere(self: socket.socket, backlog: int) -> None:
        if self.getsockname()[1] == browse.PORT:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        listen(self, backlog)

    monkeypatch.setattr(socket.socket, "listen", listen_elsewhere)
    with browse._listening(None) as listener:
        assert listener.getsockname()[1] not in (0, browse.PORT)
