"""Write the samples that JAX draws for the table `tools.random_cases`: `python -m tools.random_reference`.

It needs JAX (the numbers in `tests/data/random.npz` are of 0.10), in 64-bit mode and with partitionable threefry. The
file holds, for each dtype, all samples in the order of the table, and an index of their names and shapes as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tools.random_cases import CASES, INITIALIZERS, KEYS

__all__ = ["FILE", "main", "read"]

FILE = Path(__file__).parent.parent / "tests" / "data" / "random.npz"


def read(file: Path = FILE) -> dict[str, dict[str, np.ndarray]]:
    """The samples by the name of the case and that of the key."""
    with np.load(file) as stored:
        index = json.loads(str(stored["index"]))
        parts = {name: stored[name] for name in stored.files if name != "index"}
    at = dict.fromkeys(parts, 0)
    found: dict[str, dict[str, np.ndarray]] = {}
    for case, key, dtype, shape in index:
        n = int(np.prod(shape, dtype=int))
        found.setdefault(case, {})[key] = parts[dtype][at[dtype] : at[dtype] + n].reshape(shape)
        at[dtype] += n
    return found


def main() -> None:
    """Draw those that the file does not have; with `--all`, all of them."""
    import jax  # optional

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_threefry_partitionable", True)
    have = {} if "--all" in sys.argv or not FILE.exists() else read()
    index: list[Any] = []
    parts: dict[str, list[np.ndarray]] = {}

    def add(case: str, key: str, draw: Any) -> None:
        known = have.get(case, {}).get(key)
        sample = np.asarray(draw(KEYS[key](jax.random))) if known is None else known
        index.append((case, key, sample.dtype.name, sample.shape))
        parts.setdefault(sample.dtype.name, []).append(sample.ravel())

    for case in CASES.values():
        for key in KEYS:
            add(case.name, key, lambda k, case=case: case.call(jax.random, k))
    for name, call in INITIALIZERS.items():
        add(name, "key(0)", lambda k, call=call: call(jax.nn.initializers, k))
    FILE.parent.mkdir(exist_ok=True)
    arrays: dict[str, Any] = {name: np.concatenate(xs) for name, xs in parts.items()}
    np.savez_compressed(FILE, index=np.array(json.dumps(index)), **arrays)
    print(f"{len(index)} samples, {FILE.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
