"""A server that repeats secrets brings them nowhere: not to a terminal, not into the lake."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest

from tests.command_line import CommandLine, Ended
from tests.echo_server import Reply, Request, completion, page, serving
from tests.hook import hook
from tests.support import KEY, write_config

SECRETS = {
    "GW": "gateway-4f3e2d1c",
    "TOK": "tok.en/0f1e2d3c4b5a6978",
    "PASSWORD": "hunter22",
    "SIGNATURE": "s+g/na=ture%20",
    "NOTE": "note-of-no-known-name",
    "TENANT": "tenant-8-77-66-55",
    "LONG": "0123456789abcdef" * 20,
    "BASIC": "Basic " + base64.b64encode(b"robot:correct-horse").decode(),
}
HIDDEN = {**SECRETS, "key": KEY, "BASIC": "correct-horse", "default": "default-of-a-reference"}
SENT: dict[str, Any] = {
    "headers": {
        "X-Gateway": "${GW}",
        "X-Custom-Token": "Bearer ${TOK}",
        "X-Password": "${PASSWORD}",
        "X-Note": "Bearer ${NOTE}",
        "X-Basic-Authorization": "${BASIC}",
        "X-Region": "near-${REGION:-default-of-a-reference}-far",
    },
    "query": {"sig": "${SIGNATURE}", "tenant": "of ${TENANT}", "password": "${LONG}"},
    "pace": {"max_attempts": 2, "give_up_after": "500ms"},
}
ODD = "\x1b]0;gone\x07\x1b[31m\x9b\u202e"


def _refuse(request: Request) -> Reply:
    return Reply(400, json.dumps({"error": {"message": request.said}}).encode())


def _refuse_in_plain(request: Request) -> Reply:
    return Reply(403, request.said.encode())


def _refuse_for_ever(request: Request) -> Reply:
    return Reply(500, quote(request.said, safe="").encode(), {"Retry-After": "0"})


def _unreadable(request: Request) -> Reply:
    return Reply(200, b"no JSON " + request.all[-1].encode(), _ids(request))


def _of_no_list(request: Request) -> Reply:
    return Reply(200, json.dumps({"data": request.said}).encode(), _ids(request))


def _odd_claim(request: Request) -> Reply:
    return Reply(200, json.dumps({"data": [], "has_more": request.said}).encode(), _ids(request))


def _broken_off(request: Request) -> Reply:
    return Reply(200, b"\x1f\x8b not gzip", {**_ids(request), "Content-Encoding": "gzip"})


def _redirect(request: Request) -> Reply:
    return Reply(302, b"", {"Location": f"https://{quote(request.said, safe='')}/"})


def _base64_of_all(request: Request) -> Reply:
    return Reply(401, b"got " + base64.b64encode(request.said.encode()))


def _ids(request: Request) -> dict[str, str]:
    """Return an id for the request of all that was sent, with what acts on terminals."""
    shown = ODD.encode("utf-8").decode("latin-1") + unquote(request.said) + "x" * 7000
    return {"x-request-id": shown.replace("\n", " ")}


BAD = (
    _refuse, _refuse_in_plain, _refuse_for_ever, _unreadable, _of_no_list, _odd_claim, _broken_off,
    _redirect, _base64_of_all,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("REGION", raising=False)


def assert_hidden(*texts: str) -> None:
    """No secret stands in any of the texts, bare or encoded."""
    for text in texts:
        for name, secret in HIDDEN.items():
            for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]):
                assert form not in text, f"{name} in {text[:2000]!r}"


def assert_harmless(text: str) -> None:
    """Nothing in it acts on a terminal."""
    odd = {character for character in text if not character.isprintable()} - {"\n"}
    assert not odd


def told(chatlake: CommandLine, folder: Path) -> str:
    """Return everything that the lake says about itself, texts and rows."""
    shown = [chatlake("status").out, chatlake("status", "--json").out, chatlake("verify").out]
    queries = [f"SELECT * FROM {view}" for view in ("runs", "failures")]
    shown += [chatlake("sql", query, "--format", "json").out for query in queries]
    manifests = [path.read_text() for path in sorted((folder / "lake").rglob("*.json"))]
    return "\n".join([*shown, *manifests])


def ended_well(run: Ended) -> None:
    """Assert that it ended with one of chatlake's own errors, and with the secret replaced."""
    assert run.code != 0
    assert "Traceback" not in run.err
    assert "unexpected error" not in run.err
    assert "[key]" in run.out + run.err


