"""What a runner of the configuration needs: Prefect, the cluster's library, and both servers."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

from chatlake.bootstrap.prefect_settings import has_server
from chatlake.config import Runner
from chatlake.errors import ChatlakeError, ConfigurationError

_LIBRARIES: Final = {"dask": "prefect_dask", "ray": "prefect_ray"}
_CONNECT_S: Final = 5.0


def require_extra(runner: Runner) -> None:
    """Raise ConfigurationError if the library of the configured cluster is not installed."""
    library = _LIBRARIES.get(runner.kind)
    if library is not None and find_spec(library) is None:
        extra = f"chatlake[{runner.kind}]"
        raise ConfigurationError(
            f'runner.kind: {runner.kind} needs {extra}: pip install "{extra}"',
            hint="Or set runner.kind to threads or processes.",
        )


def require_prefect() -> None:
    """Raise ChatlakeError if Prefect is not installed, before a traceback says so."""
    if find_spec("prefect") is None:
        raise ChatlakeError(
            "the flows and Secret blocks need Prefect, which is not installed here",
            hint="Install it: pip install prefect. "
            "`chatlake backup` needs it only for secret:NAME.",
        )


def require_lasting_server(runner: Runner) -> None:
    """Raise ConfigurationError for a cluster at an address where no Prefect server is named."""
    if runner.address is not None and not has_server():
        raise no_lasting_server(runner)


def no_lasting_server(runner: Runner) -> ConfigurationError:
    """Return the error for workers that outlive the Prefect server of one run."""
    return ConfigurationError(
        f"the workers at runner.address {runner.address} need a permanent Prefect server",
        hint="Set PREFECT_API_URL to a server that they can reach (`prefect server start`). "
        "`chatlake backup` needs neither.",
    )


def require_cluster(runner: Runner) -> None:
    """Raise ChatlakeError if nothing listens at the address of the configured cluster."""
    if runner.address is None:
        return
    parts = urlsplit(runner.address if "://" in runner.address else f"//{runner.address}")
    try:
        socket.create_connection((parts.hostname, parts.port), _CONNECT_S).close()
    except (OSError, ValueError) as error:
        raise cluster_unreachable(runner, error) from error


def cluster_unreachable(runner: Runner, error: BaseException) -> ChatlakeError:
    """Return the error of a cluster that does not answer, or not any more."""
    line = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    name = runner.kind.capitalize()
    if runner.address is None:
        return ChatlakeError(f"the {name} cluster of this machine failed: {line[:200]}")
    return ChatlakeError(
        f"no {name} cluster answers at runner.address {runner.address}: {line[:200]}",
        hint="Start it or correct the address; what was committed stays, and the next run "
        "continues.",
    )
