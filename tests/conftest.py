"""What holds for all tests: property tests find the same examples on every machine."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("dev", max_examples=60, deadline=None, derandomize=True)
settings.register_profile("ci", max_examples=150, deadline=None, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
