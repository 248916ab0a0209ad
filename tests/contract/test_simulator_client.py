"""The official `openai` client, an independent judge, pages through the simulator.

Only the tests import it: it takes half a second, and every test process would pay for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from chatlake.simulator import Running, Scenario, running

if TYPE_CHECKING:
    import openai


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """One server for all tests that change nothing."""
    with running(Scenario(completions=450, now=1_800_000_000, api_key="sk-test")) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[openai.OpenAI]:
    """The official client, without retries of its own."""
    import openai

    with openai.OpenAI(api_key="sk-test", base_url=server.base_url, max_retries=0) as connected:
        yield connected


def plain(model: Any) -> dict[str, Any]:
    """The fields that the server sent, as JSON values."""
    dumped: dict[str, Any] = model.model_dump(mode="json", exclude_unset=True)
    return dumped


def test_the_client_lists_the_truth(server: Running, client: openai.OpenAI) -> None:
    """Paging oldest first with the client gives every completion, key for key."""
    listed = [plain(found) for found in client.chat.completions.list(limit=100, order="asc")]
    assert listed == [record["completion"] for record in server.truth()]


def test_the_client_lists_newest_first_by_default(server: Running, client: openai.OpenAI) -> None:
    """Without an order the client sees the newest first."""
    first = client.chat.completions.list(limit=3).data
    assert [found.id for found in first] == server.ids()[::-1][:3]


def test_the_client_pages_messages_to_the_truth(server: Running, client: openai.OpenAI) -> None:
    """Paging messages gives every message in order, long conversations included."""
    records = list(server.truth())
    longest = max(records, key=lambda record: len(record["messages"]))
    assert len(longest["messages"]) > 100
    for record in (*records[:40], longest):
        found = client.chat.completions.messages.list(record["completion"]["id"], limit=100)
        assert [plain(message) for message in found] == record["messages"]


def test_the_client_retrieves_updates_and_deletes() -> None:
    """Retrieve, update and delete work; after it the id is unknown."""
    import openai

    with (
        running(Scenario(completions=5)) as server,
        openai.OpenAI(api_key="any", base_url=server.base_url, max_retries=0) as client,
    ):
        name = server.ids()[2]
        assert client.chat.completions.retrieve(name).id == name
        changed = client.chat.completions.update(name, metadata={"reviewed": "yes"})
        assert changed.metadata == {"reviewed": "yes"}
        assert plain(client.chat.completions.retrieve(name))["metadata"] == {"reviewed": "yes"}
        assert client.chat.completions.delete(name).deleted
        with pytest.raises(openai.NotFoundError) as caught:
            client.chat.completions.retrieve(name)
        assert caught.value.code == "not_found"
        assert name not in server.ids()


def test_the_client_filters_by_metadata_and_model(server: Running, client: openai.OpenAI) -> None:
    """Filters arrive however the client encodes brackets and spaces."""
    wanted = next(
        record["completion"]
        for record in server.truth()
        if "note" in record["completion"]["metadata"]
    )
    found = list(
        client.chat.completions.list(model=wanted["model"], metadata=wanted["metadata"], limit=1)
    )
    assert wanted["id"] in {completion.id for completion in found}
    assert all(plain(completion)["metadata"] == wanted["metadata"] for completion in found)


def test_the_azure_client_is_served_as_well(server: Running) -> None:
    """The Azure client's routes, api-version and api-key header work."""
    import openai

    root = server.base_url.removesuffix("/v1")
    with openai.AzureOpenAI(
        api_key="sk-test",
        base_url=root + "/openai",
        api_version="2025-02-01-preview",
        max_retries=0,
    ) as client:
        first = client.chat.completions.list(limit=2, order="asc").data
    assert [found.id for found in first] == server.ids()[:2]
