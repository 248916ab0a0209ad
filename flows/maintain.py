"""The flow `maintain` for Prefect's deployments: compact, verify a part, vacuum.

As a script: `python flows/maintain.py --config FILE`.
"""

from __future__ import annotations

if __name__ == "__main__":
    # Before Prefect is imported, which takes seconds: a wrong configuration is reported at once.
    from chatlake.flows.command import maintain_command

    raise SystemExit(maintain_command())

from chatlake.flows.maintain import maintain

__all__ = ["maintain"]
