"""The flow `backup` for Prefect's deployments: what `chatlake backup` does, in tasks.

As a script: `python flows/backup.py --config FILE [--source NAME]… [--full]`.
"""

from __future__ import annotations

if __name__ == "__main__":
    # Before Prefect is imported, which takes seconds: a wrong configuration is reported at once.
    from chatlake.flows.command import backup_command

    raise SystemExit(backup_command())

from chatlake.flows.backup import backup

__all__ = ["backup"]
