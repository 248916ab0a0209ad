"""A lake where every count is 1: no text speaks of "1 rows"."""

from __future__ import annotations

import ast
import re
import shutil
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

import httpx
import pytest

import chatlake as package
from chatlake.backup.report import BackupReport, SourceReport
from chatlake.bootstrap.forgetting import ForgetReport
from chatlake.bootstrap.notice import notice_of
from chatlake.bootstrap.opened import open_lake
from chatlake.config import load_settings
from chatlake.flows.maintenance import _completed
from chatlake.flows.shown.artifacts import report_markdown
from chatlake.flows.shown.maintenance_report import Maintenance, maintenance_markdown
from chatlake.flows.states import final_state
from chatlake.lake import Lake
from chatlake.lake.compacting import CompactionReport
from chatlake.lake.vacuum import Unlisted
from chatlake.model.forgotten import Forgetting
from chatlake.model.manifest import Failure, SourceRun
from chatlake.model.new_fields import NewField
from chatlake.simulator import Faults, Scenario, running
from chatlake.storage.interface import StoredFile
from chatlake.verify.findings import VerifyReport
from chatlake.web.browse.server import BrowseServer
from tests.command_line import CommandLine
from tests.reading_lake import completion, reply, store
from tests.support import NOW, waiting_briefly, write_config

PLURALS: Final = (
    "rows|completions|conversations|messages|parts|images|files|days|commits|bytes|tokens|tools|"
    "problems|gaps|runs|versions|lines|models|requests|sources|fields|places|times|replies|ids|"
    "attempts|columns|words|characters|choices|characters|seconds|changes|turns|failures|manifests"
)
WRONG: Final = re.compile(
    rf"(?<![\d.,])1 (?:[a-z]+s|(?:(?!with |of |in |and )[a-z]+ ){{1,2}}(?:{PLURALS}))\b(?! of the)"
)
ALLOWED: Final = {"1 is", "1 has", "1 was", "1 this", "1 lists"}


def wrong(text: str) -> list[str]:
    """Return each 1 before a plural in a text, which may be HTML."""
    block = "<(style|script).*?</\\1>|</?(td|th|div|p|li|dt|dd|h[1-6])\\b[^>]*>"
    text = re.sub("<[^>]*>", "", re.sub(block, "\n", text, flags=re.DOTALL))
    return [found for found in WRONG.findall(text) if found not in ALLOWED]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("it holds 1 rows, 1 image parts and 11 rows", ["1 rows", "1 image parts"]),
        ("1 of 1 completions could not be fetched", ["1 completions"]),
        ("1 row, 1 image part, 0.1 tokens", []),
    ],
)
def test_the_check_finds_what_it_looks_for(text: str, found: list[str]) -> None:
    """It sees a plural right after the 1 and after an adjective, and no part of another number."""
    assert wrong(text) == found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a configuration and a lake that holds one completion, and one gap."""
    folder = tmp_path_factory.mktemp("one")
    write_config(folder, "http://127.0.0.1:9/v1", retention="30d")
    one = completion("chatcmpl-one", "2026-02-01T10:00", reply("Yes."), usage={
        "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 1})  # fmt: skip
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    parts = [{"type": "text", "text": "One?"}, picture]
    store(
        Lake.open(folder / "lake", create=True),
        [(one, [{"role": "user", "content": None, "content_parts": parts}])],
    )
    return folder


COMMANDS: Final = [
    ["status"],
    ["verify"],
    ["runs"],
    ["failures"],
    ["files", "completions"],
    ["show", "chatcmpl-one"],
    ["search", "one"],
    ["search", "nowhere"],
    ["ask"],
    ["ask", "usage"],
    ["sql", "FROM completions"],
    ["export", "raw", "--output", "raw.jsonl"],
    ["export", "finetune", "--output", "finetune.jsonl"],
    ["export", "finetune", "--choice", "all", "--output", "all.jsonl"],
    ["export", "eval", "--output", "evals.jsonl"],
    ["export", "html", "--output", "page.html"],
    ["export", "hf", "--output", "hf"],
    ["compact"],
    ["vacuum", "--dry-run"],
    ["copy", "copied"],
    ["forget", "--id", "chatcmpl-one", "--dry-run"],
    ["doctor"],
    ["report", "--output", "report.html"],
]


@pytest.mark.slow
def test_no_command_speaks_of_1_rows(
    chatlake: CommandLine, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command that reads or keeps the lake, and every file that it writes for people."""
    monkeypatch.chdir(source)
    said = {}
    for words in COMMANDS:
        done = chatlake(*words)
        assert done.code != 2, (words, done.err)
        said[" ".join(words)] = done.out + done.err
    pages = [*source.glob("*.html"), *source.glob("hf/*.md")]
    assert len(pages) == 3
    said |= {page.name: page.read_text(encoding="utf-8") for page in pages}
    assert {what: found for what, text in said.items() if (found := wrong(text))} == {}


