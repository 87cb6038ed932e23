"""A run of training with checkpoints, to be killed at any moment: `python training_run.py DIRECTORY STEPS`.

It prints a line before it begins and one at the end, with a checksum of the parameters and the history.
"""

from __future__ import annotations

import hashlib
import sys
from typing import Any

import numpy as np

from funcgrad import io, optim, random, tree
from funcgrad.train import fit


def loss(params: Any, x: Any, y: Any, *, key: Any) -> Any:
    """A network with noise, so that the keys of steps matter."""
    h = np.tanh(x @ params["w"] + params["b"])
    h = h * random.bernoulli(key, 0.9, h.shape)
    return np.mean((h @ params["v"] - y) ** 2)


def run(directory: str | None, steps: int, every: int = 3) -> str:
    """A checksum of what the run gives."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 4), np.float32)
    params = {"w": rng.standard_normal((4, 8), np.float32), "b": np.zeros(8, np.float32), "v": np.ones(8, np.float32)}
    checkpoints = None if directory is None else io.Checkpoints(directory, keep=2, every=every)
    out = fit(
        loss, params, optim.adam(optim.cosine_decay_schedule(0.01, steps)), (x, np.sin(x[:, 0])), steps=steps,
        batch_size=8, key=3, evaluate=(x, x[:, 1]), early_stopping=1000, accumulate=2, clip=1.0, checkpoint=checkpoints,
    )  # fmt: skip
    digest = hashlib.sha256()
    for leaf in tree.leaves(out):
        digest.update(np.asarray(leaf).tobytes())
    return f"{len(out[1]['loss'])} {digest.hexdigest()}"


if __name__ == "__main__":
    print("begins", flush=True)
    print(run(sys.argv[1], int(sys.argv[2])), flush=True)
