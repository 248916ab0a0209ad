"""What is said of a cluster that does not answer."""

from __future__ import annotations

import re

from chatlake.bootstrap.runners import cluster_unreachable
from chatlake.config import Runner


def test_the_hint_of_a_lost_cluster_is_made_of_whole_clauses() -> None:
    """No comma joins two sentences."""
    error = cluster_unreachable(Runner(kind="dask", address="tcp://a:1"), OSError("refused"))
    assert error.hint.endswith("what was committed stays, and the next run continues.")
    assert not re.search(r"stays, the", error.hint)
