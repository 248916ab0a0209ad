"""The checks of `chatlake doctor` that ask a source: its key, and each route."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from chatlake.api.client import ApiClient
from chatlake.backup.blame import forbids_all, is_of_route
from chatlake.backup.items import SourceJob
from chatlake.backup.list_gaps import list_error
from chatlake.backup.list_requests import SMALLER_LIMITS
from chatlake.backup.ports import SilentObserver
from chatlake.bootstrap.secrets import load_prefect_secret
from chatlake.bootstrap.sources import job_for, new_client
from chatlake.cli.backup_summary import NOTHING_STORED, NOTHING_STORED_HINT
from chatlake.cli.checks import Check, failed, passed, warning
from chatlake.cli.checks_identity import Holdings, identity_checks
from chatlake.cli.checks_list import (
    SeenPage,
    cursor_checks,
    page_checks,
    probe_position,
    read_seen_page,
)
from chatlake.config import Settings, Source
from chatlake.errors import (
    AccountError,
    ChatlakeError,
    CompletionError,
    CompletionNotFoundError,
    ConfigurationError,
    RequestRejectedError,
)
from chatlake.model.objects import read_completion
from chatlake.model.pages import read_message_page
from chatlake.model.paging import PAGE_LIMIT

_LONGEST_ANSWER = timedelta(seconds=15)
_PATIENCE = timedelta(seconds=20)
_ATTEMPTS = 2


def source_checks(
    settings: Settings, source: Source, held: Holdings, first_ids: list[str]
) -> Iterator[Check]:
    """Check one source: first its secrets and, if they can be read, its routes.

    `held`: what the lake has of it. `first_ids` receives the ids that its list begins with.
    """
    try:
        settings.check_secrets(load_prefect_secret, sources=[source.name])
    except ConfigurationError as error:
        message = error.message.replace("\n", "; ")
        yield failed(f"{source.name}: key", ConfigurationError(message, hint=error.hint))
        return
    names = ", ".join(str(reference) for reference in source.secrets().values())
    yield passed(f"{source.name}: key", f"{names} is set")
    try:
        yield from asyncio.run(_routes(source, held, first_ids))
    except ChatlakeError as error:
        yield failed(f"{source.name}: list", error)


async def _routes(source: Source, held: Holdings, first_ids: list[str]) -> list[Check]:
    client = new_client(_impatient(source), SilentObserver())
    try:
        retention_s = source.retention.total_seconds()
        routes = _Routes(source.name, job_for(source), client, held, first_ids, retention_s)
        return [check async for check in routes.checks()]
    finally:
        await client.aclose()


def _impatient(source: Source) -> Source:
    """Return the source with few, short attempts, because a user is waiting."""
    pace = source.pace.model_copy(
        update={
            "timeout": min(source.pace.timeout, _LONGEST_ANSWER),
            "max_attempts": min(source.pace.max_attempts, _ATTEMPTS),
            "give_up_after": _PATIENCE,
        }
    )
    return source.model_copy(update={"pace": pace})


def _of_the_list(error: ChatlakeError) -> ChatlakeError:
    return list_error(error) if isinstance(error, CompletionError) else error


@dataclass(slots=True)
class _Routes:
    name: str
    job: SourceJob
    client: ApiClient
    held: Holdings
    first_ids: list[str]
    retention_s: float

    async def checks(self) -> AsyncIterator[Check]:
        """Ask as a backup does: for a page of the list, for one completion, for its messages."""
        chosen = next(iter(self.job.ids or ()), None)
        listed: SeenPage | None = None
        try:
            listed, limit = await self._first_page()
        except ChatlakeError as error:
            check = failed(f"{self.name}: list", _of_the_list(error))
            if chosen is None:
                yield check
                return
            yield warning(check.check, check.detail, "Not needed: ids are chosen in `select`.")
        else:
            async for check in self._of_list(listed, limit):
                yield check
            self.first_ids += listed.ids
            chosen = chosen or next(iter(listed.ids), None)
        if chosen is None:
            yield warning(f"{self.name}: get, messages", "not checked: there is no completion")
            has_get = True
        else:
            got = await self._one("get", self._get(chosen))
            yield got
            has_get = got.level == "ok"
            yield await self._messages(chosen, listed if has_get else None)
        if has_get and self.job.ids is None:
            for check in await self._identity(listed):
                yield check

    async def _first_page(self) -> tuple[SeenPage, int]:
        """Return the first page, and the `limit` that gave it: a refused limit is lowered."""
        for limit in (PAGE_LIMIT, *SMALLER_LIMITS[:-1]):
            try:
                return await self._page(limit), limit
            except RequestRejectedError:
                continue
        return await self._page(SMALLER_LIMITS[-1]), SMALLER_LIMITS[-1]

    async def _page(
        self, limit: int, *, after: str | None = None, filtered: bool = True
    ) -> SeenPage:
        return await self.client.list_completions(
            read_seen_page,
            after=after,
            limit=limit,
            model=self.job.model if filtered else None,
            metadata=self.job.metadata if filtered else {},
        )

    async def _of_list(self, page: SeenPage, limit: int) -> AsyncIterator[Check]:
        check, filters = f"{self.name}: list", self.job.filters
        if not page.rows and not page.malformed:
            anything = None
            if filters:
                anything = await self._page(limit, filtered=False)
            if anything is not None and anything.rows:
                detail = f"permitted, but no completion matches {filters}"
                yield warning(check, detail, "Check `select` in the configuration.")
            else:
                yield warning(check, NOTHING_STORED, NOTHING_STORED_HINT)
            return
        told = f"permitted; there are completions with {filters}" if filters else "permitted"
        yield passed(check, told)
        if limit < PAGE_LIMIT:
            detail = f"the source refuses limit={PAGE_LIMIT} and takes {limit}"
            yield warning(f"{self.name}: limit", detail, "Nothing to do: a backup lowers it too.")
        for found in page_checks(self.name, page, limit):
            yield found
        position = probe_position(page)
        if position is not None:
            for found in await self._cursor(page, position, limit):
                yield found

    async def _cursor(self, page: SeenPage, position: int, limit: int) -> list[Check]:
        cursor = page.ids[position]
        try:
            after = await self._page(limit, after=cursor)
        except ChatlakeError as error:
            detail = f"the list cannot be read after {cursor}: {error.message}"
            return [warning(f"{self.name}: cursor", detail, error.hint)]
        return list(cursor_checks(self.name, page, position, after))

    async def _messages(self, chosen: str, listed: SeenPage | None) -> Check:
        """Request messages; if the source lacks them, try those of another completion."""
        check = await self._one("messages", self._ask_messages(chosen))
        if listed is None or check.level == "ok" or not await self._lacks_messages(chosen):
            return check
        other = next((name for name in reversed(listed.ids) if name != chosen), None)
        if other is not None and not await self._lacks_messages(other):
            return check
        return warning(
            check.check,
            f"the source has no route /messages: {check.detail.removeprefix('permitted, but ')}",
            "Completions and replies are backed up, but not the messages that were sent.",
        )

    async def _lacks_messages(self, completion_id: str) -> bool:
        try:
            await self._ask_messages(completion_id)
        except (AccountError, CompletionError) as error:
            return is_of_route(error) and not forbids_all(error)
        return False

    async def _identity(self, listed: SeenPage | None) -> list[Check]:
        times = [] if listed is None else [row.seconds for row in listed.rows]
        oldest = min((created for created in times if created is not None), default=None)
        kept_since = time.time() - self.retention_s
        kept_since = kept_since if oldest is None else min(kept_since, oldest)
        return await identity_checks(self.name, self.held, self._get, kept_since=kept_since)

    async def _get(self, completion_id: str) -> object:
        return await self.client.get_completion(read_completion, completion_id)

    async def _ask_messages(self, completion_id: str) -> object:
        return await self.client.list_messages(
            read_message_page, completion_id, after=None, limit=PAGE_LIMIT, settle=False
        )

    async def _one(self, route: str, answer: Awaitable[object]) -> Check:
        check = f"{self.name}: {route}"
        try:
            await answer
        except CompletionNotFoundError as error:  # so the route itself is permitted
            return warning(check, f"permitted, but {error.message}", "Check the id in `select`.")
        except ChatlakeError as error:
            return failed(check, error)
        return passed(check, "permitted")
