"""The end of a backup: small files are merged where that is worth it, up to a limit."""

from __future__ import annotations

import logging
from collections.abc import Container
from datetime import UTC, datetime
from typing import Final

from chatlake.backup.report import BackupReport
from chatlake.errors import LakeError
from chatlake.lake.compacting import compact
from chatlake.lake.lake import Lake

logger = logging.getLogger(__name__)

AT_MOST_BYTES: Final = 256 << 20
"""The most that a run merges: about ten seconds of work. An old lake's other files wait for the
next run.
"""


def compact_after(lake: Lake, report: BackupReport, before: Container[str]) -> None:
    """Merge small files, first in the partitions that the run has written to.

    The caller holds the lake's lock. `before`: the files that were listed when the run began. An
    error here does not fail the run: what it fetched is committed, and `verify` reports damage.
    """
    if any(isinstance(source.error, LakeError) for source in report.sources):
        return
    files = list(lake.state.files.values())
    touched = {file.partition for file in files if file.path not in before}
    try:
        merged = compact(
            lake,
            report.run_id,
            today=datetime.now(UTC).date(),
            first=touched,
            at_most=AT_MOST_BYTES,
        )
    except LakeError as error:
        logger.warning("small files were not merged: %s", error.message)
        return
    for problem in merged.damaged:
        logger.warning("%s; `chatlake verify` names what to do", problem)
    if merged.merged:
        logger.info("merged %d small files into %d", merged.merged, merged.added)
