"""The flow `export_completions` for Prefect's deployments: just these completions.

As a script: `python flows/export_completions.py --config FILE --ids-file FILE [--source NAME]`.
"""

from __future__ import annotations

if __name__ == "__main__":
    # Before Prefect is imported, which takes seconds: a wrong configuration is reported at once.
    from chatlake.flows.command import export_command

    raise SystemExit(export_command())

from chatlake.flows.export_completions import export_completions

__all__ = ["export_completions"]
