"""Checking derivatives against numerical ones.

    >>> import numpy as np
    >>> check_grads(lambda x: np.sin(x) * x, (np.array([0.3, 2.0]),), order=2)

`check_jvp` compares a directional derivative with a central difference along a random direction. `check_vjp` compares
the pullback with the same difference through the identity ⟨v̄, J v⟩ = ⟨Jᵀ v̄, v⟩. `check_grads` does both, and then the
same for the derivatives themselves, up to the order asked for. `check_operation` compares all transformations of a
function with what they stand for: for operations of one's own (`extend`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial, wraps
from itertools import product
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.executor.jit import jit
from funcgrad.transforms.jvp import jvp
from funcgrad.transforms.make_ir import make_ir
from funcgrad.transforms.pullback import vjp
from funcgrad.transforms.vmap import vmap
from funcgrad.types import dtype_of, is_a, is_inexact, shape_of

__all__ = ["check_grads", "check_jvp", "check_operation", "check_vjp", "tolerance"]

_STEP = float(np.finfo(np.float64).eps) ** (1 / 3)
"""The step of the central difference that balances truncation and rounding in double precision."""


def _wide(x: Any) -> Any:
    """A floating or complex leaf in double precision, so that the difference is not lost in rounding."""
    kind = dtype_of(x).kind
    if kind not in "fc" or not is_a(x, (np.ndarray, np.generic)):
        return x
    wide = np.complex128 if kind == "c" else np.float64
    return x if x.dtype.itemsize > np.dtype(wide).itemsize else x.astype(wide)


def tolerance(*trees: Any) -> float:
    """The error to expect: a thousand roundings in the coarsest precision among the leaves, or of the difference."""
    eps = [np.finfo(dtype_of(x)).eps for t in trees for x in tree.leaves(t) if is_inexact(x)]
    return max(1000 * float(max(eps, default=0.0)), 1e-7)


def _random_like(rng: np.random.Generator, x: Any) -> Any:
    """A random tangent of the dtype of `x`; None for an integer."""
    if not is_inexact(x):
        return None
    dtype, shape = dtype_of(x), shape_of(x)
    t = rng.standard_normal(shape)
    if dtype.kind == "c":
        t = t + 1j * rng.standard_normal(shape)
    t = np.asarray(t).astype(dtype)
    return t if is_a(x, np.ndarray) else dtype.type(t) if is_a(x, np.generic) else type(x)(t)


def _in_dtype(t: Any, x: Any) -> Any:
    """A tangent in the dtype of `x`, which is wider than its own where a difference is taken."""
    return t.astype(dtype_of(x)) if is_a(t, (np.ndarray, np.generic)) else t


def _shift(x: Any, t: Any, eps: float) -> Any:
    """x + eps·t, in the precision of x."""
    if t is None:
        return x
    y = x + np.asarray(t, dtype_of(x)) * eps
    return np.asarray(y, x.dtype) if is_a(x, np.ndarray) else type(x)(y)


class _Point:
    """A function at a point: its value, and a central difference along a random direction, each computed once."""

    def __init__(self, f: Callable[..., Any], args: Sequence[Any], eps: float | None, seed: int) -> None:
        self.f, self.args, self.eps = f, tuple(args), _STEP if eps is None else eps
        self.rng = np.random.default_rng(seed)
        self.leaves, self.treedef = tree.flatten(self.args)
        self.tangents = [_random_like(self.rng, x) for x in self.leaves]

    @cached_property
    def value(self) -> Any:
        return self.f(*self.args)

    @cached_property
    def cotangents(self) -> list[Any]:
        """Random ones, for the leaves of the value."""
        return [_random_like(self.rng, x) for x in tree.leaves(self.value)]

    @cached_property
    def difference(self) -> list[Any]:
        """The leaves of (f(x + eps t) - f(x - eps t)) / 2 eps; None for integer outputs."""
        pairs = zip(self._at(self.eps), self._at(-self.eps), strict=True)
        return [(_wide(a) - _wide(b)) / (2 * self.eps) if is_inexact(a) else None for a, b in pairs]

    def _at(self, step: float) -> list[Any]:
        shifted = [_shift(_wide(x), t, step) for x, t in zip(self.leaves, self.tangents, strict=True)]
        return tree.leaves(self.f(*self.treedef.unflatten(shifted)))

    def tolerances(self, atol: float | None, rtol: float | None) -> tuple[float, float]:
        tol = tolerance(self.args, self.value)
        return tol if atol is None else atol, tol if rtol is None else rtol


def _compare(have: Any, want: Any, atol: float, rtol: float, what: str) -> None:
    """Assert that `have` is `want` but for the tolerances."""
    have, want = np.asarray(have), np.asarray(want)
    if have.shape == want.shape and have.dtype.kind in "fc":
        with np.errstate(invalid="ignore", over="ignore"):
            if np.all(np.abs(have - want) <= atol + rtol * np.abs(want)):  # what nearly always is the case, quickly
                return
    np.testing.assert_allclose(have, want, atol=atol, rtol=rtol, err_msg=what, equal_nan=True)


def check_jvp(
    f: Callable[..., Any],
    f_jvp: Callable[..., Any],
    args: Sequence[Any],
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    err_msg: str = "",
    seed: int = 0,
) -> None:
    """Compare `f_jvp(primals, tangents) -> (value, tangent)` with `f` and with a central difference.

    Raises AssertionError where they differ by more than the tolerances, which by default follow from the precision.
    """
    _check_jvp(_Point(f, args, eps, seed), f_jvp, atol, rtol, err_msg)


def _check_jvp(at: _Point, f_jvp: Callable[..., Any], atol: float | None, rtol: float | None, name: str) -> None:
    atol, rtol = at.tolerances(atol, rtol)
    value, tangent = f_jvp(at.args, at.treedef.unflatten(at.tangents))
    for a, b in zip(tree.leaves(value), tree.leaves(at.value), strict=True):
        _compare(a, b, atol, rtol, f"{name} value of the jvp")
    for have, want in zip(tree.leaves(tangent), at.difference, strict=True):
        if want is not None:
            _compare(have, want, atol, rtol, f"{name} jvp against a central difference")


def check_vjp(
    f: Callable[..., Any],
    f_vjp: Callable[..., Any],
    args: Sequence[Any],
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    err_msg: str = "",
    seed: int = 0,
) -> None:
    """Compare `f_vjp(*args) -> (value, pullback)` with `f`, and the pullback with a central difference.

    Raises AssertionError where they differ by more than the tolerances, which by default follow from the precision.
    """
    _check_vjp(_Point(f, args, eps, seed), f_vjp, atol, rtol, err_msg)


def _check_vjp(at: _Point, f_vjp: Callable[..., Any], atol: float | None, rtol: float | None, name: str) -> None:
    atol, rtol = at.tolerances(atol, rtol)
    value, pullback = f_vjp(*at.args)
    out_leaves, out_tree = tree.flatten(value)
    for a, b in zip(out_leaves, tree.leaves(at.value), strict=True):
        _compare(a, b, atol, rtol, f"{name} value of the vjp")
    cts = at.cotangents
    filled = [np.zeros(shape_of(x), float) if c is None else c for c, x in zip(cts, out_leaves, strict=True)]
    grads = tree.leaves(pullback(out_tree.unflatten(filled)))
    left = [np.sum(np.asarray(g) * t) for g, t in zip(grads, at.tangents, strict=True) if t is not None]
    terms = [np.asarray(c) * d for c, d in zip(cts, at.difference, strict=True) if d is not None and c is not None]
    scale = 1 + sum(float(np.sum(np.abs(term))) for term in terms)
    # With real inputs only the real part of the pairing is defined (a real primal has a real cotangent).
    right = np.real(sum(map(np.sum, terms)))
    _compare(np.real(sum(left)), right, atol * scale, rtol, f"{name} vjp against a central difference")


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int,
    modes: Sequence[str] | str = ("fwd", "rev"),
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    seed: int = 0,
) -> None:
    """Check the derivatives of `f` at `args` against numerical ones, up to an order, in every mixture of modes.

    Args:
        f: a function of pytrees of arrays; any outputs.
        args: where to check it.
        order: the highest order of derivatives.
        modes: "fwd", "rev" or both.
        atol, rtol: tolerances; by default they follow from the precision of inputs and outputs.
        eps: the step of the central difference, taken in double precision; by default the cube root of its precision.
        seed: of the random directions.

    Raises:
        AssertionError: a derivative differs from the numerical one; the message says in which mode and order.
    """
    modes = (modes,) if isinstance(modes, str) else modes
    if not set(modes) <= {"fwd", "rev"}:
        raise ValueError(f"check_grads: modes must be 'fwd' and 'rev', got {modes}")
    _check(_of_copies(f), tuple(args), order, modes, (atol, rtol, eps), seed, "")


def _of_copies(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function that may write to its arguments, as a transformed one may, as one that leaves them as they are."""

    @wraps(f)
    def of_copies(*args: Any) -> Any:
        return f(*tree.map(lambda x: x.copy() if is_a(x, np.ndarray) else x, args))

    return of_copies


