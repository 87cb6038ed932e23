"""The library's switches: plain attributes of one object, `funcgrad.config`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

__all__ = ["NATIVE_MODES", "Config", "after", "checks", "config", "cpus", "hooks"]


checks: dict[str, Callable[..., None]] = {}
"""What looks at results where `debug_nans` or `debug_infs` is set: at "result" those of transformed functions, at
"value" those of `funcgrad.numpy`."""

_JAX: dict[str, Any] = {
    **dict.fromkeys((
        "jax_enable_x64", "jax_allow_f16_reductions", "jax_cpu_enable_async_dispatch", "jax_enable_compilation_cache",
        "jax_pprint_use_color", "jax_softmax_custom_jvp", "jax_threefry_partitionable", "jax_use_direct_linearize",
        "jax_use_shardy_partitioner",
    ), True),
    **dict.fromkeys((
        "jax_check_tracer_leaks", "jax_debug_key_reuse", "jax_disable_bwd_checks", "jax_disable_most_optimizations",
        "jax_distributed_debug", "jax_dynamic_shapes", "jax_enable_checks", "jax_enable_custom_prng", "jax_enable_pgle",
        "jax_explain_cache_misses", "jax_high_dynamic_range_gumbel", "jax_log_checkpoint_residuals",
        "jax_log_compiles", "jax_raise_persistent_cache_errors", "jax_threefry_gpu_kernel_lowering",
        "jax_parallel_functions_output_gda", "jax_jit_pjit_api_merge", "jax_array", "jax_spmd_mode",
    ), False),
    **dict.fromkeys((
        "jax_array_garbage_collection_guard", "jax_compilation_cache_dir", "jax_default_device",
        "jax_default_matmul_precision", "jax_platforms", "jax_transfer_guard", "jax_transfer_guard_device_to_device",
        "jax_transfer_guard_device_to_host", "jax_transfer_guard_host_to_device",
    )),
    **dict.fromkeys(("jax_backend_target", "jax_debug_log_modules", "jax_dump_ir_to", "jax_platform_name",
                     "jax_xla_backend"), ""),
    "jax_compilation_cache_max_size": -1, "jax_cpu_collectives_implementation": "none",
    "jax_default_prng_impl": "threefry2x32", "jax_legacy_prng_key": "allow", "jax_logging_level": "NOTSET",
    "jax_num_cpu_devices": -1, "jax_persistent_cache_min_compile_time_secs": 1.0,
    "jax_persistent_cache_min_entry_size_bytes": 0, "jax_tracer_error_num_traceback_frames": 5,
}  # fmt: skip
"""Settings of JAX that are accepted, and change nothing: their values at first. Floats have 64 bits in any case."""

_GUARDED = ("allow", "log", "disallow", "log_explicit", "disallow_explicit")
_CHOICES: dict[str, tuple[Any, ...]] = {
    "jax_array_garbage_collection_guard": ("allow", "log", "fatal"),
    "jax_default_matmul_precision": (
        "default", "high", "highest", "bfloat16", "tensorfloat32", "float32", "ANY_F8_ANY_F8_F32",
        "ANY_F8_ANY_F8_F32_FAST_ACCUM", "ANY_F8_ANY_F8_ANY", "ANY_F8_ANY_F8_ANY_FAST_ACCUM", "F16_F16_F16",
        "F16_F16_F32", "BF16_BF16_BF16", "BF16_BF16_F32", "BF16_BF16_F32_X3", "BF16_BF16_F32_X6", "BF16_BF16_F32_X9",
        "TF32_TF32_F32", "TF32_TF32_F32_X3", "F32_F32_F32", "F64_F64_F64",
    ),
    "jax_default_prng_impl": ("threefry2x32", "threefry4x32", "rbg", "unsafe_rbg", "philox2x32", "philox4x32"),
    "jax_legacy_prng_key": ("allow", "warn", "error"),
    "jax_traceback_filtering": ("off", "tracebackhide", "remove_frames", "quiet_remove_frames", "auto"),
    **dict.fromkeys((n for n in _JAX if n.startswith("jax_transfer_guard")), _GUARDED),
}  # fmt: skip
"""What settings of JAX may be; those that are None at first may be that too."""

_SAME = {
    "jax_debug_infs": "debug_infs",
    "jax_debug_nans": "debug_nans",
    "jax_disable_jit": "disable_jit",
    "jax_numpy_dtype_promotion": "dtype_promotion",
    "jax_numpy_rank_promotion": "rank_promotion",
}
"""Settings of JAX that are settings here, by another name."""

hooks: dict[str, Callable[[Any], None]] = {}
"""By the name of a setting what is told of its new value."""


after: dict[str, Callable[[], None]] = {}
"""By the name of a setting what is called when it has its new value."""

NATIVE_MODES = ("auto", "now", "off")
"""What `config.native` may be."""

_MODES = {
    "dtype_promotion": ("standard", "strict"),
    "native": NATIVE_MODES,
    "rank_promotion": ("allow", "warn", "raise"),
}


class Config:
    """Settings that hold for the whole process.

    Attributes:
        check_ir: run the IR checker on every program that is built (the tests do).
        debug_infs, debug_nans: raise FloatingPointError where a function that is transformed (or one of
            `funcgrad.numpy`) returns an infinity or a NaN, with the operation that made it and its line. The function
            is run again for that, without `jit`.
        disable_jit: let `jit` call functions as they are, and loops and branches of `lax` run as Python's.
        dtype_promotion: "standard" (NumPy's), or "strict": operands of different dtypes raise where they meet, so that
            float32 does not become float64 unnoticed. Python's numbers stay weak, and booleans meet anything.
        flush_denormals: let compiled float32 programs take subnormal numbers (below 1.2e-38) for zeros while they run,
            as XLA does: arithmetic on them is many times slower. (On Linux with glibc, x86-64 and aarch64; programs
            that compute fewer than 4096 elements are left alone.)
        full_tracebacks: keep funcgrad's own frames in the tracebacks of errors.
        guard_leaves: how many paths through a function that branches on values `jit` keeps; beyond it runs eagerly.
        guard_length: how many operations one of these paths may have.
        jit_programs: how many programs a function under `jit` (or `checkpoint`) keeps, one for each kind of arguments;
            beyond that the one that was not used for the longest time is forgotten.
        check_purity: let `jit` record a function again at each call, and raise if it is not what it was: for debugging.
        native: when `jit` makes machine code of programs, by the extra `native` (llvmlite): "auto" (in the background,
            of those that have taken as long as compiling them does), "now" (at the first call, which waits), or "off".
            The environment variable FUNCGRAD_NATIVE sets it at first; `jit(f, native=...)` for one function.
        native_cache: where machine code is kept on disk: "auto" (the user's cache folder), a path, or "off". The
            environment variable FUNCGRAD_NATIVE_CACHE sets it at first.
        native_contract: let native code contract a product and a sum to one operation, which rounds once: faster, but
            results are no longer NumPy's to the last bit.
        rank_promotion: "allow", "warn" or "raise": what happens where an elementwise operation meets operands of
            different numbers of dimensions (scalars aside), of traced values and of arrays of `funcgrad.numpy`.
        slow_compile: after how many seconds of compiling `jit` warns of the Python loop that it has unrolled.
        source_lines: let each recorded equation remember the user's line.
        threads: how many threads a compiled function may work with besides BLAS's; as many as the process may use, at
            first. With 1 it starts none. (Large products in native code are shared by these threads, not by BLAS's.)

    The settings of JAX (`jax_enable_x64`, ...) can be set with `update` and read as attributes; but for
    `jax_debug_nans`, `jax_debug_infs`, `jax_disable_jit`, `jax_numpy_dtype_promotion`, `jax_numpy_rank_promotion` and
    `jax_traceback_filtering` they change nothing.

    >>> config.full_tracebacks
    False
    >>> config.update("jax_enable_x64", True)
    >>> config.jax_enable_x64
    True
    """

    __slots__ = (
        "_jax",
        "check_ir",
        "check_purity",
        "debug_infs",
        "debug_nans",
        "debugging",
        "disable_jit",
        "dtype_promotion",
        "flush_denormals",
        "full_tracebacks",
        "guard_leaves",
        "guard_length",
        "jit_programs",
        "native",
        "native_cache",
        "native_contract",
        "rank_promotion",
        "slow_compile",
        "source_lines",
        "threads",
        "watching",
    )
    _jax: dict[str, Any]

    def __init__(self) -> None:
        object.__setattr__(self, "_jax", dict(_JAX))
        self.check_ir = self.check_purity = self.debug_infs = self.debug_nans = self.disable_jit = self.watching = False
        self.dtype_promotion, self.rank_promotion = "standard", "allow"
        self.guard_leaves, self.guard_length = 64, 100_000
        self.jit_programs = 256
        self.flush_denormals = True
        self.full_tracebacks = False
        self.native = os.environ.get("FUNCGRAD_NATIVE", "auto")
        self.native_cache = os.environ.get("FUNCGRAD_NATIVE_CACHE", "auto")
        self.native_contract = False
        self.slow_compile = 1.0
        self.source_lines = True
        self.threads = cpus()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _MODES and value not in _MODES[name]:
            known = ", ".join(f'"{mode}"' for mode in _MODES[name][:-1])
            raise ValueError(f'config.{name} is {known} or "{_MODES[name][-1]}", got {value!r}')
        if name in hooks:
            hooks[name](value)
        if name in _SAME or name in self._jax or name == "jax_traceback_filtering":
            return self.update(name, value)
        same = getattr(self, name, None) == value
        object.__setattr__(self, name, value)
        if name in after and not same:
            after[name]()
        if name in _WATCHED:
            object.__setattr__(self, "watching", any(getattr(self, n, False) for n in _WATCHED))
            object.__setattr__(self, "debugging", any(getattr(self, n, False) for n in ("debug_nans", "debug_infs")))

    def __getattr__(self, name: str) -> Any:
        if name in _SAME:
            return getattr(self, _SAME[name])
        if name == "jax_traceback_filtering":
            return "off" if self.full_tracebacks else "auto"
        if name == "x64_enabled":
            return self._jax["jax_enable_x64"]
        try:
            return object.__getattribute__(self, "_jax")[name]
        except KeyError:
            raise AttributeError(f"funcgrad.config has no setting {name!r}") from None

    def update(self, name: str, value: object) -> None:
        """Set a switch by name, as `jax.config.update` does; raises AttributeError for an unknown one, and ValueError
        for a value that it cannot have."""
        if name in _CHOICES and value not in _CHOICES[name] and not (value is None and _JAX.get(name, "") is None):
            raise ValueError(f"config.{name} is one of {', '.join(map(repr, _CHOICES[name]))}; got {value!r}")
        if name in _SAME:
            return setattr(self, _SAME[name], value)
        if name == "jax_traceback_filtering":
            return setattr(self, "full_tracebacks", value == "off")
        if name in self._jax:
            self._jax[name] = value
            return None
        if name not in _NAMES:
            raise AttributeError(
                f"funcgrad.config has no setting {name!r}; it has {', '.join(_NAMES)}, and those of JAX"
            )
        return setattr(self, name, value)

    def read(self, name: str) -> Any:
        """The value of a setting, by name."""
        return getattr(self, name)

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{n}={getattr(self, n)!r}' for n in _NAMES)})"


_NAMES = tuple(n for n in Config.__slots__ if n not in ("debugging", "watching", "_jax"))
_WATCHED = ("check_purity", "debug_infs", "debug_nans", "disable_jit")
"""The settings that keep `jit` from calling its programs at once."""


def cpus() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


config = Config()
