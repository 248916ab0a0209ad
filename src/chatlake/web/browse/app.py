"""The pages of `chatlake browse`, by their addresses."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import date
from importlib.resources import files
from typing import Any, Final, TypeVar

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from chatlake.errors import LakeError
from chatlake.lake.catalog.search import stored_days
from chatlake.model.outside_text import strike_out
from chatlake.web.browse import ledger, plain_forms
from chatlake.web.browse.catalogue import Catalogue, Session, TooSlowError
from chatlake.web.browse.conversation import Key, conversation_page
from chatlake.web.browse.list_page import ListFields, ListPage, conversation_named, list_page
from chatlake.web.browse.media import PICTURES, load_image
from chatlake.web.browse.old_version import old_version_page
from chatlake.web.browse.turns import days_around, read_days
from chatlake.web.templates import render

T = TypeVar("T")

_STATIC: Final = {
    "tokens.css": "text/css",
    "browse.css": "text/css",
    "browse.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_DIGITS: Final = 5  # of the number of a version
_FORMS: Final = {
    ".json": (plain_forms.as_json, "application/json"),
    ".md": (plain_forms.as_markdown, "text/markdown"),
}


class Pages:
    """The pages of one lake.

    Starlette calls them in threads, so DuckDB does not block other requests.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def list(self, request: Request) -> Response:
        """Show the list of conversations."""
        asked = ListFields.of(request.query_params)
        if asked.q and not asked.before:
            target = self._made(lambda session: conversation_named(session, asked))
            if target is not None:
                return RedirectResponse(target, 303)
        page = self._made(lambda session: list_page(session, asked))
        answer = self._page("list.html", page=page, title=asked.q or "Conversations")
        answer.background = BackgroundTask(self._read_days, page)
        return answer

    def _read_days(self, page: ListPage) -> None:
        """Make the conversations of a list quick to open."""
        listed = [(row.listed.source, day) for day, rows in page.days for row in rows]
        with suppress(TooSlowError, LakeError):
            self._made(lambda session: read_days(session, days_around(listed)))

    def conversation(self, request: Request) -> Response:
        """Show a conversation, or return it in another format."""
        key = _key(request)
        if version := request.query_params.get("version"):
            number = int(version) if version.isdecimal() and len(version) < _DIGITS else 0
            old = self._found(lambda session: old_version_page(session, key, number))
            return self._page("conversation.html", page=old, title=key.completion_id,
                              pictures=PICTURES)  # fmt: skip
        page = self._made(lambda session: conversation_page(session, key))
        if page is not None:
            return self._page("conversation.html", page=page, title=key.completion_id,
                              pictures=PICTURES)  # fmt: skip
        for ending, (form, media_type) in _FORMS.items():
            if key.completion_id.endswith(ending):
                inner = Key(key.source, key.day, key.completion_id.removesuffix(ending))
                text = self._found(lambda session: form(session, inner))  # noqa: B023 - called here
                return Response(text, media_type=f"{media_type}; charset=utf-8")
        raise _missing()

    def raw(self, request: Request) -> Response:
        """Show what the API sent."""
        key = _key(request)
        text = self._found(lambda session: plain_forms.as_pretty_json(session, key))
        return PlainTextResponse(text)

    def text(self, request: Request) -> Response:
        """Show all of one message's text."""
        key, index = _key(request), request.path_params["index"]
        text = self._found(lambda session: plain_forms.whole_text(session, key, index))
        return PlainTextResponse(text)

    def image(self, request: Request) -> Response:
        """Send an embedded image."""
        given = request.path_params
        day = _day(given["day"])
        media = self._found(
            lambda session: load_image(session, given["source"], day, given["sha256"])
        )
        answer = Response(media.data, media_type=media.media_type)
        if not media.is_picture:
            answer.headers["content-disposition"] = "inline; filename=image.txt"
        return answer

    def runs(self, _request: Request) -> Response:
        """Show the newest runs."""
        return self._page("runs.html", runs=self._made(ledger.runs), most=ledger.MOST, title="Runs")

    def gaps(self, _request: Request) -> Response:
        """Show what could not be fetched."""
        found, count = self._made(ledger.gaps)
        return self._page("gaps.html", gaps=found, count=count, title="Gaps")

    def usage(self, _request: Request) -> Response:
        """Show usage by day and model."""
        page = self._made(
            lambda session: ledger.usage(
                session, session.once("days", lambda: stored_days(session.ask))
            )
        )
        return self._page("usage.html", usage=page, title="Usage")

    def static(self, request: Request) -> Response:
        """Send a style sheet, the script or the icon."""
        name = request.path_params["name"]
        if name not in _STATIC:
            raise _missing()
        data = files("chatlake.web").joinpath("static", name).read_bytes()
        return Response(data, media_type=_STATIC[name])

    def failed(self, _request: Request, error: Exception) -> Response:
        """Show what went wrong."""
        if isinstance(error, TooSlowError):
            seconds = self._catalogue.patience_s
            return self._page("slow.html", 503, seconds=seconds, title="This took too long")
        if isinstance(error, HTTPException):
            return self._page("missing.html", error.status_code, title="Nothing here")
        message = strike_out(error.message) if isinstance(error, LakeError) else ""
        hint = strike_out(error.hint) if isinstance(error, LakeError) else ""
        return self._page("failed.html", 500, message=message, hint=hint, title="This failed")

    def _made(self, make: Callable[[Session], T]) -> T:
        return self._catalogue.page(make)

    def _found(self, make: Callable[[Session], T | None]) -> T:
        found = self._made(make)
        if found is None:
            raise _missing()
        return found

    def _page(self, template: str, status: int = 200, **values: Any) -> Response:
        text = render(template, location=self._catalogue.location, **values)
        return HTMLResponse(text, status)


def make_app(catalogue: Catalogue) -> Starlette:
    """Return the pages as an ASGI app; without the guard."""
    pages = Pages(catalogue)
    conversation = "/c/{source}/{day}/{completion_id:path}"
    failures: dict[Any, Any] = dict.fromkeys(
        (TooSlowError, LakeError, HTTPException, 500), pages.failed
    )
    return Starlette(
        routes=[
            Route("/", pages.list),
            Route(f"{conversation}/raw", pages.raw),
            Route(f"{conversation}/text/{{index:int}}", pages.text),
            Route(conversation, pages.conversation),
            Route("/image/{source}/{day}/{sha256}", pages.image),
            Route("/runs", pages.runs),
            Route("/gaps", pages.gaps),
            Route("/usage", pages.usage),
            Route("/static/{name}", pages.static),
        ],
        exception_handlers=failures,
    )


def _key(request: Request) -> Key:
    given = request.path_params
    return Key(given["source"], _day(given["day"]), given["completion_id"])


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise _missing() from error


def _missing() -> HTTPException:
    return HTTPException(404)