def _check(f: Any, args: tuple[Any, ...], order: int, modes: Sequence[str], tols: Any, seed: int, path: str) -> None:
    atol, rtol, eps = tols
    at = _Point(f, args, eps, seed)
    rng = np.random.default_rng(seed)
    if "fwd" in modes:
        name = f"{path}fwd"
        _check_jvp(at, partial(jvp, f), atol, rtol, name)
        if order > 1:
            directions = [_random_like(rng, x) for x in at.leaves]

            def push(*xs: Any) -> Any:
                along = [_in_dtype(t, x) for t, x in zip(directions, tree.leaves(xs), strict=True)]
                return jvp(f, xs, at.treedef.unflatten(along))[1]

            _check(_inexact_only(push), args, order - 1, modes, tols, seed + 1, name + "∘")
    if "rev" in modes:
        name = f"{path}rev"
        _check_vjp(at, partial(vjp, f), atol, rtol, name)
        if order > 1:
            out_leaves, out_tree = tree.flatten(at.value)
            cts = [_random_like(rng, x) for x in out_leaves]

            def pull(*xs: Any) -> Any:
                filled = [
                    np.zeros(shape_of(x), float) if c is None else c for c, x in zip(cts, out_leaves, strict=True)
                ]
                return vjp(f, *xs)[1](out_tree.unflatten(filled))

            _check(_inexact_only(pull), args, order - 1, modes, tols, seed + 1, name + "∘")


