"""Check the simulator against OpenAI's own specification; run by Python of `.venv/specification`.

`check.py generate URL KEY REPORT [CASES]` makes requests of the specification, right and wrong ones,
and checks each response; what it finds goes to standard output, the figures to REPORT as JSON.
`check.py sweep URL KEY [URL…]` reads all completions and messages of each server, and prints JSON:
what violates the amended specification, and which amendment no response needs. It uses nothing of
chatlake.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import requests
import schemathesis
from document import LIST, MESSAGES, OF_RESPONSES, ONE, Json, amended, published
from schemathesis.cli import schemathesis as command

# Values that the simulator's completions have.
MODELS = ["gpt-4o-mini-2024-07-18", "gpt-4.1-2025-04-14"]
METADATA = [{"team": "support"}, {"environment": "production", "team": "growth"}]

SESSION = requests.Session()
SESSION.trust_env = False  # it would look for a proxy before each request


def generate(url: str, key: str, report: str, cases: str = "20") -> int:
    """Let schemathesis make requests in all its phases; return its exit code."""
    _with_stored_ids(url, key)
    # It leaves a file of its failures where it runs.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        document = Path(folder, "openapi.json")
        document.write_text(json.dumps(amended(published())))
        options = ["--url", url, "--header", f"Authorization: Bearer {key}"]
        options += [
            "--generation-deterministic",
        ]
        options += ["--max-examples", cases, "--continue-on-failure", "--no-color"]
        options += ["--suppress-health-check", "all"]  # the machine may be slow
        options += ["--report", "json", "--report-json-path", report]
        code: int = command.main(["run", str(document), *options], standalone_mode=False)
    return code


def _with_stored_ids(url: str, key: str) -> None:
    """Put ids of stored completions in place of most of the generated ones."""
    stored = [row["id"] for row in _asked(url, key, LIST, limit=100, order="asc").json()["data"]]

    def chosen(value: object, among: list[Any]) -> Any:
        """Return one of `among` for three texts of four, and for those always the same."""
        number = zlib.crc32(repr(value).encode("utf-8", "surrogatepass"))
        return among[number // 4 % len(among)] if number % 4 else value

    @schemathesis.hook
    def map_path_parameters(_context: Any, path_parameters: Json) -> Json:
        named = path_parameters or {}  # the list has none
        return {name: chosen(value, stored) for name, value in named.items()} or path_parameters

    @schemathesis.hook
    def map_query(context: Any, query: Json) -> Json:
        named = query or {}
        is_list = context.operation.path == LIST
        cursors = stored if is_list else [f"{name}-0" for name in stored]
        known = {"after": cursors, "model": MODELS, "metadata": METADATA}
        for name in known.keys() & named.keys():
            if isinstance(named[name], (str, dict)):
                named[name] = chosen(named[name], known[name])
        return query


def sweep(url: str, key: str, *more: str) -> int:
    """Read everything that is stored; print what no specification explains, for each server."""
    document = published()
    print(json.dumps([_found(document, each, key) for each in (url, *more)]))
    return 0


def _found(document: Json, url: str, key: str) -> Json:
    asked = list(_everything(url, key))
    return {
        "responses": len(asked),
        "violations": list(islice(_violations(amended(document), asked), 20)),
        "unneeded": [
            name
            for name in OF_RESPONSES
            if next(_violations(amended(document, without=name), asked), None) is None
        ],
    }


def _everything(url: str, key: str) -> Iterator[tuple[str, requests.Response]]:
    query: Json = {"limit": 100, "order": "asc"}
    more = True
    while more:
        answer = _asked(url, key, LIST, **query)
        yield LIST, answer
        page = answer.json()
        for row in page["data"]:
            if query.get("after") is None:
                yield ONE, _asked(url, key, f"{LIST}/{row['id']}")
            yield MESSAGES, _asked(url, key, f"{LIST}/{row['id']}/messages", limit=100)
        more, query["after"] = page["has_more"], page["last_id"]
    yield LIST, _asked(url, key, LIST, model="none")
    yield LIST, _asked(url, key, LIST, limit="many")
    yield LIST, _asked(url, "", LIST)
    yield ONE, _asked(url, key, f"{LIST}/chatcmpl-none")


def _violations(document: Json, asked: list[tuple[str, requests.Response]]) -> Iterator[str]:
    schema = schemathesis.openapi.from_dict(document)
    for path, answer in asked:
        said = document["paths"][path]["get"]["responses"]
        if str(answer.status_code) not in said:
            yield f"{path}: {answer.status_code} is not documented"
            continue
        try:
            schema[path]["GET"].validate_response(answer)
        except (AssertionError, schemathesis.errors.FailureGroup) as problem:
            yield f"{path}: {problem!r} {problem}"[:2000]


def _asked(url: str, key: str, path: str, **query: object) -> requests.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return SESSION.get(url + path, params=query, headers=headers, timeout=10)


if __name__ == "__main__":
    sys.exit({"generate": generate, "sweep": sweep}[sys.argv[1]](*sys.argv[2:]))
