"""The JSON Schema and the template: they agree with the loader and with each other."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from chatlake.config import json_schema, load_settings, parse_settings, template, write_template
from chatlake.config.document import parse
from chatlake.errors import ConfigurationError, UsageError

REPOSITORY = Path(__file__).parents[2]
VALIDATOR = Draft202012Validator(json_schema())
GOOD = """\
version: 1
lake: lake
sources:
- name: openai
  base_url: https://api.openai.com/v1
  api_key: ${KEY}
"""


def _agree(text: str) -> bool:
    """Whether the loader accepts `text`; fails if the schema has another opinion."""
    refusal = ""
    try:
        parse_settings(text, Path("file"))
    except ConfigurationError as problem:
        refusal = problem.message
    marks = [mark.message for mark in VALIDATOR.iter_errors(parse(text, "file").data)]
    assert bool(refusal) == bool(marks), f"loader: {refusal or 'fine'}; schema: {marks or 'fine'}"
    return not refusal


def test_schema_is_valid() -> None:
    """The schema is itself a valid one of draft 2020-12, and plain JSON."""
    schema = json.loads(json.dumps(json_schema()))
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def _properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in (schema, *schema["$defs"].values()):
        assert part["additionalProperties"] is False
        yield from part["properties"].items()


def test_every_key_is_described_and_in_the_template() -> None:
    """An editor can explain every key, and the template mentions each."""
    schema = json_schema()
    for name, found in _properties(schema):
        reference = found.get("$ref", "").rpartition("/")[2]
        assert found.get("description") or schema["$defs"][reference]["description"], name
        assert f"{name}:" in template(), name


def test_schema_holds_no_defaults_but_those_of_the_file() -> None:
    """The defaults that editors fill in are valid themselves."""
    schema = json_schema()
    for name, found in _properties(schema):
        if "default" in found:
            checked = {**found, "$defs": schema["$defs"]}
            assert Draft202012Validator(checked).is_valid(found["default"]), name


@pytest.mark.parametrize(
    "addition",
    [
        "",
        "  headers: {X-Token: 'file:/run/secrets/t', Authorization: 'Bearer file:/run/t'}",
        "  headers: {X-Gateway: 'Bearer ${T}', X-Key: 'Bearer secret:t', X-Other: 'file:~/t'}",
        "  query: {code: 'file:${CREDENTIALS_DIRECTORY}/code'}",
        "notify: file:/run/secrets/hook",
        "  lookback: 0s",
        "  lookback: ${X:-1h}",
        "  full_sweep_every: null",
        "  pace: {concurrency: '${X:-4}', timeout: 500ms}",
        "  pace:",
        "  headers: {OpenAI-Project: proj_1, X-Token: '${T}', Authorization: 'Bearer ${T}'}",
        "  query: {api-version: 2025-02-01-preview, code: 'secret:azure-code'}",
        "  headers: {X-Price: $5, X-Text: 'a $NAME in it', X-Plain: '$${NAME}'}",
        "  select: {ids: [a, b], ids_file: x.txt, model: m, metadata: {k: v}}",
        "  select: {created_after: 2026-01-31, created_before: '2026-02-01T00:00:00+01:00'}",
        "schedule: {cron: '*/5 * * * 1-5', timezone: Europe/Berlin}",
        "runner: {kind: dask, address: 'tcp://h:8786'}",
        "access: group",
        "notify: https://hooks.example.com/T0/B1?x=1",
        "notify: '${SLACK_URL}'",
        "notify: secret:slack-url",
        "notify: null",
        "notify: {url: '${A}', format: '${FORMAT:-teams}', on: [complete, silent]}",
        "notify: ['${A}', {url: secret:b, format: discord}, {ping: '${C}'}, {ping: {url: '${D}'}}]",
        "notify: {ping: {start: null, success: https://a.example/up, failure: 'file:/run/x'}}",
        "  silent_after: auto",
        "  silent_after: null",
        "  silent_after: 3d12h",
        "  silent_after: ${SILENT:-2d}",
    ],
)
def test_both_accept(addition: str) -> None:
    """What the loader accepts, the schema accepts."""
    assert _agree(GOOD + addition + "\n")


@pytest.mark.parametrize(
    "addition",
    [
        "  lokback: 24h",
        "  lookback: 24",
        "  lookback: '24'",
        "  lookback: 24 h",
        "  lookback: 30m1h",
        "  retention: 0d0h",
        "  auth: basic",
        "  images: yes",
        "  pace: {concurrency: 0}",
        "  pace: {concurrency: 1025}",
        "  pace: {concurrency: '8'}",
        "  pace: {concurency: 8}",
        "  headers: {X-Api-Key: abc}",
        "  headers: {x-api-KEY: 'a${K}'}",
        "  headers: {'X Y': abc}",
        "  headers: {X-N: 1}",
        "  headers: [a]",
        "  headers: {X-Gateway: $GW}",
        "  query: {tenant: $TENANT}",
        "  select: {ids_file: $HOME/ids}",
        "  query: {after: abc}",
        "  query: {'metadata[a]': abc}",
        "  select: {ids: [1]}",
        '  select: {ids: ["a\\tb"]}',
        "  select: {metadata: {a: 1}}",
        "  select: {created_after: 31.01.2026}",
        "schedule: {cron: '0 2 * *'}",
        "schedule:",
        "runner: {kind: threats}",
        "runner: {workers: 0}",
        "access: public",
        "notify: hooks.example.com",
        "notify: ftp://hooks.example.com",
        "notify: https://user:word@example.com/",
        "notify: 1",
        "notify: [a]",
        "notify: {}",
        "notify: {ping: null}",
        "  silent_after: 0s",
        "  silent_after: often",
        "  silent_after: 3",
        "extra: 1",
    ],
)
def test_both_refuse(addition: str) -> None:
    """What the loader refuses, an editor marks."""
    assert not _agree(GOOD + addition + "\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version: 1", "version: 2"),
        ("version: 1", "version: '1'"),
        ("version: 1\n", ""),
        ("lake: lake\n", ""),
        ("lake: lake", "lake: ''"),
        ("lake: lake", "lake: ftp://x/y"),
        ("lake: lake", "lake: s3://u:p@bucket/x"),
        ("lake: lake", "lake: s3://bucket/x*"),
        ("lake: lake", "lake: memory://x"),
        ("lake: lake", "lake: $HOME/lake"),
        ("lake: lake", "lake: s3://$BUCKET/lake"),
        ("lake: lake", "lake: $(pwd)"),
        ("https://api.openai.com/v1", "https://$HOST/v1"),
        ("name: openai", "name: null"),
        ("name: openai", "name: 'null'"),
        ("name: openai", "name: true"),
        ("name: openai", "name: OpenAI"),
        ("https://api.openai.com/v1", "api.openai.com"),
        ("https://api.openai.com/v1", "http://gw.example/v1"),
        ("https://api.openai.com/v1", "http://gw.example:8321"),
        ("https://api.openai.com/v1", "http://localhost.example"),
        ("https://api.openai.com/v1", "http://127.0.0.1.example/v1"),
        ("https://api.openai.com/v1", "http://h/v1\n  allow_http: false"),
        ("https://api.openai.com/v1", "https://u:p@h/v1"),
        ("https://api.openai.com/v1", "https://h/v1?x=y"),
        ("https://api.openai.com/v1", "https://h/v1/chat/completions"),
        ("${KEY}", "sk-literal"),
        ("${KEY}", "${KEY:-sk-literal}"),
        ("${KEY}", "${KEY}${KEY}"),
        ("${KEY}", "$KEY"),
        ("${KEY}", "'file:'"),
        ("${KEY}", "file:key"),
        ("${KEY}", "file:$HOME/key"),
        ("${KEY}", "/run/secrets/key"),
        ("  api_key: ${KEY}\n", ""),
    ],
)
def test_both_refuse_required(old: str, new: str) -> None:
    """The required keys are marked by an editor as the loader refuses them."""
    assert not _agree(GOOD.replace(old, new))


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost",
        "http://localhost:8321/v1",
        "http://ogx.localhost:8321/v1",
        "http://127.0.0.1/v1",
        "http://127.1.2.3:80/v1",
        "http://[::1]:8321/v1",
        "http://gw.example/v1\n  allow_http: true",
        "http://gw.example/v1\n  allow_http: ${X:-true}",
        "http://${X:-localhost}/v1",
        "https://gw.example/v1\n  allow_http: false",
    ],
)
def test_address_that_the_key_may_go_to(address: str) -> None:
    """https, this machine, and what is permitted are accepted by both."""
    assert _agree(GOOD.replace("https://api.openai.com/v1", address))


@pytest.mark.parametrize("lake", ["data/lake", "../data/lake"])
def test_template_agrees_with_the_schema(lake: str) -> None:
    """The template is valid for the editor and for the loader, and holds only defaults."""
    assert _agree(template(lake))
    bare = GOOD.replace("KEY", "OPENAI_API_KEY")
    assert parse_settings(template("lake"), Path("file")) == parse_settings(bare, Path("file"))


def test_examples_in_comments_load() -> None:
    """The template's commented sources load once they are uncommented."""
    head, _, rest = template().partition("  # Azure OpenAI:\n")
    examples, _, tail = rest.partition("\nschedule:")
    lines = [
        line.removeprefix("  # ")
        for line in examples.splitlines()
        if "  # -" in line or ":" in line
    ]
    block = "".join(f"  {line}\n" for line in lines if not line.startswith("Azure"))
    settings = parse_settings(f"{head}{block}\nschedule:{tail}", Path("file"))
    assert [source.name for source in settings.sources] == ["openai", "azure", "azure-older"]
    assert settings.sources[1].auth == "api-key"
    assert settings.sources[2].query == {"api-version": "2025-02-01-preview"}


