"""`--expect FINGERPRINT`: a commit that the lake must still have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from chatlake.errors import UsageError
from chatlake.lake.manifests import FINGERPRINT_DIGITS

_FINGERPRINT: Final = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Expectation:
    """A fingerprint that the lake once had: the first digits of the SHA-256 of a manifest's file.

    `commit`: which commit has it, None until it is found. `proved_from`: the first commit that it
    covers; an older chatlake made the earlier ones without links.
    """

    fingerprint: str
    commit: int | None = None
    proved_from: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 12 to 64 hexadecimal digits; UsageError for anything else."""
        digits = text.strip().lower()
        if not _FINGERPRINT.fullmatch(digits) or not FINGERPRINT_DIGITS <= len(digits) <= 64:
            raise UsageError(
                f"--expect {text}: expected a fingerprint, {FINGERPRINT_DIGITS} to 64 "
                "hexadecimal digits",
                hint="`chatlake status` and each backup print the lake's fingerprint.",
            )
        return cls(digits)
