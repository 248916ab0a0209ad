"""What Prefect's settings say, without importing Prefect, which takes seconds."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

API_URL: Final = "PREFECT_API_URL"


def has_server() -> bool:
    """Say whether a Prefect server is named: in the environment, the profile or the folder's files.

    Prefect reads all of these.
    """
    if os.environ.get(API_URL) or active_profile().get(API_URL):
        return True
    tables = (_toml("prefect.toml"), _table(_table(_toml("pyproject.toml"), "tool"), "prefect"))
    return any(_table(table, "api").get("url") for table in tables) or _is_in_dotenv()


def active_profile() -> Mapping[str, object]:
    """Read the active profile as Prefect does; empty if there is none, or none is readable."""
    home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect")
    path = os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml"
    document = _toml(path)
    name = os.environ.get("PREFECT_PROFILE") or document.get("active")
    return _table(_table(document, "profiles"), name)


def _toml(path: str | Path) -> Mapping[str, Any]:
    try:
        with Path(path).expanduser().open("rb") as file:
            return tomllib.load(file)
    except (OSError, ValueError, RuntimeError):
        return {}


def _table(document: Mapping[str, Any], name: object) -> Mapping[str, Any]:
    found = document.get(name) if isinstance(name, str) else None
    return found if isinstance(found, dict) else {}


def _is_in_dotenv() -> bool:
    try:
        lines = Path(".env").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return False
    return any(line.removeprefix("export ").strip().startswith(f"{API_URL}=") for line in lines)
