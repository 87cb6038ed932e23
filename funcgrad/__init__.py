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
    lax,
    nn,
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
from funcgrad.transforms.residuals import checkpoint_name, print_saved_residuals, saved_residuals
from funcgrad.transforms.vjp import vjp
from funcgrad.transforms.vmap import vmap
from funcgrad.types import ShapedArray, ShapeDtypeStruct, float0

if TYPE_CHECKING:
    from funcgrad import backends, dtypes, experimental, extend, random, scipy

__version__ = "0.1.0"

make_jaxpr = make_ir

__all__ = [
    "Program",
    "ShapeDtypeStruct",
    "ShapedArray",
    "Tracer",
    "ad_checkpoint",
    "at",
    "backends",
    "check_program",
    "checkpoint",
    "checkpoint_name",
    "checkpoint_policies",
    "closure_convert",
    "config",
    "custom_batching",
    "custom_derivatives",
    "custom_gradient",
    "custom_jvp",
    "custom_vjp",
    "debug",
    "dtypes",
    "errors",
    "eval_shape",
    "experimental",
    "extend",
    "flatten_util",
    "float0",
    "grad",
    "hessian",
    "ir",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jit",
    "jvp",
    "lax",
    "linear_transpose",
    "linearize",
    "make_ir",
    "make_jaxpr",
    "nn",
    "numpy",
    "print_saved_residuals",
    "random",
    "remat",
    "saved_residuals",
    "scipy",
    "test_util",
    "tree",
    "tree_util",
    "value_and_grad",
    "vjp",
    "vmap",
]


def __getattr__(name: str) -> Any:
    """The modules that few programs need, imported when they are asked for."""
    if name in ("backends", "dtypes", "experimental", "extend", "random", "scipy"):
        return import_module(f"funcgrad.{name}")
    if name == "debug_key_reuse":
        raise AttributeError("funcgrad.debug_key_reuse: uses of keys are not counted here; leave it out")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
