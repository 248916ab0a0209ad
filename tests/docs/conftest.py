"""A small lake, made once, for the examples of the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatlake.config import Settings
from chatlake.simulator import Scenario, running
from tests.support import NOW, backup, settings_for


@pytest.fixture(scope="session")
def small_lake(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two backups of a source with texts, images, tools and metadata, in `data/lake`."""
    folder = tmp_path_factory.mktemp("documented")
    scenario = Scenario(completions=120, seed=7, days=3, now=NOW, image_share=0.2)
    with running(scenario) as simulator:
        settings = settings_for(folder / "data", simulator.base_url)
        assert backup(settings).exit_code == 0
        simulator.edit(simulator.ids()[-1], {"team": "search"})
        assert backup(settings).exit_code == 0
    return settings


@pytest.fixture
def beside_lake(small_lake: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in the folder where the lake is `data/lake`, as the examples do; returns the lake."""
    lake = Path(small_lake.lake_location)
    monkeypatch.chdir(lake.parent.parent)
    return lake
