"""Every failure that came from a response names the request, so that the service can look it up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from chatlake.errors import ChatlakeError
from tests.faults.source_runs import VirtualTime, backup_in
from tests.integration.test_backup_odd_sources import answering, request_of
from tests.support import NOW, rows, settings_for

NAMES = ("chatcmpl-0", "chatcmpl-1", "chatcmpl-2", "chatcmpl-3")
BAD = NAMES[1]
Response = tuple[int, Any]
QUOTA = {"error": {"message": "no credit left", "code": "insufficient_quota"}}


def page(*data: dict[str, Any], more: bool = False) -> Response:
    """Return a page of a list."""
    return 200, {"object": "list", "data": list(data), "has_more": more}


def refuse(status: int, document: object = None) -> Callable[[str | None], Response]:
    """Refuse the messages, whatever is asked for."""
    return lambda _after: (status, document or {"error": {"message": "no"}})


def begin_again(_after: str | None) -> Response:
    """Begin the list of messages again at each cursor."""
    both = ({"id": f"m-{number}", "role": "user", "content": "?"} for number in range(2))
    return page(*both, more=True)


class Source:
    """Four completions; `messages` answers for those of the bad one, `row` stands in its place."""

    def __init__(self, messages: Any = None, row: Any = None, *, blocks: bool = False) -> None:
        self.asked: list[str] = []
        self._messages = messages
        self._row = row
        self._blocks = blocks

    def respond(self, path: str) -> Response:
        self.asked.append(path)
        address = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        after = query.get("after")
        if address.path.endswith("/messages"):
            if self._messages is not None and f"/{BAD}/" in address.path:
                return self._messages(after)
            return page({"id": f"{address.path}-0", "role": "user", "content": "?"})
        data = [{"id": name, "created": NOW - 9 + n, "model": "m"} for n, name in enumerate(NAMES)]
        if query.get("order") == "desc":
            data.reverse()
        if after:
            data = data[[row["id"] for row in data].index(after) + 1 :]
        count = int(query.get("limit", "20"))
        shown, more = data[:count], len(data) > count
        if self._blocks and any(row["id"] == BAD for row in shown):
            return 500, {"error": {"message": "broken row"}}
        return page(*[self._row or row if row["id"] == BAD else row for row in shown], more=more)


@pytest.mark.sample(5)
@pytest.mark.parametrize(
    ("source", "part"),
    [
        (Source(refuse(403)), f"/{BAD}/messages"),
        (Source(refuse(401)), f"/{BAD}/messages"),
        (Source(refuse(405)), f"/{BAD}/messages"),
        (Source(refuse(429, QUOTA)), f"/{BAD}/messages"),
        (Source(refuse(404)), f"/{BAD}/messages"),
        (Source(refuse(410)), f"/{BAD}/messages"),
        (Source(refuse(302)), f"/{BAD}/messages"),
        (Source(refuse(501)), f"/{BAD}/messages"),
        (Source(refuse(500)), f"/{BAD}/messages"),
        (Source(refuse(200, b"<html>")), f"/{BAD}/messages"),
        (Source(refuse(200, {"data": 1})), f"/{BAD}/messages"),
        (Source(begin_again), f"/{BAD}/messages"),
        (Source(row={"created": NOW}), "/chat/completions?"),
        (Source(blocks=True), "/chat/completions?"),
    ],
    ids=[
        "403", "401", "405", "quota", "404", "410", "redirect", "501", "500", "html", "shape",
        "begins again", "row without id", "blocked list",
    ],
)  # fmt: skip
def test_a_failure_names_the_request_that_showed_it(
    source: Source, part: str, tmp_path: Path
) -> None:
    """The ledger has the id that the server sent with a response on just this completion."""
    with answering(source.respond) as base_url:
        settings = settings_for(tmp_path, base_url, pace={"concurrency": 1, "max_attempts": 2})
        report = backup_in(VirtualTime(), settings)
    assert report.exit_code == 3
    ((name, found),) = rows(settings, "SELECT completion_id, request_id FROM failures")
    assert name == BAD or name.startswith("(row")
    assert found in {request_of(path) for path in source.asked if part in path}


@pytest.mark.sample(3)
@pytest.mark.parametrize("status", [302, 401, 403, 404, 405, 410, 400, 500, 501, 503])
def test_the_error_that_ends_a_run_names_its_request(tmp_path: Path, status: int) -> None:
    """A refused list fails the source, and the error has the server's id."""
    with answering(lambda _path: (status, {"error": {"message": "no"}})) as base_url:
        settings = settings_for(tmp_path, base_url, pace={"max_attempts": 2})
        report = backup_in(VirtualTime(), settings)
    error = report.sources[0].error
    assert isinstance(error, ChatlakeError)
    assert error.request_id.startswith("req_")