@pytest.mark.slow
def test_no_damage_speaks_of_1_rows(
    chatlake: CommandLine, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each table's only file is lost in turn, and cut short."""
    copied = tmp_path / "one"
    shutil.copytree(source, copied)
    monkeypatch.chdir(copied)
    said = []
    for file in sorted((copied / "lake").rglob("*.parquet")):
        if "schema" in file.parts:
            continue
        whole = file.read_bytes()
        for data in (None, whole[: len(whole) // 2], whole + b" "):
            file.unlink() if data is None else file.write_bytes(data)
            done = chatlake("verify")
            assert done.code != 0
            said += wrong(done.out + done.err)
            file.write_bytes(whole)
    assert said == []


def test_no_page_speaks_of_1_rows(source: Path) -> None:
    """The pages of browse, of a lake with one completion."""
    server = BrowseServer(open_lake(load_settings(source / "chatlake.yaml")), 0)
    conversation = "/c/openai/2026-02-01/chatcmpl-one"
    with (
        server.running(),
        httpx.Client(base_url=server.base_url, follow_redirects=True, trust_env=False) as client,
    ):
        client.get(server.address)
        addresses = ("/", "/?q=yes", "/?q=nowhere", "/runs", "/gaps", "/usage", conversation)
        answers = {address: client.get(address) for address in addresses}
    assert {answer.status_code for answer in answers.values()} == {200}
    pages = {address: answer.text for address, answer in answers.items()}
    assert {address: found for address, text in pages.items() if (found := wrong(text))} == {}


def test_no_backup_speaks_of_1_rows(
    chatlake: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One completion is listed, and cannot be fetched; then it can; then the source is compared."""
    monkeypatch.chdir(tmp_path)
    scenario = Scenario(completions=1, now=NOW)
    with running(scenario, Faults(missing=1.0)) as server, waiting_briefly():
        write_config(tmp_path, server.base_url)
        said = [chatlake(*words) for words in (["backup"], ["status"], ["failures"])]
        said += [chatlake("report", "--output", "gaps.html")]
    with running(scenario, Faults()) as server:
        write_config(tmp_path, server.base_url)
        (tmp_path / "ids.txt").write_text("chatcmpl-a\nchatcmpl-a\n", encoding="utf-8")
        for words in (
            ["backup", "--ids-file", "ids.txt"], ["backup"], ["backup", "--full"], ["doctor"],
            ["verify", "--source"], ["report", "--output", "report.html"],
        ):  # fmt: skip
            said.append(chatlake(*words))
    pages = [page.read_text(encoding="utf-8") for page in tmp_path.glob("*.html")]
    assert len(pages) == 2
    found = [wrong(text) for text in [*(done.out + done.err for done in said), *pages]]
    assert [each for each in found if each] == []


def test_no_state_artifact_or_notice_speaks_of_1_rows() -> None:
    """What Prefect and the targets of `notify` get, of a run and of a maintenance."""
    run = SourceRun(
        run_id="run", source="openai", status="incomplete", mode="full", seconds=1,
        started_at="2026-01-01T00:00:00.000000Z", listed=1, new=1, changed=1, unchanged=1,
        deleted=1, failed=1, messages=1, content_parts=1, images=1, requests=1, retries=1,
        rate_limited=1, files_added=1, bytes_added=1,
    )  # fmt: skip
    gap = Failure(source="openai", completion_id="a", reason="not_found", detail="gone")
    fields = [
        NewField(source="openai", field=f"choices[].{number}", completion_id="a", run_id="run",
                 first_seen_at="2026-01-01T00:00:00.000000Z", completions=1)
        for number in range(4)
    ]  # fmt: skip
    report = BackupReport("run", run.started_at, "lake", seconds=1)
    report.sources.append(SourceReport(run, [gap], new_fields=fields))
    receipt = Forgetting(at=run.started_at, run_id="run", completions=1, messages=1)
    done = Maintenance(
        "lake",
        expired=ForgetReport(receipt, "receipt", 1, "abc"),
        compacted=CompactionReport(merged=1, added=1, merged_bytes=1, added_bytes=1, rows=1),
        verified=VerifyReport("lake", files=1, bytes=1, rows=1, listed_files=1, manifests=1),
        removed=[StoredFile("a.parquet", 1, datetime.now(UTC))],
        unlisted=Unlisted(),
    )
    notice = notice_of(report, "backup", None)
    texts = [
        str(final_state(report).message), report_markdown(report), notice.chat, notice.plain,
        maintenance_markdown(done), str(_completed(done).message),
    ]  # fmt: skip
    assert all("1 " in text for text in texts)
    assert [found for text in texts if (found := wrong(text))] == []


def _counts(value: ast.FormattedValue) -> bool:
    """Say whether it is a number with a comma for thousands, or a length."""
    if isinstance(value.format_spec, ast.JoinedStr):
        return ast.unparse(value.format_spec) == "f','"
    return isinstance(value.value, ast.Call) and ast.unparse(value.value.func) == "len"


def test_no_f_string_puts_a_number_before_a_plural() -> None:
    """`count(number, noun)` chooses between one and many."""
    places = []
    for path in sorted(Path(package.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            pieces = node.values if isinstance(node, ast.JoinedStr) else []
            for piece, after in pairwise(pieces):
                if (
                    isinstance(piece, ast.FormattedValue)
                    and _counts(piece)
                    and isinstance(after, ast.Constant)
                    and re.match(rf" (?:[a-z]+ ){{0,2}}(?:{PLURALS})\b", str(after.value))
                ):
                    places.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
    assert places == []
