"""Loading: which file is used, and how mistakes in it are reported."""

import errno
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chatlake.config import find_settings_file, load_settings, parse_settings
from chatlake.errors import ConfigurationError

FILE = Path("conf/chatlake.yaml")
GOOD = """\
version: 1
lake: lake
sources:
- name: openai
  base_url: https://api.openai.com/v1
  api_key: ${KEY}
"""


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHATLAKE_CONFIG", raising=False)


def _problem(text: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        parse_settings(text, FILE)
    return caught.value


def test_search_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument wins, then $CHATLAKE_CONFIG, ./chatlake.yaml, ./config/chatlake.yaml."""
    (tmp_path / "config").mkdir()
    for name in ("config/chatlake.yaml", "chatlake.yaml", "env.yaml", "argument.yaml"):
        (tmp_path / name).write_text(GOOD)
    assert load_settings(Path("argument.yaml")).path == tmp_path / "argument.yaml"
    monkeypatch.setenv("CHATLAKE_CONFIG", "env.yaml")
    assert load_settings().path == tmp_path / "env.yaml"
    monkeypatch.setenv("CHATLAKE_CONFIG", "")
    assert load_settings().path == tmp_path / "chatlake.yaml"
    (tmp_path / "chatlake.yaml").unlink()
    assert find_settings_file() == Path("config/chatlake.yaml")


def test_no_file_names_the_places_and_init() -> None:
    """Without any file the error names every place tried and the command that writes one."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert caught.value.exit_code == 4
    for place in ("$CHATLAKE_CONFIG", "./chatlake.yaml", "./config/chatlake.yaml"):
        assert place in caught.value.message
    assert "chatlake init" in caught.value.hint


def test_named_file_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A named file that is not there is an error, and says who named it."""
    with pytest.raises(ConfigurationError, match=r"^nope\.yaml: there is no such file$") as caught:
        load_settings(Path("nope.yaml"))
    assert caught.value.hint == "chatlake init nope.yaml"
    monkeypatch.setenv("CHATLAKE_CONFIG", "nope.yaml")
    with pytest.raises(ConfigurationError, match=r"\(named by \$CHATLAKE_CONFIG\)$"):
        load_settings()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ":1: the file is empty, expected a mapping with version, lake and sources"),
        (b"# nothing\n---\n", ":1: the file is empty"),
        (b"- version: 1\n", ":1: the file contains a list, expected a mapping"),
        (b"just text\n", ":1: the file contains a single value, expected a mapping"),
        (b"\xff\xfev\x00", ": this is not UTF-8 text"),
        (b"a: \x07\n", ":1: the file contains a control character"),
        (b"a: 1\n---\nb: 2\n", "not valid YAML: but found another document"),
        (b"version: 1\nlake: [a\nsources: x\n", ":3:8: not valid YAML:"),
        (b"a:\n\tb: 1\n", ":2:1: not valid YAML:"),
        (b"a: " + b"[" * 5000, ": the file is nested too deeply"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, content: bytes, message: str) -> None:
    """An empty, broken or foreign file is one clear line with its place."""
    file = tmp_path / "bad.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file)
    assert message in caught.value.message
    assert caught.value.message.startswith(f"{file}:")
    assert "\n" not in caught.value.message


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    """A folder is refused with the file that was probably meant."""
    with pytest.raises(ConfigurationError, match="this is a folder") as caught:
        load_settings(tmp_path)
    assert caught.value.hint == f"--config {tmp_path}/chatlake.yaml"


def test_file_without_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error for a file without read permission says that."""

    def refuse(*_: object) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigurationError, match=r"^x\.yaml: the file cannot be read: Permission"):
        load_settings(Path("x.yaml"))


