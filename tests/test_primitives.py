"""Nothing is left out: every primitive has all its rules and is exercised by a row of the operation table, and so is
every NumPy function, ufunc, ufunc method and array method that is said to be supported."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opspecs import SPECS, Case

import funcgrad.callbacks
import funcgrad.numpy._late
import funcgrad.numpy.fft  # noqa: F401  # what is imported late stands in the table, too
from funcgrad import jvp, tree, vjp
from funcgrad.core import Primitive, Tracer
from funcgrad.executor import build  # noqa: F401  # its tracer subclass is made before the table is watched
from funcgrad.numpy import _dispatch
from funcgrad.numpy._at import _Indexed as At
from funcgrad.ops import rules
from funcgrad.ops.math import UFUNCS
from funcgrad.ops.rules import PRIMITIVES
from funcgrad.ops.special.base import OWN
from funcgrad.ops.special.table import NAMES
from funcgrad.record import Record
from funcgrad.transforms.jvp import JVPTrace
from funcgrad.types import PYTHON_SCALARS, dtype_of, is_inexact, shape_of

TABLE = str(Path(__file__).parent / "opspecs")

WITH_PROGRAMS = {
    "checkpoint",
    "cond",
    "custom_call",
    "jit",
    "scan",
    "stand_in",
    "while",
    "while_transpose",
    "custom_linear_solve",
    "custom_root",
    "custom_vmap",
    "debug_callback",
    "guard",
    "host_call",
    "io_callback",
    "keep",
    "pure_callback",
}
"""Primitives without rows: they apply programs, not functions of arrays, and have test modules of their own."""

WITHOUT_DERIVATIVE = {"complex_schur", "hessenberg", "schur", "tridiagonal"}
"""Primitives whose derivative raises: `test_linear_algebra` has them."""

SAMPLES = {"random_gamma", "random_binomial"}
"""Primitives without rows: the derivative of a sample is not that of what the generator computes. See test_random."""

OF_PASSES = {"fit"}
"""Primitives that no function records, as `passes.strict` writes them: `test_native_numbers` has them."""

NOT_FUNCTIONS = {"aval", "concrete", "differentiated", "layout", "owner", "source", "stands_for", "state", "unanswered",
                 "weak", "weak_type"}  # fmt: skip
"""Attributes of tracers that no array has: they are the library's own."""
OF_JAX = {"block_until_ready", "copy_to_host_async", "devices", "is_deleted", "is_ready", "sharding"}
"""Those that JAX's arrays have: `test_jax_numpy` has them."""

OF_NUMBERS = {
    "as_integer_ratio",
    "bit_count",
    "bit_length",
    "denominator",
    "hex",
    "is_integer",
    "numerator",
    "to_bytes",
}
"""What only Python's and NumPy's numbers have; `test_attributes` has them."""

MEMORY = {"base", "byteswap", "ctypes", "data", "device", "dump", "dumps", "flags", "getfield", "itemset",
          "newbyteorder", "ptp", "strides", "to_device", "tobytes", "tofile"}  # fmt: skip
"""How an array lies in memory, and what is refused; `test_attributes` and `test_array_api` have them."""

ARRAYS_ONLY = {
    "resize": "changes the array itself",
    "setfield": "changes the array itself", "setflags": "changes the array itself",
    "item": "gives a Python number", "tolist": "gives Python numbers",
}  # fmt: skip
"""Methods of tracers that raise, or need concrete values, and why; `test_conversions` has them."""

CONVERSIONS = {
    "__array__", "__array_function__", "__array_namespace__", "__array_priority__", "__array_ufunc__",
    "__bool__", "__ceil__", "__complex__", "__contains__", "__copy__", "__deepcopy__", "__delitem__",
    "__dlpack__", "__dlpack_device__", "__float__", "__floor__", "__format__", "__index__", "__int__",
    "__len__", "__reduce__", "__reduce_ex__", "__repr__", "__round__", "__setitem__", "__str__", "__trunc__",
}  # fmt: skip
"""Special methods that are no operations: conversions, writes and hooks; `test_conversions` has them."""


MAKING = {"__init_subclass__", "__subclasshook__"}
"""What Python calls on a class when others are made of it."""


def names_of(tracer_type: type) -> set[str]:
    """What is defined on tracers beyond what every object has."""
    return {name for name in dir(tracer_type) if getattr(tracer_type, name) is not getattr(object, name, None)}


@dataclass
class Seen:
    """What the rows of the table have used."""

    differentiated: set[str] = field(default_factory=set)
    primitives: set[str] = field(default_factory=set)
    functions: set[Any] = field(default_factory=set)
    ufunc_methods: set[Any] = field(default_factory=set)
    ufuncs: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    updates: set[str] = field(default_factory=set)


def called_by_the_table() -> bool:
    """Whether the library was entered from a row, and not from one of its own functions."""
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename in (__file__, _dispatch.__file__):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(TABLE)


def watch(patch: pytest.MonkeyPatch, seen: Seen) -> None:
    """Note down whatever is used from now on."""
    for trace in (Record, JVPTrace):
        patch.setattr(
            trace, "process", noting(trace.process, lambda args: seen.primitives.add(args[1].name), always=True)
        )
    for table, found in ((_dispatch.FUNCTIONS, seen.functions), (_dispatch.UFUNC_METHODS, seen.ufunc_methods)):
        for key, fun in list(table.items()):
            patch.setitem(table, key, noting(fun, lambda args, k=key, found=found: found.add(k)))
    hook = Tracer.__array_ufunc__
    patch.setattr(Tracer, "__array_ufunc__", noting(hook, lambda args: seen.ufuncs.add(args[1].__name__), always=True))
    for name in names_of(Tracer) - {"__array_ufunc__", "__class__", "__slots__", "__weakref__", "__hash__", *MAKING}:
        value = inspect.getattr_static(Tracer, name)
        if isinstance(value, property) and value.fget is not None:
            get = noting(value.fget, lambda args, n=name: seen.attributes.add(n))
            patch.setattr(Tracer, name, property(get, value.fset))
        elif callable(value):
            patch.setattr(Tracer, name, noting(value, lambda args, n=name: seen.attributes.add(n)))
    for name, value in list(vars(At).items()):
        if inspect.isfunction(value):
            patch.setattr(At, name, noting(value, lambda args, n=name: seen.updates.add(n)))


