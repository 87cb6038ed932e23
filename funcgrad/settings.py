"""Settings for a while: JAX's context managers, by their names.

`disable_jit`, `debug_nans`, `debug_infs`, `numpy_dtype_promotion` and `numpy_rank_promotion` do here what they do in
JAX. The others are accepted, since what they guard against does not occur here, or cannot be chosen; each says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from funcgrad.config import config
from funcgrad.core import under

__all__ = [
    "array_garbage_collection_guard",
    "check_tracer_leaks",
    "checking_leaks",
    "debug_infs",
    "debug_nans",
    "default_matmul_precision",
    "default_prng_impl",
    "disable_jit",
    "enable_checks",
    "enable_custom_prng",
    "enable_x64",
    "ensure_compile_time_eval",
    "explain_cache_misses",
    "legacy_prng_key",
    "log_compiles",
    "numpy_dtype_promotion",
    "numpy_rank_promotion",
    "set_for_a_while",
    "softmax_custom_jvp",
    "threefry_partitionable",
    "transfer_guard",
    "transfer_guard_device_to_device",
    "transfer_guard_device_to_host",
    "transfer_guard_host_to_device",
]


@contextmanager
def set_for_a_while(name: str, value: Any) -> Iterator[None]:
    """`with set_for_a_while(name, value):` gives a setting of `funcgrad.config` a value, and then its own again.

    >>> with set_for_a_while("threads", 1):
    ...     config.threads
    1
    """
    before = getattr(config, name)
    config.update(name, value)
    try:
        yield
    finally:
        config.update(name, before)


def disable_jit(disable: bool = True) -> AbstractContextManager[None]:
    """`with disable_jit():` calls functions under `jit` as they are, and loops and branches of `lax` as Python's.

    >>> from funcgrad import jit
    >>> with disable_jit():
    ...     jit(lambda x: print("x is", x))(1.0)
    x is 1.0
    """
    return set_for_a_while("disable_jit", disable)


def debug_nans(enabled: bool = True) -> AbstractContextManager[None]:
    """`with debug_nans():` raises FloatingPointError where a transformed function returns a NaN, and says whence.

    It holds for functions under `jit`, `grad`, `vmap` and the like, and for those of `funcgrad.numpy`. Operators
    applied to arrays outside of transformations are NumPy's: `numpy.errstate(invalid="raise")`.

    >>> import numpy as np
    >>> from funcgrad import jit
    >>> with debug_nans(), np.errstate(all="ignore"):
    ...     jit(lambda x: np.log(x) + 1.0)(np.array([1.0, -1.0]))
    Traceback (most recent call last):
    ...
    FloatingPointError: NaN in the result of log...
    """
    return set_for_a_while("debug_nans", enabled)


def debug_infs(enabled: bool = True) -> AbstractContextManager[None]:
    """As `debug_nans`, for infinities."""
    return set_for_a_while("debug_infs", enabled)


def numpy_dtype_promotion(mode: str) -> AbstractContextManager[None]:
    """`with numpy_dtype_promotion("strict"):` raises where operands of different dtypes meet."""
    return set_for_a_while("dtype_promotion", mode)


def numpy_rank_promotion(mode: str) -> AbstractContextManager[None]:
    """`with numpy_rank_promotion("raise"):` raises (or "warn"s) where operands of different ranks meet."""
    return set_for_a_while("rank_promotion", mode)


def ensure_compile_time_eval() -> AbstractContextManager[Any]:
    """`with ensure_compile_time_eval():` computes what depends on no traced value, and gives plain arrays."""
    return under(None)


def _accepted(setting: str, default: Any, why: str) -> Callable[..., AbstractContextManager[None]]:
    def accepted(value: Any = default) -> AbstractContextManager[None]:
        return set_for_a_while(setting, value)

    name = setting.removeprefix("jax_")
    accepted.__name__ = accepted.__qualname__ = name
    accepted.__doc__ = f"`with {name}(...):` is accepted, and changes nothing but `config.{setting}`: {why}."
    return accepted


_LEAKS = "a traced value that leaves its function raises where it is used"
_RANDOM = "keys are what they are"
_TRANSFERS = "nothing is transferred"
array_garbage_collection_guard = _accepted("jax_array_garbage_collection_guard", "allow", "arrays are NumPy's")
check_tracer_leaks = checking_leaks = _accepted("jax_check_tracer_leaks", True, _LEAKS)
default_matmul_precision = _accepted("jax_default_matmul_precision", None, "products have the precision of the dtype")
default_prng_impl = _accepted("jax_default_prng_impl", "threefry2x32", _RANDOM)
enable_checks = _accepted("jax_enable_checks", True, "see `config.check_ir`")
enable_custom_prng = _accepted("jax_enable_custom_prng", True, _RANDOM)
enable_x64 = _accepted("jax_enable_x64", True, "floats have 64 bits, as in NumPy")
explain_cache_misses = _accepted("jax_explain_cache_misses", True, "see `jit(f).explain()`")
legacy_prng_key = _accepted("jax_legacy_prng_key", "allow", _RANDOM)
log_compiles = _accepted("jax_log_compiles", True, "see `config.slow_compile`")
softmax_custom_jvp = _accepted("jax_softmax_custom_jvp", True, "softmax has a rule of its own")
threefry_partitionable = _accepted("jax_threefry_partitionable", True, _RANDOM)
transfer_guard = _accepted("jax_transfer_guard", "allow", _TRANSFERS)
transfer_guard_device_to_device = _accepted("jax_transfer_guard_device_to_device", "allow", _TRANSFERS)
transfer_guard_device_to_host = _accepted("jax_transfer_guard_device_to_host", "allow", _TRANSFERS)
transfer_guard_host_to_device = _accepted("jax_transfer_guard_host_to_device", "allow", _TRANSFERS)