@pytest.mark.sample(1)
@pytest.mark.parametrize("bad", BAD)
def test_list_that_repeats_what_was_sent(chatlake: CommandLine, tmp_path: Path, bad: Any) -> None:
    """Commands, logs, the ledger and what is posted show no secret of a list that fails."""
    with serving(bad) as server, hook(200) as taking:
        config = write_config(tmp_path, server.base_url, **SENT)
        config.write_bytes(config.read_bytes() + f"notify: {taking.url}\n".encode())
        for words in (
            ["backup"],
            ["backup", "--json", "--debug"],
            ["doctor"],
            ["doctor", "--json"],
        ):
            run = chatlake(*words)
            assert run.code != 0
            assert "Traceback" not in run.err
            assert "unexpected error" not in run.err
            assert_hidden(run.out, run.err)
            assert_harmless(run.out + run.err)
        assert_hidden(told(chatlake, tmp_path))
    for posted in taking.posted:
        assert_hidden(json.dumps(posted, ensure_ascii=False), json.dumps(posted))
        assert_harmless(posted["text"])
        assert len(posted["text"]) < 1000
    assert len(taking.posted) == 2


@pytest.mark.sample(1)
@pytest.mark.parametrize("bad", BAD)
def test_messages_that_repeat_what_was_sent(
    chatlake: CommandLine, tmp_path: Path, bad: Any
) -> None:
    """Named failures hold no secret, and are bounded; what was stored stays as it was sent."""
    stored = f"my key is {KEY}, my password hunter22 {ODD}"

    def answer(request: Request) -> Reply:
        if urlsplit(request.path).path.endswith("/chat/completions"):
            return Reply(200, page(completion("chatcmpl-1", stored), completion("chatcmpl-2", "")))
        is_good = "chatcmpl-1" in request.path
        return Reply(200, page()) if is_good else bad(request)

    with serving(answer) as server:
        write_config(tmp_path, server.base_url, **SENT)
        run = chatlake("backup", "--json", "--debug")
    assert_hidden(run.out, run.err)
    assert_hidden(told(chatlake, tmp_path))
    for failure in chatlake(
        "sql", "SELECT detail, request_id FROM failures", "--format", "json"
    ).json:
        assert len(failure["detail"] or "") <= 500
        assert len(failure["request_id"] or "") <= 100
        assert_harmless(f"{failure['detail']}{failure['request_id']}")
    kept = chatlake(
        "sql", "FROM messages WHERE completion_id = 'chatcmpl-1'", "--format", "json"
    ).json
    assert [row["content"] for row in kept] == [stored]


@pytest.mark.usefixtures("short_waits")
def test_reference_in_the_address(
    chatlake: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference in the path of base_url is struck out; its host stays to be read."""
    monkeypatch.setenv("HOST", "127.0.0.1")

    with serving(_refuse) as server:
        write_config(tmp_path, f"http://${{HOST}}:{server.port}/v1/${{GW}}")
        run = chatlake("backup")
    assert_hidden(run.out, run.err)
    assert "/v1/[key]/chat/completions" in run.err
    write_config(tmp_path, f"http://${{HOST}}:{server.port}/v1/${{GW}}")
    assert "127.0.0.1" in chatlake("backup").err


def test_prefect_secret_is_struck_out(
    chatlake: CommandLine, tmp_path: Path, blocks: dict[str, str]
) -> None:
    """A secret from a Prefect block is struck out like one from the environment."""
    blocks["gateway"] = HIDDEN["GW"]
    with serving(_refuse) as server:
        write_config(tmp_path, server.base_url, headers={"X-Gateway": "secret:gateway"})
        run = chatlake("backup", "--debug")
    ended_well(run)
    assert_hidden(run.out, run.err)


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Stand in for Prefect's store of blocks."""
    stored: dict[str, str] = {}
    for module in ("sources", "backup"):
        monkeypatch.setattr(
            f"chatlake.bootstrap.{module}.load_prefect_secret", stored.__getitem__, raising=False
        )
    return stored
