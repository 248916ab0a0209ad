"""What a server wrote stands in Prefect's artifacts as code: no link, no image, no HTML acts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from chatlake.bootstrap.notice import notice_of
from chatlake.errors import ConfigurationError, LakeLockedError
from chatlake.flows.shown import artifacts, maintenance_report
from tests.echo_server import Reply, Request, completion, page, serving
from tests.support import backup, settings_for

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
BAD = "| ![x](https://evil.example/p) [y](https://evil.example) <img src=x> `<b>` <!channel>"


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return all text that is left in artifacts."""
    texts: list[str] = []

    def markdown(text: str, **more: Any) -> None:
        texts.extend([text, more.get("description") or ""])

    def table(rows: list[dict[str, str]], **more: Any) -> None:
        texts.extend(cell for row in rows for cell in row.values())
        texts.append(more.get("description") or "")

    for module in (artifacts, maintenance_report):
        monkeypatch.setattr(module, "create_markdown_artifact", markdown)
        monkeypatch.setattr(module, "create_table_artifact", table)
    return texts


def assert_nothing_acts(texts: list[str]) -> None:
    """The server's text is there, and a renderer sees nothing in it that acts."""
    assert any("evil.example" in text for text in texts)
    for text in texts:
        for block in MARKDOWN.parse(text):
            seen = {block.type} | {child.type for child in block.children or ()}
            assert not seen & {"image", "link_open", "html_inline", "html_block"}, text


def refuse(request: Request) -> Reply:
    """Refuse everything, in bad words and with a bad id."""
    return Reply(400, BAD.encode(), {"x-request-id": BAD})


def test_failures(left: list[str], tmp_path: Path) -> None:
    """Ids, details and ids of requests of failures do nothing in the table."""

    def answer(request: Request) -> Reply:
        if "chat/completions?" in request.path:
            names = ("chatcmpl-1", "chatcmpl-good", "[y](//evil.example)")
            return Reply(200, page(*(completion(name, "") for name in names)))
        if "good" in request.path:
            return Reply(200, page())
        return refuse(request)

    with serving(answer) as server:
        artifacts.leave_artifacts(backup(settings_for(tmp_path, server.base_url)))
    assert_nothing_acts(left)
    assert "chatcmpl-1" in left


def test_failed_source(left: list[str], tmp_path: Path) -> None:
    """What ended a source has no effect either, in the report or in a notification."""
    with serving(refuse) as server:
        report = backup(settings_for(tmp_path, server.base_url))
    artifacts.leave_artifacts(report)
    assert_nothing_acts(left)
    posted = notice_of(report, "backup", None).chat
    assert "evil.example" in posted
    assert "<" not in posted
    assert posted.count("`") == 2


def test_error_of_a_run(left: list[str]) -> None:
    """An error that kept a backup or a maintenance from starting has no effect either."""
    for error in (ConfigurationError(BAD, hint=BAD), LakeLockedError(BAD)):
        artifacts.leave_error(error)
        maintenance_report.leave_maintenance_error(error)
    artifacts.leave_skipped(LakeLockedError(BAD))
    maintenance_report.leave_maintenance_skipped(LakeLockedError(BAD))
    assert_nothing_acts(left)


def test_the_report_groups_failures_that_are_alike(left: list[str], tmp_path: Path) -> None:
    """One line for a hundred of a kind, with the service's words and without ids."""

    def answer(request: Request) -> Reply:
        if "chat/completions?" in request.path:
            names = [f"chatcmpl-{kind}-{n}" for n in range(30) for kind in ("good", "bad")]
            return Reply(200, page(*(completion(name, "") for name in names)))
        if "good" in request.path:
            return Reply(200, page())
        return Reply(400, b'{"error": {"message": "bad | day"}}', {"x-request-id": "req-1"})

    with serving(answer) as server:
        artifacts.leave_artifacts(backup(settings_for(tmp_path, server.base_url)))

    (line,) = [line for line in left[0].splitlines() if line.startswith("| 30 | `openai` |")]
    assert "rejected" in line
    assert "chatcmpl-" not in line
    assert "req-1" not in line
    cells = [block for block in MARKDOWN.parse(left[0]) if block.type == "inline"]
    assert [cell.children[0].type for cell in cells if "bad | day" in cell.content] == [
        "code_inline"
    ]
