"""From starting Python to the first gradient: whole processes, time and peak memory."""

from __future__ import annotations

from benchmarks.spec import Goal, ProcessWorkload, Snippet

__all__ = ["WORKLOADS"]

_NUMPY = "import numpy"

_FUNCGRAD = """
import numpy as np
from funcgrad import grad
assert grad(lambda x: np.sum(np.tanh(x) ** 2))(np.ones(3)).shape == (3,)
"""

_AUTOGRAD = """
import autograd.numpy as np
from autograd import grad
assert grad(lambda x: np.sum(np.tanh(x) ** 2))(np.ones(3)).shape == (3,)
"""

_JAX = """
import jax.numpy as np
from jax import grad
assert grad(lambda x: np.sum(np.tanh(x) ** 2))(np.ones(3)).block_until_ready().shape == (3,)
"""

_TORCH = """
import torch
x = torch.ones(3, requires_grad=True)
torch.sum(torch.tanh(x) ** 2).backward()
assert x.grad.shape == (3,)
"""

startup = ProcessWorkload(
    name="startup",
    summary="A whole process: import and first gradient (NumPy: import alone).",
    snippets={
        "numpy": Snippet(_NUMPY, "numpy", peer=False),
        "funcgrad": Snippet(_FUNCGRAD, "funcgrad", peer=False),
        "autograd": Snippet(_AUTOGRAD, "autograd", peer=True),
        "jax": Snippet(_JAX, "jax", peer=True),
        "torch": Snippet(_TORCH, "torch", peer=True),
    },
    goals=(
        Goal("funcgrad", over="numpy", at_most=0.1, compare="difference"),
        Goal("funcgrad", over="numpy", at_most=15.0, compare="difference", metric="memory"),
    ),
)

WORKLOADS = (startup,)
