"""What one check of `chatlake doctor` found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from chatlake.errors import ChatlakeError

Level = Literal["ok", "warning", "error"]
# If several checks fail, the command exits with the first of these codes: causes come first.
_WORST_FIRST = (4, 7, 5, 6, 1)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report; `exit_code` is the code if it fails, `remedy` what to do about it."""

    check: str
    level: Level
    detail: str
    remedy: str = ""
    exit_code: int = 0

    def as_document(self) -> dict[str, Any]:
        """Return it as `--json` shows it."""
        document = asdict(self)
        del document["exit_code"]
        return {"check": document.pop("check"), "ok": self.level != "error", **document}


def passed(check: str, detail: str) -> Check:
    """Return a check that found nothing wrong."""
    return Check(check, "ok", detail)


def warning(check: str, detail: str, remedy: str = "") -> Check:
    """Return a check that found something to consider."""
    return Check(check, "warning", detail, remedy)


def failed(check: str, error: ChatlakeError) -> Check:
    """Return a check that ended with this error."""
    return Check(check, "error", error.message, error.hint, error.exit_code)


def exit_code(checks: list[Check]) -> int:
    """Return the code of the worst failure; 0 if there is none."""
    codes = {check.exit_code for check in checks} - {0}
    return next((code for code in _WORST_FIRST if code in codes), max(codes, default=0))
