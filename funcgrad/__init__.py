"""funcgrad: derivatives of plain NumPy functions.

>>> import numpy as np
>>> from funcgrad import grad
>>> grad(lambda x: np.sum(np.sin(x) ** 2))(np.array([0.0, np.pi / 4]))
array([0., 1.])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from funcgrad import (
    ad_checkpoint,
    checkpoint_policies,
    custom_batching,
    custom_derivatives,
    debug,
    errors,
    flatten_util,
    ir,
    numpy,
    test_util,
    tree,
    tree_util,
)
from funcgrad.config import config
from funcgrad.core import Tracer
from funcgrad.executor.jit import jit
from funcgrad.ir import Program
from funcgrad.ir_check import check_program
from funcgrad.numpy import at
from funcgrad.transforms.checkpoint import checkpoint, remat
from funcgrad.transforms.closure import closure_convert
from funcgrad.transforms.custom import custom_gradient, custom_jvp, custom_vjp
from funcgrad.transforms.grad import grad, value_and_grad
from funcgrad.transforms.jacobian import hessian, jacfwd, jacobian, jacrev
from funcgrad.transforms.jvp import jvp
from funcgrad.transforms.linear import linear_transpose, linearize
from funcgrad.transforms.make_ir import eval_shape, make_ir
from funcgrad.transforms.pullback import vjp
from funcgrad.transforms.residuals import checkpoint_name, print_saved_residuals, saved_residuals
from funcgrad.transforms.vmap import vmap
from funcgrad.types import ShapedArray, ShapeDtypeStruct, float0

if TYPE_CHECKING:
    from funcgrad import (
        backends,
        dtypes,
        example_libraries,
        experimental,
        extend,
        image,
        io,
        lax,
        nn,
        ops,
        optim,
        plot,
        random,
        scipy,
        settings,
        sharding,
        stages,
        train,
        typing,
    )
    from funcgrad._devices import (
        Array,
        Device,
        DeviceArray,
        block_until_ready,
        clear_caches,
        copy_to_host_async,
        default_backend,
        default_device,
        device_count,
        device_get,
        device_put,
        devices,
        effects_barrier,
        host_count,
        host_id,
        host_ids,
        local_device_count,
        local_devices,
        process_count,
        process_index,
        process_indices,
    )
    from funcgrad.callbacks import io_callback, named_call, named_scope, pure_callback, typeof
    from funcgrad.settings import (
        array_garbage_collection_guard,
        check_tracer_leaks,
        checking_leaks,
        debug_infs,
        debug_nans,
        default_matmul_precision,
        default_prng_impl,
        disable_jit,
        enable_checks,
        enable_custom_prng,
        enable_x64,
        ensure_compile_time_eval,
        explain_cache_misses,
        legacy_prng_key,
        log_compiles,
        numpy_dtype_promotion,
        numpy_rank_promotion,
        softmax_custom_jvp,
        threefry_partitionable,
        transfer_guard,
        transfer_guard_device_to_device,
        transfer_guard_device_to_host,
        transfer_guard_host_to_device,
    )

__version__ = "0.1.0"
__version_info__ = (0, 1, 0)

make_jaxpr = make_ir

_MODULES = (
    "backends",
    "dtypes",
    "example_libraries",
    "experimental",
    "extend",
    "image",
    "io",
    "lax",
    "nn",
    "ops",
    "optim",
    "plot",
    "random",
    "scipy",
    "settings",
    "sharding",
    "stages",
    "train",
    "typing",
)
_LATE = {
    "callbacks": (
        "io_callback", "named_call", "named_scope", "pure_callback", "typeof",
    ),
    "_devices": (
        "Array", "Device", "DeviceArray", "block_until_ready", "clear_caches", "copy_to_host_async", "default_backend",
        "default_device", "device_count", "device_get", "device_put", "devices", "effects_barrier",
        "host_count", "host_id", "host_ids", "local_device_count", "local_devices", "process_count",
        "process_index", "process_indices",
    ),
    "settings": (
        "array_garbage_collection_guard", "check_tracer_leaks", "checking_leaks", "debug_infs", "debug_nans",
        "default_matmul_precision", "default_prng_impl", "disable_jit", "enable_checks", "enable_custom_prng",
        "enable_x64", "ensure_compile_time_eval", "explain_cache_misses", "legacy_prng_key", "log_compiles",
        "numpy_dtype_promotion", "numpy_rank_promotion", "softmax_custom_jvp", "threefry_partitionable",
        "transfer_guard", "transfer_guard_device_to_device", "transfer_guard_device_to_host",
        "transfer_guard_host_to_device",
    ),
}  # fmt: skip
"""Names that are imported when they are asked for, by module."""
_REFUSED = {
    "NamedSharding", "P", "empty_ref", "free_ref", "freeze", "fwd_and_bwd", "live_arrays", "make_array_from_callback",
    "make_array_from_process_local_data", "make_array_from_single_device_arrays", "make_mesh", "new_ref", "pmap",
    "reshard", "set_mesh", "shard_map", "smap",
}  # fmt: skip
"""Names of JAX's that raise, with the reason, where they are called."""