def test_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    """A file that Windows editors saved loads."""
    (tmp_path / "chatlake.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_settings().lake == "lake"


CASES: list[tuple[str, str]] = [
    ("  lokback: 24h", "sources[0].lokback: unknown key; did you mean 'lookback'?"),
    ("  base-url: x", "sources[0].base-url: unknown key; did you mean 'base_url'?"),
    ("  concurrency: 4", "sources[0].concurrency: unknown key; 'concurrency' belongs under sources[…].pace"),
    ("  access: group", "sources[0].access: unknown key; 'access' belongs at the top level"),
    ("  zzz: 4", "sources[0].zzz: unknown key; expected one of name, base_url, api_key, auth,"),
    ("  pace: {concurrency: 5000}", "sources[0].pace.concurrency: got 5000, expected a whole number from 1 to 1024"),
    ("  pace: {concurrency: '8'}", "sources[0].pace.concurrency: got '8', expected a whole number"),
    ("  pace: {concurrency: yes}", "sources[0].pace.concurrency: got 'yes', expected a whole number"),
    ("  pace: {concurrency: true}", "sources[0].pace.concurrency: got true, expected a whole number"),
    ("  pace: {concurrency: 1.5}", "sources[0].pace.concurrency: got 1.5, expected a whole number"),
    ("  pace: {concurrency: null}", "sources[0].pace.concurrency: got nothing, expected a whole number"),
    ("  pace: {timeout: 60}", "sources[0].pace.timeout: got 60, expected a duration such as 24h, 7d, 60s, 500ms or 1h30m (units y, w, d, h, m, s, ms); a number needs a unit: write 60s or 60h"),
    ("  pace: {timeout: 0s}", "sources[0].pace.timeout: got '0s', expected a duration of more than 0s"),
    ("  pace: {requests_per_minute: 0}", "sources[0].pace.requests_per_minute: got 0, expected a whole number from 1"),
    ("  pace: fast", "sources[0].pace: got 'fast', expected a mapping"),
    ("  lookback: 1 day", "sources[0].lookback: got '1 day', expected a duration such as"),
    ("  full_sweep_every: never", "sources[0].full_sweep_every: got 'never', expected a duration"),
    ("  images: stor", "sources[0].images: got 'stor', expected store or reference; did you mean 'store'?"),
    ("  auth: Api_Key", "sources[0].auth: got 'Api_Key', expected bearer or api-key; did you mean 'api-key'?"),
    ("  headers: {X-Num: 5}", "sources[0].headers.X-Num: got a value (not shown), expected text; put the value in quotes"),
    ("  headers: {'X Num': a}", "sources[0].headers.X Num: got a value (not shown), expected the name of a header"),
    ("  headers: {A: x, a: y}", "sources[0].headers.a: got a value (not shown), expected each header once; 'A' is above"),
    ("  query: {limit: '5'}", "sources[0].query.limit: got a value (not shown), expected a parameter that chatlake does not set itself"),
    ("  select: {ids: abc}", "sources[0].select.ids: got 'abc', expected a list of completion ids"),
    ("  select: {ids: [a, 5, b]}", "sources[0].select.ids[1]: got 5, expected a completion id: one word, in quotes"),
    ("  select: {metadata: {v: 2}}", "sources[0].select.metadata.v: got 2, expected text; put the value in quotes"),
    ("  select: {metadata: {v: " + "x" * 513 + "}}", "sources[0].select.metadata.v: got '" + "x" * 59 + "…', expected at most 512 characters"),
    ("  select: {metadata: {'': v}}", "sources[0].select.metadata.: got 'v', expected a key of at least one character"),
    ("  select: {metadata: {" + "k" * 65 + ": v}}", "sources[0].select.metadata." + "k" * 65 + ": got 'v', expected a key of at most 64 characters"),
    ('  select: {metadata: {"\\ud800": v}}', "sources[0].select.metadata.\ufffd\ufffd\ufffd: got a value (not shown), expected valid Unicode text"),
    ("  select: {metadata: {'[key]': 5}}", "sources[0].select.metadata.[key]: got 5, expected text; put the value in quotes"),
    ("  select: {metadata: {" + ", ".join(f"k{n}: v" for n in range(17)) + "}}", "sources[0].select.metadata: got a mapping, expected at most 16 entries"),
    ("  select: {metadata: [a]}", "sources[0].select.metadata: got a list, expected a mapping of names to texts"),
    ("  select: {ids: {a: b}}", "sources[0].select.ids: got a mapping, expected a list of completion ids"),
    ("  select: {created_after: 20260101}", "sources[0].select.created_after: got 20260101, expected a date such as 2026-01-31"),
    ("  select: {created_after: 2026-02-30}", "sources[0].select.created_after: got '2026-02-30', expected a date such as 2026-01-31 or a time such as 2026-01-31T08:00:00Z; there is no such day or time"),
    ("  select: {created_after: 2026-02-02, created_before: 2026-02-02}", "sources[0].select.created_before: got '2026-02-02', expected a time later than created_after"),
    ("  select: {ids_file: ''}", "sources[0].select.ids_file: got '', expected the path of a file"),
    ("schedule: {cron: '0 2 * *'}", "schedule.cron: got '0 2 * *', expected five fields"),
    ("schedule: {cron: '60 2 * * *'}", "schedule.cron: got '60 2 * * *', expected five fields, minute hour day month weekday, such as '0 2 * * *'; the minute is from 0 to 59"),
    ("schedule: {cron: '@daily'}", "schedule.cron: got '@daily', expected five fields"),
    ("schedule: {timezone: Mars/Base}", "schedule.timezone: got 'Mars/Base', expected the name of a time zone"),
    ("schedule: {timezone: ../../etc/passwd}", "schedule.timezone: got '../../etc/passwd', expected the name"),
    ("schedule:", "schedule: got nothing, expected a mapping"),
    ("access: public", "access: got 'public', expected private or group"),
    ("runner: {kind: thread}", "runner.kind: got 'thread', expected threads, processes, dask or ray; did you mean 'threads'?"),
    ("runner: {workers: 0}", "runner.workers: got 0, expected a whole number from 1 to 1024"),
    ("runner: {address: 'tcp://h:1'}", "runner.address: got 'tcp://h:1', expected an address only with kind dask or ray, and kind is threads"),
    ("shedule: {}", "shedule: unknown key; did you mean 'schedule'?"),
    ("access: !secret private", "access: expected a plain value, without a YAML tag"),
    ("access: private\naccess: group", "access: duplicate key, first in line 7"),
    ("? [a]\n: b", "the file: expected text as a key"),
    ("runner: &a {kind: *a}", "runner.kind: expected no value that contains itself"),
]  # fmt: skip


@pytest.mark.parametrize(("addition", "expected"), CASES)
def test_every_mistake_is_explained(addition: str, expected: str) -> None:
    """A mistake names file, line, key path, value, what is expected and the nearest valid word."""
    problem = _problem(GOOD + addition + "\n")
    line = 6 + len(addition.split("\n"))
    lines = [7, line] if addition.startswith("?") else [line]
    assert any(problem.message.startswith(f"{FILE}:{n}: {expected}") for n in lines), (
        problem.message
    )
    assert "\n" not in problem.message
    assert not re.search(r"Input should|pydantic|Value error|type=", problem.message)


def test_nesting_that_is_too_deep_is_reported_with_the_limit() -> None:
    """The message names the limit, and does not speak of a value that contains itself."""
    problem = _problem(GOOD + "runner: " + "[" * 60 + "]" * 60 + "\n")
    assert "expected at most 50 levels of lists and mappings" in problem.message
    assert "itself" not in problem.message


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("version: 1", "version: '1'", "1: version: got '1', expected 1"),
        ("version: 1", "version: 0", "1: version: got 0, expected 1"),
        ("version: 1", "version: true", "1: version: got true, expected 1"),
        ("version: 1\n", "", "1: version: this key is required and missing"),
        ("lake: lake", "lake:", "2: lake: got nothing, expected a folder or an s3://"),
        ("lake: lake", "lake: ' '", "2: lake: got ' ', expected a folder"),
        ("lake: lake", "lake: ~nobody-here/lake", "2: lake: got '~nobody-here/lake', expected the name of a user"),
        ("lake: lake", 'lake: "\\ud800"', "2: lake: got '\\ud800', expected valid Unicode text"),
        ("lake: lake", "lake: 5", "2: lake: got 5, expected a folder or an s3://, gs:// or az:// address; put the value in quotes"),
        ("lake: lake", "lake: s4://b/x", "2: lake: got 's4://b/x', expected a folder or an s3://, gs:// or az:// address"),
        ("lake: lake", "lake: s3://user:hush@b/x", "2: lake: got 's3://…@b/x', expected no user name or password"),
        ("lake: lake", "lake: $HOME/lake", "2: lake: got '$HOME/lake', expected ${HOME} instead of $HOME, with braces"),
        ("lake: lake", "lake: data/$NAME", "2: lake: got 'data/$NAME', expected ${NAME} instead of $NAME"),
        ("lake: lake", "lake: s3://$BUCKET/lake", "2: lake: got 's3://$BUCKET/lake', expected ${BUCKET} instead of $BUCKET"),
        ("lake: lake", "lake: $(pwd)/lake", "2: lake: got '$(pwd)/lake', expected no shell syntax"),
        ("lake: lake", "lake: a/`pwd`", "2: lake: got 'a/`pwd`', expected no shell syntax"),
        ("lake: lake", "lake: ${FROM_A_FILE}/x", "2: lake: got '${FROM_A_FILE}/x', expected no shell syntax"),
        ("lake: lake", "lake: ~", "2: lake: got nothing, expected a folder"),
        ("https://api.openai.com/v1", "https://$HOST/v1", "5: sources[0].base_url: got 'https://$HOST/v1', expected ${HOST} instead of $HOST"),
        ("https://api.openai.com/v1", "https://h\n  select: {ids_file: $HOME/ids}", "6: sources[0].select.ids_file: got '$HOME/ids', expected ${HOME}"),
        ("https://api.openai.com/v1", "https://h\n  headers: {X-Gateway: $GW}", "6: sources[0].headers.X-Gateway: got a value (not shown), expected ${GW} instead of $GW"),
        ("https://api.openai.com/v1", "https://h\n  query: {code: $CODE}", "6: sources[0].query.code: got a value (not shown), expected ${CODE} instead of $CODE"),
        ("name: openai", "name: null", "4: sources[0].name: got nothing, expected a name of a-z"),
        ("name: openai", "name: ~", "4: sources[0].name: got nothing, expected a name of a-z"),
        ("name: openai", "name:", "4: sources[0].name: got nothing, expected a name of a-z"),
        ("name: openai", "name: true", "4: sources[0].name: got true, expected a name of a-z, 0-9, _ and -, at most 64 long; put the value in quotes"),
        ("name: openai", "name: 1.5", "4: sources[0].name: got 1.5, expected a name of a-z"),
        ("name: openai", "name: [a]", "4: sources[0].name: got a list, expected a name of a-z"),
        ("name: openai", "name: 'null'", "4: sources[0].name: got 'null', expected another name: other tools read this one as a missing value"),
        ("name: openai", "name: __hive_default_partition__", "4: sources[0].name: got '__hive_default_partition__', expected another name"),
        ("name: openai", "name: Open AI", "4: sources[0].name: got 'Open AI', expected a name of a-z, 0-9, _ and -"),
        ("name: openai", "name: 12", "4: sources[0].name: got 12, expected a name of a-z, 0-9, _ and -, at most 64 long; put the value in quotes"),
        ("https://api.openai.com/v1", "ftp://api", "5: sources[0].base_url: got 'ftp://api', expected an address such as https://"),
        ("https://api.openai.com/v1", "api.openai.com", "5: sources[0].base_url: got 'api.openai.com', expected an address"),
        ("https://api.openai.com/v1", "http://h:99999", "5: sources[0].base_url: got 'http://h:99999', expected an address"),
        ("https://api.openai.com/v1", "http://gw.example/v1", "5: sources[0].base_url: got 'http://gw.example/v1', expected https://: over http:// others can read the key; to allow it, set allow_http: true in this source"),
        ("https://api.openai.com/v1", "http://localhost.example/v1", "5: sources[0].base_url: got 'http://localhost.example/v1', expected https://"),
        ("https://api.openai.com/v1", "http://127.0.0.1.example/v1", "5: sources[0].base_url: got 'http://127.0.0.1.example/v1', expected https://"),
        ("https://api.openai.com/v1", "http://10.0.0.1:8321", "5: sources[0].base_url: got 'http://10.0.0.1:8321', expected https://"),
        ("https://api.openai.com/v1", "http://[fe80::1]/v1\n  allow_http: false", "5: sources[0].base_url: got 'http://[fe80::1]/v1', expected https://"),
        ("https://api.openai.com/v1", "https://h\n  allow_http: yes", "6: sources[0].allow_http: got 'yes', expected true or false"),
        ("https://api.openai.com/v1", "http://[::1", "5: sources[0].base_url: got 'http://[::1', expected an address"),
        ("https://api.openai.com/v1", "https://me:hush@h/v1", "5: sources[0].base_url: got 'https://…@h/v1', expected no user name or password"),
        ("https://api.openai.com/v1", "https://h/v1?code=hush", "5: sources[0].base_url: got 'https://h/v1?…', expected no ? or #"),
        ("https://api.openai.com/v1", "https://h/v1/chat/completions/", "5: sources[0].base_url: got 'https://h/v1/chat/completions/', expected the address without /chat/completions"),
        ("  api_key: ${KEY}\n", "", "4: sources[0].api_key: this key is required and missing"),
        ("  api_key: ${KEY}\n", "  api_key: ${KEY}\n- {name: openai, base_url: 'https://h', api_key: '${K}'}\n", "7: sources[1].name: got 'openai', expected another name"),
        ("  api_key: ${KEY}\n", "  api_key: ${KEY}\n- nonsense\n", "7: sources[1]: got 'nonsense', expected a mapping"),
    ],
)  # fmt: skip
def test_every_required_key_is_explained(
    old: str, new: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The required keys are held to the same standard."""
    monkeypatch.setenv("FROM_A_FILE", "$HOME/lake")
    problem = _problem(GOOD.replace(old, new))
    assert problem.message.startswith(f"{FILE}:{expected}"), problem.message
    assert "hush" not in problem.message


@pytest.mark.parametrize("sources", ["[]", "", "{}", "openai"])
def test_sources_must_not_be_empty(sources: str) -> None:
    """A configuration without sources has nothing to back up."""
    problem = _problem(f"version: 1\nlake: x\nsources: {sources}\n")
    assert re.search(
        r":3: sources: got .*, expected (a list of sources|at least one entry)$", problem.message
    )


def test_newer_version_asks_for_an_upgrade() -> None:
    """A newer format is refused with that one reason, not with its unknown keys."""
    problem = _problem("version: 2\nplanets: [earth]\n")
    assert problem.message == (
        f"{FILE}:1: version: got 2, expected 1, the newest version that this chatlake knows"
    )
    assert problem.hint == "Upgrade chatlake."


def test_all_problems_at_once_in_the_order_of_the_file() -> None:
    """Every mistake is one line of the same error, the first of the file first."""
    text = GOOD.replace("lake: lake", "lake:").replace("name: openai", "name: X")
    problem = _problem(text + "  lokback: ${UNSET_VARIABLE}\naccess: all\n")
    assert [line.split(": ")[1] for line in problem.message.splitlines()] == [
        "lake",
        "sources[0].name",
        "sources[0].lokback",
        "access",
    ]


def test_many_problems_are_cut_off() -> None:
    """A wholly wrong file gives a readable error."""
    problem = _problem(GOOD + "".join(f"x{n}: 1\n" for n in range(50)))
    assert len(problem.message.splitlines()) == 21
    assert problem.message.endswith("… and 30 more")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("  pace: {concurrency: ${N}}", 'put references in quotes: "${NAME}"'),
        ("schedule: {cron: * * * * *}", "in quotes"),
        ("access:\n\tprivate: 1", "Indent with spaces, not tabs."),
    ],
)
def test_syntax_errors_carry_a_hint(line: str, hint: str) -> None:
    """The likeliest slips of YAML are recognised."""
    problem = _problem(GOOD + line)
    assert "not valid YAML" in problem.message
    assert hint in problem.hint


def test_anchors_and_merges() -> None:
    """Sources may share parts by anchors and `<<`; own keys win over merged ones."""
    text = GOOD + "  pace: &p {concurrency: 4, max_attempts: 2}\n"
    text += "- name: b\n  base_url: https://h\n  api_key: ${K}\n  pace: {<<: *p, max_attempts: 3}\n"
    first, second = parse_settings(text, FILE).sources
    assert (first.pace.concurrency, first.pace.max_attempts) == (4, 2)
    assert (second.pace.concurrency, second.pace.max_attempts) == (4, 3)


def _merges(entry: str, count: int = 40) -> str:
    """Return a mapping for each line, merged of those before it."""
    lines = [
        f"a{n}: &a{n}\n  x{n}: 1\n  <<: {entry.replace('a-1', f'a{n - 1}')}"
        for n in range(1, count)
    ]
    return "\n".join(["a0: &a0 {x0: 1}", *lines, ""])


BOMBS = {
    "aliases": "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)),
    "aliases in mappings": "a0: &a0 {x: 1}\n"
    + "".join(f"a{n}: &a{n} {{l: *a{n - 1}, r: *a{n - 1}}}\n" for n in range(1, 40)),
    "merges": _merges("[*a-1, *a-1]"),
    "merges of mappings in place": _merges("[{<<: *a-1}, {<<: *a-1}]"),
    "many merges of a large mapping": f"a: &a {{{', '.join(f'k{n}: 1' for n in range(3000))}}}\n"
    f"b: {{<<: [{', '.join(['*a'] * 3000)}]}}\n",
    "one long text, many times": f"a: &a {'x' * 50_000}\nb: [{', '.join(['*a'] * 50_000)}]\n",
    "many keys": "".join(f"k{n}: 1\n" for n in range(10_001)),
    "many items": "a:\n" + "- x\n" * 10_001,
}


@pytest.mark.sample(3)
@pytest.mark.timeout(60)
@pytest.mark.parametrize("bomb", BOMBS)
def test_too_many_values_are_refused(bomb: str) -> None:
    """What multiplies by aliases or merges, or is long, takes about a second, and one line."""
    began = time.process_time()
    problem = _problem(GOOD + BOMBS[bomb])
    assert time.process_time() - began < 10  # of a machine with much else to do
    assert problem.message == (
        "conf/chatlake.yaml: the file contains too many values, including aliases and merges: more "
        "than 10000"
    )


@pytest.mark.parametrize(
    "content", [b"# " + b"x" * (1 << 20), bytes(1 << 20), b"- a: b\n" * 80_000]
)
def test_a_huge_file_is_not_read(content: bytes) -> None:
    """Half a megabyte is far more than any configuration: the rest is not even looked at."""
    FILE.parent.mkdir()
    FILE.write_bytes(content)
    with pytest.raises(
        ConfigurationError, match=r"chatlake\.yaml: the file is larger than 512 KiB"
    ):
        load_settings(FILE)


def test_a_large_configuration_is_read() -> None:
    """Four hundred sources that share their pace are no bomb."""
    one = "- name: s{}\n  base_url: https://h\n  api_key: ${{K}}\n  headers: {{a: b}}\n  pace: {}\n"
    text = "version: 1\nlake: lake\nsources:\n" + one.format("", "&p {concurrency: 4, timeout: 3s}")
    text += "".join(one.format(n, "{<<: *p}") for n in range(400))
    assert len(parse_settings(text, FILE).sources) == 401


def test_scalars_follow_yaml_1_2() -> None:
    """`yes`, `on`, dates and `08` are what they look like, not YAML 1.1's surprises."""
    text = GOOD + "  select:\n    metadata: {live: yes, day: 2026-01-31, at: 10:30}\n"
    text += "  pace: {concurrency: 010}\n"
    source = parse_settings(text, FILE).sources[0]
    assert source.select.metadata == {"live": "yes", "day": "2026-01-31", "at": "10:30"}
    assert source.pace.concurrency == 10


def test_configuration_is_light_to_import() -> None:
    """Importing the configuration pulls in none of the heavy libraries."""
    heavy = ["httpx", "duckdb", "pyarrow", "prefect", "typer"]
    code = f"import sys, chatlake.config; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
