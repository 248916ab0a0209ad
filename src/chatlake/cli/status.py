"""`chatlake status`: what is in the lake, and what is missing."""

from __future__ import annotations

from chatlake.cli.options import ConfigOption, JsonOption, examples
from chatlake.cli.output import write_json

EXAMPLES = examples("chatlake status", "chatlake status --json")


def status(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Show what is backed up, and what is missing.

    Also shows the last runs, the last full sweep, the open gaps, and how long the source will keep
    what is not backed up yet. Contacts no source and needs no key.
    """
    from datetime import UTC, datetime  # noqa: PLC0415

    from chatlake.bootstrap.opened import open_lake  # noqa: PLC0415
    from chatlake.cli.status_dates import times_in  # noqa: PLC0415
    from chatlake.cli.status_facts import gather  # noqa: PLC0415
    from chatlake.cli.status_json import status_document  # noqa: PLC0415
    from chatlake.cli.status_text import show_status  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415
    from chatlake.lake.manifests import read_head  # noqa: PLC0415

    settings = load_settings(config)
    lake = open_lake(settings)
    holder, now = lake.storage.lock_holder(), datetime.now(UTC)
    facts = gather(lake.state, settings, holder, now, times_in(lake))
    facts.count_unlisted(lake.leftovers())
    if head := read_head(lake.storage, lake.state.number):
        facts.fingerprint = head.fingerprint
    if as_json:
        write_json(status_document(lake.location, facts))
    else:
        show_status(lake.location, facts)
