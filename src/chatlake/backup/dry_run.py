"""A dry run: what a backup of one source would do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from chatlake.backup.discovery import Discovery
from chatlake.backup.export import Item
from chatlake.backup.fetching import get_completion
from chatlake.backup.items import Asked, Listed, SourceJob
from chatlake.backup.ports import CompletionApi
from chatlake.backup.report import SourceReport
from chatlake.errors import AccountError, ChatlakeError, CompletionError, SourceUnreachableError


async def look(
    job: SourceJob,
    api: CompletionApi,
    discovery: Discovery,
    report: SourceReport,
    counted: Callable[[], None],
) -> None:
    """Count into `report` what a backup would do; no messages are fetched, nothing is written.

    `counted` is called after each completion. An error that ends it early is in `report.error`.
    """
    run = report.run
    try:
        async for asked in _to_look_at(discovery):
            try:
                item = await _seen(api, discovery, asked)
            except (CompletionError, AccountError, SourceUnreachableError) as error:
                is_open_gap = isinstance(asked, Asked) and job.ids is None
                if not isinstance(error, CompletionError) and not is_open_gap:
                    raise
                run.listed += 1
                run.failed += 1
                continue
            if item is None:
                continue
            run.listed += 1
            if item.previous is None or item.previous.digest is None:
                run.new += 1
            elif item.is_unchanged:
                run.unchanged += 1
            else:
                run.changed += 1
            counted()
    except ChatlakeError as error:
        report.error = error
    run.status = "failed" if report.error else "complete"
    run.requests = api.figures.requests


async def _to_look_at(discovery: Discovery) -> AsyncIterator[Item]:
    async for gap in discovery.open_gaps():
        yield gap
    async for item in discovery.items():
        yield item


async def _seen(api: CompletionApi, discovery: Discovery, item: Item) -> Listed | None:
    """Ask for a completion that is known by its id only; None if it was met already."""
    if isinstance(item, Listed):
        return item
    completion = await get_completion(api, item.completion_id)
    return discovery.examine(completion, listed=False)
