"""What `jax.ad_checkpoint` has: `checkpoint`, names for its policies, and a look at what is saved."""

from __future__ import annotations

import funcgrad.checkpoint_policies as checkpoint_policies
from funcgrad.transforms.checkpoint import checkpoint, remat
from funcgrad.transforms.residuals import checkpoint_name, print_saved_residuals, saved_residuals

__all__ = [
    "checkpoint",
    "checkpoint_name",
    "checkpoint_policies",
    "print_saved_residuals",
    "remat",
    "saved_residuals",
]
