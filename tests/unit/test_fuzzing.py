"""The fuzzer's parsers, on good documents and on what it has found; and that it can find."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from chatlake.errors import LakeDamagedError
from chatlake.lake.sealed import seal, unseal
from chatlake.model.manifest import Manifest
from chatlake.model.retry_after import duration_s
from tests.fuzz.targets import TARGETS, Target
from tests.fuzz.trying import Tally, attempt, documents_of


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_good_and_some_damaged_documents_find_nothing(target: Target) -> None:
    """Every good document is read, and forty damaged ones end as they may."""
    good, tally = target.documents(), Tally()
    stream = documents_of(target, Random(5))
    found = [attempt(target, each, tally) for each in itertools.islice(stream, len(good))]
    assert tally.read == len(good)
    found += [attempt(target, each, tally) for each in itertools.islice(stream, 40)]
    assert [each for each in found if each is not None] == []


def test_a_wrong_error_is_found() -> None:
    """A parser that raises another error than it may is a finding, with the document."""

    def fragile(document: bytes) -> None:
        document.decode("ascii")

    target = Target("fragile", lambda: (b"plain text " * 9,), fragile)
    stream = itertools.islice(documents_of(target, Random(1)), 500)
    found = [each for document in stream if (each := attempt(target, document, Tally()))]
    assert {type(each.error) for each in found} == {UnicodeDecodeError}


def test_a_manifest_that_is_not_utf_8_is_damaged() -> None:
    """A forged seal over other bytes than UTF-8 gives the lake's own error."""
    text = seal(b'{"format":1,"number":1,"created_at":"\xb5"}')
    with pytest.raises(LakeDamagedError, match="is damaged"):
        unseal(text, "lake/manifests/1.json", Manifest)


def test_a_duration_without_bound_is_none() -> None:
    """Four hundred digits of seconds mean nothing."""
    assert duration_s("9" * 400 + "s") is None
