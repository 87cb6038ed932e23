"""How much random tests try: a share of what the campaign tries."""

from __future__ import annotations

import os

from hypothesis import settings

__all__ = ["examples"]

MORE = float(os.environ.get("FUNCGRAD_EXAMPLES", "1"))


def examples(count: int) -> settings:
    """Hypothesis tries so many examples, and `FUNCGRAD_EXAMPLES` times as many where that is set."""
    return settings(max_examples=round(count * MORE))
