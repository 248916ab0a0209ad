"""Access control: every request passes here first.

A lake contains what others said in confidence, and loopback is open to every program and user of
the machine, and to web pages in its browsers. So

- the Host header must name this server: a page elsewhere cannot reach it under its own name
  (DNS rebinding);
- the address that the command prints carries a token, which is exchanged for a cookie that no
  script reads and no other site sends. Without either, the response is 403;
- only GET is allowed, and the policy of every page lets it load nothing from elsewhere.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatlake.web.templates import render

TOKEN: Final = "token"  # noqa: S105 - the name of a parameter
_POLICY: Final = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-dns-prefetch-control": "off",
    "cache-control": "no-store",
}


class Guard:
    """An ASGI app around another one that lets in only the person who started it.

    `hosts`: the allowed Host headers. `name`: of the cookie; cookies do not distinguish ports, so
    two servers on one machine need different names.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], name: str) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._name = name
        self.token = secrets.token_urlsafe(24)
        self._cookie = secrets.token_urlsafe(24)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 or 405, exchange the token, or pass the request on."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        answer = self._answer(scope)
        await (self._app if answer is None else answer)(scope, receive, send_guarded)

    def _answer(self, scope: Scope) -> Response | None:
        """Return the response to a refused request."""
        headers = Headers(scope=scope)
        if headers.getlist("host") not in [[host] for host in self._hosts]:
            return _refused(403, "This server responds only at its own address.")
        if scope["method"] != "GET":
            answer = _refused(405, "This server only shows pages.")
            answer.headers["allow"] = "GET"
            return answer
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == TOKEN]
        if given:
            if not _same(given[0], self.token):
                return _refused(403, "The token does not belong to this server.")
            rest = urlencode([(name, value) for name, value in query if name != TOKEN])
            return self._let_in(scope["path"] + (f"?{rest}" if rest else ""), headers)
        if not _same(self._cookie_of(headers), self._cookie):
            return _refused(403, "Open the address that `chatlake browse` printed.")
        return None

    def _let_in(self, target: str, headers: Headers) -> Response:
        """Set the cookie, and redirect to the same address without the token."""
        target = "/" + target.lstrip("/\\")
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            answer: Response = RedirectResponse(target, 303)
        else:
            # A browser sends the cookie only with requests from our own pages.
            answer = HTMLResponse(render("opening.html", target=target))
        answer.set_cookie(self._name, self._cookie, httponly=True, samesite="strict", path="/")
        return answer

    def _cookie_of(self, headers: Headers) -> str:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return ""
        found = cookies.get(self._name)
        return "" if found is None else found.value


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _refused(status: int, why: str) -> Response:
    return HTMLResponse(render("refused.html", status=status, why=why), status)