def test_the_repository_configuration() -> None:
    """The repository's configuration is the template with its lake in data/lake."""
    file = REPOSITORY / "config/chatlake.yaml"
    assert file.read_text(encoding="utf-8") == template("../data/lake")
    assert load_settings(file).lake_location == str(REPOSITORY / "data/lake")
    assert VALIDATOR.is_valid(parse(file.read_text(encoding="utf-8"), "file").data)


@pytest.mark.parametrize(
    ("path", "written"),
    [
        (".", "chatlake.yaml"),
        ("other.yml", "other.yml"),
        ("new/deep/conf.yaml", "new/deep/conf.yaml"),
        ("folder", "folder/chatlake.yaml"),
        ("folder.d", "folder.d/chatlake.yaml"),
    ],
)
def test_init_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, written: str
) -> None:
    """The template goes to a file, or into a folder as chatlake.yaml, and loads from there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.d").mkdir()
    assert write_template(Path(path)) == Path(written)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    settings = load_settings(Path(written))
    settings.check_secrets()
    assert settings.lake_location == str((tmp_path / written).parent / "data/lake")


def test_init_never_overwrites(tmp_path: Path) -> None:
    """An existing file, or even a dangling link, is left alone."""
    file = tmp_path / "chatlake.yaml"
    file.write_text("mine")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "nowhere")
    for path in (file, tmp_path, tmp_path / "link.yaml"):
        with pytest.raises(UsageError, match="exists already and is not overwritten"):
            write_template(path)
    assert file.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_init_where_nothing_can_be_written(tmp_path: Path) -> None:
    """A file in the way of a folder is an error with a reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written: "):
        write_template(tmp_path / "file" / "conf.yaml")
