"""Serving: registers the deployments, runs what is due in separate processes, ends cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from prefect.client.orchestration import PrefectClient, get_client
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.runner import Runner
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL

from chatlake.bootstrap.prefect_database import own_database
from chatlake.bootstrap.secrets import needs_prefect_secrets
from chatlake.config import Settings
from chatlake.errors import ChatlakeError, UsageError
from chatlake.flows.dead_runs import close_runs_of
from chatlake.flows.serve.deployments import Served
from chatlake.flows.serve.own_server import OwnServer, own_server

logger = logging.getLogger("chatlake.flows")

Announce = Callable[[], Coroutine[Any, Any, None]]
"""Says what is served; called when serving has started."""

_AGAIN_SECONDS = 15.0
_STOP_AGAIN_SECONDS = 1.0


async def serve(
    settings: Settings,
    served: Sequence[Served],
    deployments: Sequence[RunnerDeployment],
    port: int | None,
) -> None:
    """Serve until cancelled; then end the running backup, which commits what it has fetched.

    If the user has no Prefect server, one is started on `port` and stopped at the end. Its database
    is chatlake's own, unless the configuration refers to Secret blocks in the user's. ChatlakeError
    where there is no server, or it dies; UsageError if another configuration's deployments have
    these names.
    """
    ends = [asyncio.create_task(_orphaned(os.getppid()))]
    async with contextlib.AsyncExitStack() as stack:
        url, whose, password = PREFECT_API_URL.value(), "PREFECT_API_URL", ""
        if not url:
            database = None if needs_prefect_secrets(settings) else own_database()
            server = await stack.enter_async_context(own_server(port, database))
            url, whose = server.url, "its own server, which stops with it"
            password = _where_the_password_is(server)
            ends.append(asyncio.create_task(server.ended()))
        async with get_client() as client:
            if await client.api_healthcheck() is not None:
                raise ChatlakeError(
                    f"the Prefect server at {url} does not answer",
                    hint="Check PREFECT_API_URL; without it chatlake starts its own server.",
                )
            await _check_names(client, deployments)
        ui = (PREFECT_UI_URL.value() or url).removesuffix("/api")
        prefect = f"{password}Prefect: {ui} ({whose})"
        announced = functools.partial(_announce, settings, served, prefect)
        await _until(ends, _serve_on(settings, deployments, url, announced))


def _where_the_password_is(server: OwnServer) -> str:
    """Return the line on the password of the server's pages.

    Only a terminal shows the password, because other output is kept in a journal or a file that
    others may read.
    """
    if server.password_file is None:
        return "The pages below ask for your PREFECT_SERVER_API_AUTH_STRING.\n"
    if sys.stdout.isatty():
        return f"The pages below ask for a password: {server.password}\n"
    return f"The pages below ask for the password in {server.password_file}\n"


async def _until(ends: list[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    """Do `work` until it or one of `ends` ends, or until cancelled. Then end all of them."""
    working = asyncio.create_task(work)
    try:
        await asyncio.wait({working, *ends}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [task for task in (working, *ends) if task.done()]
        for task in (working, *ends):
            task.cancel()
        await asyncio.wait({working, *ends})
    for task in ended:
        task.result()


async def _announce(settings: Settings, served: Sequence[Served], prefect: str) -> None:
    zone = settings.schedule.timezone
    print(f"Serving {settings.path}, next runs ({zone}):")
    for each in served:
        date = await each.next_run(zone)
        print(f"  {each.name:<20} {date:%a %Y-%m-%d %H:%M}  ({each.cron})")
    print(f"{prefect}. Press Ctrl-C to stop.", flush=True)


async def _serve_on(
    settings: Settings,
    deployments: Sequence[RunnerDeployment],
    url: str,
    announced: Announce,
) -> None:
    """Serve, and start again if the server was away for long."""
    announcing: Announce | None = announced
    while True:
        async with get_client() as client:
            problem = await client.api_healthcheck()
        if problem is None:
            await _run(settings, deployments, announcing)
            announcing = None
        logger.warning("the Prefect server at %s does not answer, trying again", url)
        await asyncio.sleep(_AGAIN_SECONDS)


async def _run(
    settings: Settings,
    deployments: Sequence[RunnerDeployment],
    announced: Announce | None,
) -> None:
    """Run what is due until the server was away for long (then return), or cancelled.

    Only one run at a time, because the lake has one writer; others wait their turn.
    """
    runner = Runner(name="chatlake", limit=1, pause_on_shutdown=False)
    ids = [await runner.aadd_deployment(deployment) for deployment in deployments]
    await asyncio.to_thread(close_runs_of, settings, ids)
    if announced is not None:
        await announced()
    running = asyncio.create_task(runner.start())
    try:
        await asyncio.wait({running})
    except asyncio.CancelledError:
        await _stop(runner, running)
        with contextlib.suppress(Exception):  # no server, nothing to pause
            async with get_client() as client:
                for deployment_id in ids:
                    await client.pause_deployment(deployment_id)
        raise
    problem = running.exception()
    if problem is not None:
        logger.debug("the runner ended: %r", problem)


async def _stop(runner: Runner, running: asyncio.Task[None]) -> None:
    """Stop the runner and wait for its end; one that is still starting cannot be stopped yet."""
    while not running.done():
        with contextlib.suppress(Exception):  # it is starting, or has ended meanwhile
            await runner.astop()
        await asyncio.wait({running}, timeout=_STOP_AGAIN_SECONDS)


async def _check_names(client: PrefectClient, deployments: Sequence[RunnerDeployment]) -> None:
    """UsageError if another configuration's deployment has the name and is served."""
    for deployment in deployments:
        try:
            found = await client.read_deployment_by_name(deployment.full_name)
        except ObjectNotFound:
            continue
        config = (found.parameters or {}).get("config")
        if config != (deployment.parameters or {}).get("config") and not found.paused:
            raise UsageError(
                f"the Prefect server has a deployment {deployment.full_name} of {config}",
                hint="Give these another name with --name, or pause or delete that one.",
            )


async def _orphaned(parent: int) -> None:
    """Return once the process that started this one is gone."""
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells it
        await asyncio.sleep(1.0)
