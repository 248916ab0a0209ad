"""Whose database a Prefect server on this machine gets, and one that a later Prefect has changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from chatlake.bootstrap.prefect_database import later_database, require_known_database
from chatlake.bootstrap.secrets import needs_prefect_secrets
from chatlake.config import load_settings
from chatlake.errors import ChatlakeError
from chatlake.simulator import Running
from tests.flows.migrated import environment, later
from tests.flows.prefect_server import processes_with
from tests.flows.script import finish, start
from tests.support import KEY, KEY_VARIABLE, write_config

pytestmark = pytest.mark.slow


def secret_config(folder: Path, server: Running) -> Path:
    """Write a configuration whose key is in a Prefect Secret block."""
    return write_config(folder, server.base_url, api_key="secret:chatlake-key")


@pytest.mark.parametrize(
    ("words", "log"),
    [
        ([sys.executable, "{flows}/backup.py", "--config", "{config}"], "a script"),
        ([sys.executable, "-m", "chatlake", "backup", "--config", "{config}"], "a command"),
        ([sys.executable, "-m", "chatlake", "serve", "--config", "{config}"], "serve"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_database_of_a_later_prefect_is_named_at_once(
    words: list[str], log: str, *, server: Running, tmp_path: Path
) -> None:
    """Where it has to be opened, for a Secret block: one line, what to do, and no endless wait."""
    database = later(tmp_path / "home" / "prefect.db")
    config = secret_config(tmp_path, server)
    flows = Path(__file__).parents[2] / "flows"

    done = subprocess.run(
        [word.format(flows=flows, config=config) for word in words],
        env={**environment(PREFECT_HOME=str(tmp_path / "home")), KEY_VARIABLE: KEY},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    (told,) = [line for line in done.stderr.splitlines() if str(database) in line]
    assert "was changed by another version of Prefect than this one" in told
    assert "Install that version, or move the file away" in done.stderr
    assert "Traceback" not in done.stderr
    assert processes_with(str(tmp_path / "home")) == []


def test_an_own_database_of_a_later_prefect_is_named_too(config: Path, tmp_path: Path) -> None:
    """As after a downgrade of chatlake: the line names the file that may be moved away."""
    database = later(tmp_path / "home" / "chatlake" / "prefect.db")

    code, _, err = finish(start("backup.py", "--config", str(config), home=tmp_path / "home"))

    assert code == 1
    assert f"Error: {database} was changed by another version of Prefect" in err
    assert "Traceback" not in err


def test_another_kind_of_database_is_left_to_the_server(tmp_path: Path) -> None:
    """The path in its address is not taken for a file, even where a file of a later one is there."""
    path = later(tmp_path / "prefect.db")

    with pytest.raises(ChatlakeError, match="was changed by another version"):
        require_known_database(f"sqlite+aiosqlite:///{path}")
    require_known_database(f"postgresql+asyncpg:///{path}")


def test_a_database_that_is_not_there_yet_is_left_to_the_server(tmp_path: Path) -> None:
    """The database is neither opened nor created here: the server creates it."""
    require_known_database(f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}")

    assert list(tmp_path.iterdir()) == []


def test_every_revision_of_the_installed_prefect_is_known(tmp_path: Path) -> None:
    """A database that this Prefect has made is never taken for one of a later one."""
    from alembic.script import ScriptDirectory
    from prefect.server.database import alembic_commands

    folder = Path(alembic_commands.__file__).parent / "_migrations"
    script = ScriptDirectory(str(folder), version_locations=[str(folder / "versions/sqlite")])
    (head,) = script.get_heads()
    database = later(tmp_path / "prefect.db", head)

    require_known_database(f"sqlite+aiosqlite:///{database}")
    later(tmp_path / "later.db")
    with pytest.raises(ChatlakeError, match="was changed by another version"):
        require_known_database(f"sqlite+aiosqlite:///{tmp_path / 'later.db'}")
    assert later_database("x").hint


def test_a_configuration_says_whether_it_needs_the_users_blocks(
    server: Running, config: Path, tmp_path: Path
) -> None:
    """By the key, by a header, or by `notify`; an environment variable does not count."""
    assert not needs_prefect_secrets(load_settings(config))
    assert needs_prefect_secrets(load_settings(secret_config(tmp_path / "key", server)))
    header = write_config(tmp_path / "header", server.base_url, headers={"X-Token": "secret:token"})
    assert needs_prefect_secrets(load_settings(header))
    config.write_text(config.read_text() + "\nnotify: secret:slack\n")
    assert needs_prefect_secrets(load_settings(config))
