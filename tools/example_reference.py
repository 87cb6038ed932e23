"""Write what JAX makes of `tools.example_programs`: `python -m tools.example_reference`.

It needs JAX (the numbers in `tests/data/example_libraries.npz` are of 0.10), in 64-bit mode and with partitionable
threefry. The file holds all numbers as one float64 array, and an index of their names and shapes as JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tools.example_programs import NETS, OPTIMIZERS, PROGRAMS, namespace, run_net, run_optimizer

__all__ = ["FILE", "main", "read"]

FILE = Path(__file__).parent.parent / "tests" / "data" / "example_libraries.npz"


def read(file: Path = FILE) -> dict[str, np.ndarray]:
    """The numbers by name."""
    with np.load(file) as stored:
        index, numbers = json.loads(str(stored["index"])), stored["numbers"]
    found: dict[str, np.ndarray] = {}
    at = 0
    for name, shape in index:
        n = int(np.prod(shape, dtype=int))
        found[name] = numbers[at : at + n].reshape(shape)
        at += n
    return found


def main() -> None:
    """Compute them with JAX and write the file."""
    import jax  # optional

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_threefry_partitionable", True)
    m = namespace("jax")
    found: dict[str, Any] = {}
    for name in NETS:
        for part, value in run_net(m, name).items():
            values = value if isinstance(value, list) else [value]
            found |= {f"{name}/{part}/{i}": np.asarray(x, np.float64) for i, x in enumerate(values)}
    for name in OPTIMIZERS:
        for dtype in ("float64", "float32"):
            values = run_optimizer(m, name, dtype)
            found |= {f"{name}/{dtype}/{i}": np.asarray(x, np.float64) for i, x in enumerate(values)}
    for name, program in PROGRAMS.items():
        found |= {f"{name}/{i}": np.asarray(x, np.float64) for i, x in enumerate(program(m))}
    index = np.array(json.dumps([(name, x.shape) for name, x in found.items()]))
    np.savez_compressed(FILE, index=index, numbers=np.concatenate([x.ravel() for x in found.values()]))


if __name__ == "__main__":
    main()
