"""The same program under funcgrad and under JAX: `from _backend import jax, jnp, ...` and, at its end, `run(main)`.

    python examples/kalman_filter.py               with funcgrad
    python examples/kalman_filter.py --jax         with JAX in double precision, where it is installed
    python examples/kalman_filter.py --quick       a small setting

Written for one of them alone, a program would begin with `import jax`, `import jax.numpy as jnp`, ...; or with
`import funcgrad as jax`, `import funcgrad.numpy as jnp`, ...
"""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

UNDER_JAX = "--jax" in sys.argv[1:]

if TYPE_CHECKING or not UNDER_JAX:
    import funcgrad as jax
    import funcgrad.numpy as jnp
    from funcgrad import lax, random
    from funcgrad.experimental.ode import odeint
else:
    import jax
    import jax.numpy as jnp
    from jax import lax, random
    from jax.experimental.ode import odeint
    from jax.scipy import linalg, sparse, special, stats  # noqa: F401 (makes them attributes of jax.scipy)

    jax.config.update("jax_enable_x64", True)

__all__ = ["UNDER_JAX", "Numbers", "jax", "jnp", "lax", "odeint", "random", "run"]

Numbers = Mapping[str, Any]


def run(main: Callable[..., Numbers]) -> None:
    """Runs a program by its command line, and prints the numbers that it returns, a line each."""
    for name, value in main(quick="--quick" in sys.argv[1:]).items():
        text = " ".join(f"{x:.12g}" for x in np.ravel(np.asarray(value, float)))
        print(f"{name:32} {text}")
