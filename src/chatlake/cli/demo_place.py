"""The folder of `chatlake demo`: its configuration, and how often the demo ran there."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from chatlake.errors import UsageError

COMPLETIONS = 1500
NEW_EACH_TIME = 60
KEY_VARIABLE = "CHATLAKE_DEMO_KEY"

_CONFIG_NAME = "demo.yaml"
_STATE_NAME = "demo.json"
_CONFIG = """\
# Written by `chatlake demo`, for a simulated API on loopback.
version: 1
lake: lake
sources:
  - name: demo
    base_url: {url}
    api_key: ${{{variable}}}
"""


@dataclass(slots=True)
class DemoPlace:
    """The demo's folder.

    `runs`: how many backups have succeeded here. `begins_at`: when its data begins, in UTC seconds.
    `mix`: the simulator's mix of conversations. It stays what it was when the demo first ran here,
    because with another mix every completion would have changed.
    """

    folder: Path
    runs: int
    begins_at: int
    mix: str

    @classmethod
    def at(cls, directory: Path | None) -> DemoPlace:
        """Return the demo's place in `directory`, and create the folder.

        UsageError if it cannot be written, or if its `demo.json` was not written by a demo.
        """
        folder = (_default_folder() if directory is None else directory.expanduser()).absolute()
        runs, begins_at, mix = 0, (int(time.time()) // 86_400 - 5) * 86_400, "readers"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                state = json.loads((folder / _STATE_NAME).read_text(encoding="utf-8"))
                runs, begins_at = int(state["runs"]), int(state["begins_at"])
                mix = str(state.get("mix", "plain"))
        except OSError as problem:
            raise UsageError(
                f"{folder}: {problem.strerror or problem}", hint="Choose another --directory."
            ) from None
        except (ValueError, KeyError, TypeError):
            raise UsageError(
                f"{folder / _STATE_NAME} was not written by a demo", hint=f"Remove {folder}."
            ) from None
        place = cls(folder, runs, begins_at, mix)
        place._write()
        return place

    @property
    def config(self) -> Path:
        """The demo's configuration file."""
        return self.folder / _CONFIG_NAME

    @property
    def completions(self) -> int:
        """How many completions the account has this time; it includes those of earlier times."""
        return COMPLETIONS + self.runs * NEW_EACH_TIME

    def write_config(self, url: str) -> None:
        """Write the configuration of the simulated API at `url`."""
        text = _CONFIG.format(url=url, variable=KEY_VARIABLE)
        self.config.write_text(text, encoding="utf-8")

    def remember(self) -> None:
        """Count a backup that went well."""
        self.runs += 1
        self._write()

    def _write(self) -> None:
        text = json.dumps({"runs": self.runs, "begins_at": self.begins_at, "mix": self.mix})
        (self.folder / _STATE_NAME).write_text(text + "\n", encoding="utf-8")


def _default_folder() -> Path:
    if Path("flows/backup.py").is_file() and Path("data").is_dir():
        return Path("data/demo")
    return Path(tempfile.mkdtemp(prefix="chatlake-demo-"))
