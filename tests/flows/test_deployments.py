"""`prefect.yaml`: the deployments for a work pool are those that `chatlake serve` has."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow

from chatlake.config import load_settings, template
from chatlake.flows.serve.deployments import deployments_of

REPOSITORY = Path(__file__).parents[2]
DEPLOYMENTS = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())["deployments"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda each: each["name"])
def test_a_deployment_runs_a_flow_without_a_limit(deployment: dict[str, Any]) -> None:
    """Its entrypoint is a flow that takes its parameters; the limit of an earlier one is removed."""
    file, _, name = deployment["entrypoint"].partition(":")
    flow = getattr(importlib.import_module(f"chatlake.flows.{Path(file).stem}"), name)

    assert (REPOSITORY / file).is_file()
    assert isinstance(flow, Flow)
    assert deployment["parameters"].keys() <= flow.parameters.properties.keys()
    assert deployment["concurrency_limit"] is None
    assert deployment["work_pool"] == {"name": "chatlake"}


def test_they_are_what_serve_schedules(tmp_path: Path) -> None:
    """Names, times, parameters and descriptions are those of the default configuration."""
    (tmp_path / "chatlake.yaml").write_text(template())
    served = deployments_of(load_settings(tmp_path / "chatlake.yaml"))

    assert [
        (each["name"], each["schedules"][0]["cron"], each["parameters"], each["description"])
        for each in DEPLOYMENTS
    ] == [
        (each.name, each.cron, {k: v for k, v in each.parameters.items() if k != "config"},
         each.what)
        for each in served
    ]  # fmt: skip