def _inexact_only(f: Callable[..., Any]) -> Callable[..., Any]:
    """The floating and complex outputs of `f`: float0 ones have no derivative to look at."""

    def g(*args: Any) -> Any:
        return [x for x in tree.leaves(f(*args)) if is_inexact(x)]

    return g


def check_operation(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    atol: float | None = None,
    rtol: float | None = None,
    seed: int = 0,
) -> None:
    """Check a function under all transformations: values, derivatives, batches, and compiled code.

    While it is recorded, differentiated or compiled, `f` must give the values, shapes and dtypes that it gives by
    itself; its derivatives must be those of differences, compiled ones the same; a batch must give what a loop over
    its examples gives, whichever arguments have one.

    Args:
        f: a function of arrays, numbers and pytrees of these, such as an operation of `extend`.
        args: where to check it; batches are of numbers near by. Try small arrays and large ones (`jit` compiles them
            otherwise), and such that broadcast.
        order: the highest order of derivatives.
        atol, rtol: tolerances; by default they follow from the precision of inputs and outputs.
        seed: of the random directions.

    Raises:
        AssertionError: they differ; the message says which.

    >>> import numpy as np
    >>> check_operation(lambda x, y: np.sin(x) * y, (np.array([0.3, 2.0]), np.array([[0.5], [1.5]])))
    """
    f, args = _of_copies(f), tuple(args)
    want, leaves = f(*args), tree.leaves(args)
    tol = tolerance(args, want)
    tols = tol if atol is None else atol, tol if rtol is None else rtol
    compiled = jit(f)
    program = make_ir(f)(*args)
    said = [np.zeros(a.shape, a.dtype) for a in program.out_avals]
    _equal(said, tree.map(np.zeros_like, tree.leaves(want)), *tols, "shape rule")
    _equal(program(*leaves), want, *tols, "recorded")
    _equal(vjp(f, *args)[0], want, *tols, "recorded for reverse mode")
    for call in ("compiled", "compiled, second call"):
        _equal(compiled(*args), want, *tols, call)
    if any(map(is_inexact, leaves)) and any(map(is_inexact, tree.leaves(want))):
        check_grads(f, args, order, atol=atol, rtol=rtol, seed=seed)
        pull = _pulling(f, args, seed)
        _equal(jit(pull)(*args), pull(*args), *tols, "compiled pullback")
    examples = [tree.map(lambda x, k=k: x * (1 + k / 64) if is_inexact(x) else x, args) for k in range(3)]
    for batched in list(product((True, False), repeat=len(args)))[:-1]:
        axes = tuple(0 if b else None for b in batched)
        rows = [tuple(e if b else a for e, a, b in zip(ex, args, batched, strict=True)) for ex in examples]
        given = [
            tree.map(lambda *xs: np.stack(xs), *(row[i] for row in rows)) if b else args[i]
            for i, b in enumerate(batched)
        ]
        looped = tree.map(lambda *xs: np.stack(xs), *(f(*row) for row in rows))
        for fun, what in ((vmap(f, in_axes=axes), "batched"), (jit(vmap(f, in_axes=axes)), "batched and compiled")):
            _equal(fun(*given), looped, *tols, f"{what} along {axes}")


def _pulling(f: Callable[..., Any], args: tuple[Any, ...], seed: int) -> Callable[..., Any]:
    """A function that gives the cotangents of all floating arguments for some cotangents of the results."""
    rng = np.random.default_rng(seed)
    out_leaves, out_tree = tree.flatten(f(*args))
    cts = [_random_like(rng, x) for x in out_leaves]
    filled = [np.zeros(shape_of(x), float) if c is None else c for c, x in zip(cts, out_leaves, strict=True)]
    return _inexact_only(lambda *xs: vjp(f, *xs)[1](out_tree.unflatten(filled)))


def _equal(have: Any, want: Any, atol: float, rtol: float, what: str) -> None:
    have_leaves, want_leaves = tree.leaves(have), tree.leaves(want)
    assert len(have_leaves) == len(want_leaves), f"{what}: {len(have_leaves)} results instead of {len(want_leaves)}"
    for a, b in zip(have_leaves, want_leaves, strict=True):
        kinds = (shape_of(a), dtype_of(a)), (shape_of(b), dtype_of(b))
        assert kinds[0] == kinds[1], f"{what}: a result of shape and dtype {kinds[0]} instead of {kinds[1]}"
        _compare(a, b, atol, rtol, what)


def __dir__() -> list[str]:
    return __all__