__all__ = [
    "Array",
    "Device",
    "DeviceArray",
    "Program",
    "ShapeDtypeStruct",
    "ShapedArray",
    "Tracer",
    "ad_checkpoint",
    "array_garbage_collection_guard",
    "at",
    "backends",
    "block_until_ready",
    "check_program",
    "check_tracer_leaks",
    "checking_leaks",
    "checkpoint",
    "checkpoint_name",
    "checkpoint_policies",
    "clear_caches",
    "closure_convert",
    "config",
    "copy_to_host_async",
    "custom_batching",
    "custom_derivatives",
    "custom_gradient",
    "custom_jvp",
    "custom_vjp",
    "debug",
    "debug_infs",
    "debug_nans",
    "default_backend",
    "default_device",
    "default_matmul_precision",
    "default_prng_impl",
    "device_count",
    "device_get",
    "device_put",
    "devices",
    "disable_jit",
    "dtypes",
    "effects_barrier",
    "enable_checks",
    "enable_custom_prng",
    "enable_x64",
    "ensure_compile_time_eval",
    "errors",
    "eval_shape",
    "example_libraries",
    "experimental",
    "explain_cache_misses",
    "extend",
    "flatten_util",
    "float0",
    "grad",
    "hessian",
    "host_count",
    "host_id",
    "host_ids",
    "image",
    "io",
    "io_callback",
    "ir",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jit",
    "jvp",
    "lax",
    "legacy_prng_key",
    "linear_transpose",
    "linearize",
    "local_device_count",
    "local_devices",
    "log_compiles",
    "make_ir",
    "make_jaxpr",
    "named_call",
    "named_scope",
    "nn",
    "numpy",
    "numpy_dtype_promotion",
    "numpy_rank_promotion",
    "ops",
    "optim",
    "plot",
    "print_saved_residuals",
    "process_count",
    "process_index",
    "process_indices",
    "pure_callback",
    "random",
    "remat",
    "saved_residuals",
    "scipy",
    "settings",
    "sharding",
    "softmax_custom_jvp",
    "stages",
    "test_util",
    "threefry_partitionable",
    "train",
    "transfer_guard",
    "transfer_guard_device_to_device",
    "transfer_guard_device_to_host",
    "transfer_guard_host_to_device",
    "tree",
    "tree_util",
    "typeof",
    "typing",
    "value_and_grad",
    "vjp",
    "vmap",
]


def __getattr__(name: str) -> Any:
    """Modules that few programs use, and the rest of JAX's top level, imported when they are asked for."""
    if name in _MODULES:
        return import_module(f"funcgrad.{name}")
    for module, names in _LATE.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f"funcgrad.{module}"), name)
            return value
    if name == "debug_key_reuse":
        raise AttributeError("funcgrad.debug_key_reuse: uses of keys are not counted here; leave it out")
    if name in _REFUSED:
        return import_module("funcgrad._refused").refused(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
