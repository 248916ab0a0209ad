"""The checks of `chatlake doctor` that ask a source: its key, and each route."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from chatlake.api.client import ApiClient
from chatlake.backup.items import SourceJob
from chatlake.backup.list_gaps import list_error
from chatlake.bootstrap.observers import SilentObserver
from chatlake.bootstrap.secrets import load_prefect_secret
from chatlake.bootstrap.sources import job_for, new_client
from chatlake.cli.backup_summary import NOTHING_STORED, NOTHING_STORED_HINT
from chatlake.cli.checks import Check, failed, passed, warning
from chatlake.config import Settings, Source
from chatlake.errors import (
    ChatlakeError,
    CompletionError,
    CompletionNotFoundError,
    ConfigurationError,
)
from chatlake.model.objects import read_completion, read_completion_page, read_message_page

_LONGEST_ANSWER = timedelta(seconds=15)
_PATIENCE = timedelta(seconds=20)
_ATTEMPTS = 2


def source_checks(settings: Settings, source: Source) -> Iterator[Check]:
    """Check one source: its secrets first, and only with them the routes."""
    try:
        settings.check_secrets(load_prefect_secret, sources=[source.name])
    except ConfigurationError as error:
        message = error.message.replace("\n", "; ")
        yield failed(f"{source.name}: key", ConfigurationError(message, hint=error.hint))
        return
    names = ", ".join(str(reference) for reference in source.secrets().values())
    yield passed(f"{source.name}: key", f"{names} is set")
    try:
        yield from asyncio.run(_routes(source))
    except ChatlakeError as error:
        yield failed(f"{source.name}: list", error)


async def _routes(source: Source) -> list[Check]:
    client = new_client(_impatient(source), SilentObserver())
    try:
        return [check async for check in _Routes(source.name, job_for(source), client).checks()]
    finally:
        await client.aclose()


def _impatient(source: Source) -> Source:
    """Return the source with few and short attempts: somebody waits for the answer."""
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

    async def checks(self) -> AsyncIterator[Check]:
        """Ask each route once: the list for one row, then for that row and its messages."""
        chosen = next(iter(self.job.ids or ()), None)
        try:
            page = await self.client.list_completions(read_completion_page, after=None, limit=1)
        except ChatlakeError as error:
            check = failed(f"{self.name}: list", _of_the_list(error))
            if chosen is None:
                yield check
                return
            yield warning(check.check, check.detail, "Not needed: ids are chosen in `select`.")
        else:
            if page.items:
                yield await self._filtered()
            else:
                yield warning(f"{self.name}: list", NOTHING_STORED, NOTHING_STORED_HINT)
            chosen = chosen or next((item.id for item in page.items), None)
        if chosen is None:
            yield warning(f"{self.name}: get, messages", "not checked: there is no completion")
            return
        yield await self._one("get", self.client.get_completion(read_completion, chosen))
        messages = self.client.list_messages(
            read_message_page, chosen, after=None, limit=1, settle=False
        )
        yield await self._one("messages", messages)

    async def _filtered(self) -> Check:
        """Look whether anything passes the filters, where there are some."""
        check, job = f"{self.name}: list", self.job
        if not job.filters:
            return passed(check, "permitted")
        try:
            page = await self.client.list_completions(
                read_completion_page, after=None, limit=1, model=job.model, metadata=job.metadata
            )
        except ChatlakeError as error:
            return failed(check, _of_the_list(error))
        if page.items:
            return passed(check, f"permitted; there are completions with {job.filters}")
        return warning(
            check,
            f"permitted, but no completion matches {job.filters}",
            "Check `select` in the configuration.",
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
