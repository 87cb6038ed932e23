"""Primitives of whole arrays by PyTorch's operators."""

from __future__ import annotations

from funcgrad.backends._lowerings import Table

__all__ = ["ARRAYS"]

ARRAYS = Table()