def noting(fun: Callable[..., Any], note: Callable[[Any], None], always: bool = False) -> Callable[..., Any]:
    def noted(*args: Any, **kwargs: Any) -> Any:
        if always or called_by_the_table():
            note(args)
        return fun(*args, **kwargs)

    return noted


def ones(x: Any) -> Any:
    """A tangent or cotangent of one."""
    if not is_inexact(x):
        return None
    return x.__class__(1) if x.__class__ in PYTHON_SCALARS else np.ones(shape_of(x), dtype_of(x))


def pull_ones(f: Callable[..., Any], *args: Any) -> list[Any]:
    """The gradients for cotangents of one."""
    out, pullback = vjp(f, *args)
    leaves, treedef = tree.flatten(out)
    grads = pullback(treedef.unflatten([np.zeros(shape_of(x)) if not is_inexact(x) else ones(x) for x in leaves]))
    return [g for g in grads if is_inexact(g)]


def differentiate(case: Case) -> None:
    """As the tests of derivatives do: forward, reverse, and reverse of reverse."""
    f, args = case.differentiable()
    jvp(f, args, [ones(x) for x in args])
    if case.spec.order > 1:
        vjp(lambda *xs: pull_ones(f, *xs), *args)
    else:
        pull_ones(f, *args)


@pytest.fixture(scope="module")
def seen() -> Seen:
    """What one case of each row uses."""
    seen = Seen()
    with pytest.MonkeyPatch.context() as patch:
        watch(patch, seen)
        for spec in SPECS.values():
            for case in spec.cases(True)[:1]:
                differentiate(case)
        seen.differentiated = set(seen.primitives)
        for spec in SPECS.values():
            for case in [*spec.cases(True)[:1], *spec.cases(False)[:1]]:
                vjp(spec, *case.args())
    return seen


# ---------------------------------------------------------------------------------------------------------- rules


def all_primitives() -> list[Primitive]:
    """Those of SciPy's functions, and what their derivatives need, are made when they are first met: test_special."""
    return [p for p in PRIMITIVES.values() if p.name not in NAMES and p.name not in OWN]


def is_constant(primitive: Primitive) -> bool:
    return primitive.jvp is rules._no_jvp and primitive.vjp is rules._no_vjp


@pytest.mark.parametrize("primitive", all_primitives(), ids=str)
def test_primitives_have_all_their_rules(primitive: Primitive) -> None:
    assert PRIMITIVES[primitive.name] is primitive
    assert primitive.name.replace("_", "a").isalnum()
    assert callable(primitive.impl)
    assert callable(primitive.abstract)
    assert primitive.jvp is not None or primitive.push is not None
    assert primitive.vjp is not None or (primitive.forward is not None and primitive.backward is not None)


def test_primitives_are_exercised(seen: Seen) -> None:
    """Those with a derivative under derivatives, in a row whose derivatives are checked; the others by any row."""
    without = WITH_PROGRAMS | WITHOUT_DERIVATIVE | SAMPLES | OF_PASSES
    primitives = [p for p in all_primitives() if p.name not in without]
    assert [p for p in primitives if not is_constant(p) and p.name not in seen.differentiated] == []
    assert [p for p in primitives if is_constant(p) and p.name not in seen.primitives] == []
    assert WITH_PROGRAMS | SAMPLES | OF_PASSES <= set(PRIMITIVES)


# -------------------------------------------------------------------------------------------------- NumPy's names


def test_functions_have_rows(seen: Seen) -> None:
    assert [f for f in _dispatch.FUNCTIONS if f not in seen.functions] == []


def test_ufuncs_have_rows(seen: Seen) -> None:
    assert [u for u in UFUNCS if u.__name__ not in seen.ufuncs] == []


def test_ufunc_methods_have_rows(seen: Seen) -> None:
    assert [f"{u.__name__}.{m}" for u, m in _dispatch.UFUNC_METHODS if (u, m) not in seen.ufunc_methods] == []


def test_attributes_have_rows(seen: Seen) -> None:
    public = {n for n in names_of(Tracer) if not n.startswith("_")} - NOT_FUNCTIONS - set(ARRAYS_ONLY)
    public -= OF_NUMBERS | MEMORY | OF_JAX
    assert sorted(public - seen.attributes) == []
    assert [n for n in public if not hasattr(np.ndarray, n) and n != "at"] == []


def test_operators_have_rows(seen: Seen) -> None:
    slots = {"__annotations__", "__class__", "__doc__", "__hash__", "__init__", "__init_subclass__", "__module__",
             "__slots__", "__subclasshook__", "__weakref__"}  # fmt: skip
    operators = {n for n in names_of(Tracer) if n.startswith("__")} - slots - CONVERSIONS
    assert sorted(operators - seen.attributes) == []


def test_updates_have_rows(seen: Seen) -> None:
    assert sorted({n for n in vars(At) if not n.startswith("_")} - seen.updates - {"array", "index", "mul"}) == []


def test_exceptions_have_reasons() -> None:
    assert [spec.name for spec in SPECS.values() if spec.order < 2 and not spec.why] == []
    assert [spec.name for spec in SPECS.values() if not spec.dtypes + spec.values] == []
