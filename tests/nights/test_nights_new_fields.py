"""Nights in which the API sends fields that chatlake does not know: counted, and reported once."""

from __future__ import annotations

import logging

import pytest

from chatlake.backup.report import BackupReport
from chatlake.cli.backup_json import backup_document
from chatlake.lake.forgetting import forget
from chatlake.model.new_fields import NewField
from chatlake.model.partitions import Partition
from chatlake.model.unknown_fields import FURTHER, MOST
from tests.nights.night import Nights
from tests.nights.server import NightServer
from tests.support import NOW


def remembered(nights: Nights) -> dict[str, NewField]:
    """Return what the lake remembers, by field."""
    return {field: each for (_, field), each in nights.lake().state.new_fields.items()}


def reported(report: BackupReport) -> list[str]:
    """Return the fields that the run reports as new."""
    return [each["field"] for each in backup_document(report)["new_fields"]]


def test_a_new_field_is_reported_by_the_first_run_alone(
    nights: Nights, server: NightServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The first run warns of it, with an example; later ones count it, and say nothing."""
    server.grow(3)
    server.add(NOW + 100, "chatcmpl-first", mood="new")
    with caplog.at_level(logging.WARNING, "chatlake.backup.field_news"):
        night = nights.night()
    assert reported(night.report) == ["mood"]
    warning = (
        "openai sends a field that chatlake does not know: mood (e.g. in chatcmpl-first). "
        "Kept in raw; `chatlake status` counts them"
    )
    assert [record.getMessage() for record in caplog.records] == [warning]
    caplog.clear()
    server.add(NOW + 200, mood="newer")
    assert reported(nights.night().report) == []
    assert not caplog.records
    met = remembered(nights)["mood"]
    assert (met.completions, met.completion_id) == (2, "chatcmpl-first")


def test_fields_of_messages_are_counted_once_a_completion(
    nights: Nights, server: NightServer
) -> None:
    """Three messages of one completion have it: that is one completion."""
    name = server.add(NOW, messages=3)
    for message in server.rows[name].messages:
        message["mood"] = "new"
    nights.night()
    assert {field: each.completions for field, each in remembered(nights).items()} == {
        "messages[].mood": 1
    }


def test_nothing_is_counted_of_what_is_unchanged(nights: Nights, server: NightServer) -> None:
    """A completion that is listed again is not stored again, and not counted again."""
    server.add(NOW, mood="new")
    for _ in range(3):
        nights.night(full=True)
    assert remembered(nights)["mood"].completions == 1


def test_a_completion_whose_messages_are_missing_is_looked_at(
    nights: Nights, server: NightServer
) -> None:
    """It is stored as far as it came, and so are its fields."""
    server.grow(3)
    name = server.add(NOW + 100, mood="new")
    server.faults["messages", name] = 400
    assert nights.night().code == 3
    assert remembered(nights)["mood"].completion_id == name


def test_a_server_with_ever_new_fields_fills_no_ledger(nights: Nights, server: NightServer) -> None:
    """At most so many of a source are named, over all nights; the others count as one."""
    for number in range(3):
        for key in range(60):
            server.add(NOW + 100 * number + key, **{f"key-{number}-{key}": 1})
        nights.night()
    met = remembered(nights)
    assert len(met) == MOST + 1
    assert sum(each.completions for each in met.values()) == 180
    assert met[FURTHER].completions == 180 - MOST


def test_a_forgotten_completion_is_no_example(nights: Nights, server: NightServer) -> None:
    """Its id is taken away, the count stays, and the next completion with the field is named."""
    name = server.add(NOW, mood="new")
    nights.night()
    lake = nights.lake()
    with lake.lock():
        forget(lake, {Partition.of("openai", NOW): {name}}, run_id="forgetting")
    met = remembered(nights)["mood"]
    assert (met.completion_id, met.completions) == ("", 1)
    another = server.add(NOW + 100, mood="new")
    assert reported(nights.night().report) == []
    assert remembered(nights)["mood"].completion_id == another
