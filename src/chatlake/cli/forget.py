"""`chatlake forget`: erases completions and everything that belongs to them, for good."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatlake.cli.options import ConfigOption, JsonOption, OfSourceOption, QuietOption, examples
from chatlake.cli.output import note, paint, printable, say, write_json
from chatlake.cli.stderr_lines import STANDARD_ERROR
from chatlake.cli.streams import after_the_work
from chatlake.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chatlake.bootstrap.forgetting import Choice, ForgetReport
    from chatlake.config import Settings
    from chatlake.model.partitions import Partition

EXAMPLES = examples(
    "chatlake forget --id chatcmpl-abc123 --yes",
    "chatlake forget --metadata customer=4711 --reason 'request of 2026-03-01'",
    "chatlake forget --expired --yes",
    "chatlake forget --where \"created_at < '2024-01-01'\" --dry-run",
)
_SHOWN = 5


def forget(
    config: ConfigOption = None,
    *,
    ids: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="This completion; repeatable.")
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Completions with this metadata; repeatable: all pairs must match. Finds values "
            "that `redact` has hashed, too.",
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(metavar="SQL", help="Completions that meet this condition on `completions`."),
    ] = None,
    older: Annotated[
        bool, typer.Option("--expired", help="Everything older than `keep` in the configuration.")
    ] = False,
    source: OfSourceOption = None,
    reason: Annotated[
        str,
        typer.Option(
            metavar="TEXT", help="The reason, for the receipt. Do not name a person in it."
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be forgotten.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask. Required without a terminal.")
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Erase completions for good, in every file of the lake.

    Their messages, content parts, older versions, and images that nothing else uses are erased too,
    also from replaced files. A receipt without content stays in the lake. No backup stores the
    completions again. The source keeps its copy: delete it there yourself. Other completions may
    repeat the same messages, as later turns of a conversation do: select those too. Exit codes: 0
    done, 1 not in the lake, 2 nothing selected, 7 damaged (nothing changed), 8 locked.
    """
    from chatlake.bootstrap.forgetting import (  # noqa: PLC0415
        expired,
        forget_choice,
        forget_expired,
        select,
    )
    from chatlake.bootstrap.opened import open_lake, require_sources  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415

    STANDARD_ERROR.is_quiet = quiet
    choice = _choice(ids or [], metadata or [], where, source, older=older)
    settings = load_settings(config)
    if older and settings.keep is None:
        raise UsageError(
            f"{settings.path} has no `keep`: nothing expires", hint="Set it, for example keep: 2y"
        )
    if settings.keep is not None and older:
        choice = expired(settings.keep)
    if choice.metadata:
        choice = _as_stored(settings, choice)
    lake = open_lake(settings)
    require_sources(settings, lake, () if source is None else (source,))
    found = select(lake, choice)
    report = None
    if found and not dry_run:
        _ask(found, yes=yes)
        if older and settings.keep is not None:
            report = forget_expired(lake, settings.keep)
        else:
            report = forget_choice(lake, choice, reason=reason)
    with after_the_work():
        if as_json:
            write_json(_document(lake.location, found, report, dry_run=dry_run))
        else:
            _show(found, report, dry_run=dry_run)
    if report is not None and "://" in lake.location:
        note(
            f"{paint('note:', 'dim', sys.stderr)} If the bucket keeps old versions of objects, "
            "they contain the forgotten data until a lifecycle rule removes them."
        )


def _choice(
    ids: Sequence[str],
    metadata: Sequence[str],
    where: str | None,
    source: str | None,
    *,
    older: bool,
) -> Choice:
    from chatlake.bootstrap.forgetting import Choice  # noqa: PLC0415

    if (bool(ids), bool(metadata), where is not None, older).count(True) != 1:
        raise UsageError(
            "say what to forget with one of --id, --metadata, --where or --expired",
            hint="chatlake forget --id chatcmpl-abc123 --dry-run",
        )
    if older and source is not None:
        raise UsageError(
            "--expired and --source cannot be combined: --expired applies to all sources",
            hint="Leave out --source.",
        )
    pairs: dict[str, list[str]] = {}
    for text in metadata:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"--metadata {text}: expected KEY=VALUE")
        pairs[key] = [value]
    return Choice(tuple(dict.fromkeys(ids)), pairs, where, source)


def _as_stored(settings: Settings, choice: Choice) -> Choice:
    """Return the choice with the hashes of its values too; warn of keys whose values are gone."""
    from chatlake.bootstrap.redacted_values import with_hashes  # noqa: PLC0415

    choice, unseen = with_hashes(settings, choice)
    if unseen:
        named = ", ".join(f"metadata.{printable(key)}" for key in unseen)
        note(
            f"{paint('warning:', 'yellow', sys.stderr)} `redact` leaves no value of {named} in the "
            "lake, so it cannot find what was stored under these rules. Use --id or --where."
        )
    return choice


def _ask(found: Mapping[Partition, Sequence[str]], *, yes: bool) -> None:
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"this would forget {_named(found)} for good",
            hint="Add --yes, or look first with --dry-run.",
        )
    note(f"About to forget {_named(found)}. This cannot be undone.")
    STANDARD_ERROR.write_out()
    print("Forget them? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        note("Nothing was forgotten")
        raise typer.Exit(1)


def _document(
    location: str,
    found: Mapping[Partition, Sequence[str]],
    report: ForgetReport | None,
    *,
    dry_run: bool,
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "lake": location,
        "dry_run": dry_run,
        "selected": sum(map(len, found.values())),
        "completions": 0,
    }
    if dry_run:
        document["completion_ids"] = [each for ids in found.values() for each in ids]
    if report is not None:
        receipt = report.receipt
        for name in ("completions", "messages", "content_parts", "images", "versions", "reason"):
            document[name] = getattr(receipt, name)
        document |= {
            "files": len(receipt.erased),
            "receipt": report.path,
            "commit": report.commit,
            "fingerprint": report.fingerprint,
        }
    return document


def _show(
    found: Mapping[Partition, Sequence[str]], report: ForgetReport | None, *, dry_run: bool
) -> None:
    from chatlake.model.counts import count  # noqa: PLC0415

    if not found:
        say("Nothing to forget: the lake has no such completion")
    elif dry_run:
        say(f"Dry run, nothing was forgotten. chatlake forget would erase {_named(found)}")
    elif report is not None:
        receipt = report.receipt
        say(
            f"Forgotten: {count(receipt.completions, 'completion')}, "
            f"{count(receipt.messages, 'message')}, "
            f"{count(receipt.content_parts, 'content part')}, {count(receipt.images, 'image')}, "
            f"{count(receipt.versions, 'older version')}; "
            f"{count(len(receipt.erased), 'file')} erased"
        )
        say(f"Receipt: {report.path}")
        say(f"Commit {count(report.commit)}, fingerprint {report.fingerprint}")


def _named(found: Mapping[Partition, Sequence[str]]) -> str:
    """Return how many completions there are, of which days, and the ids of the first."""
    from chatlake.model.counts import count  # noqa: PLC0415

    ids = [each for some in found.values() for each in some]
    days = sorted({partition.created_date for partition in found})
    span = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    shown = ", ".join(printable(each) for each in ids[:_SHOWN]) + (", …" if ids[_SHOWN:] else "")
    return f"{count(len(ids), 'completion')} created {span} ({shown})"
