"""`ravel_pytree`: a whole pytree of arrays as one vector, and back.

Only functions that dispatch through NumPy's hooks touch the leaves, so all of it can be traced.
"""

from __future__ import annotations

from collections.abc import Hashable
from math import prod
from typing import Any, NamedTuple, final

import numpy as np

import funcgrad.tree as tree
from funcgrad._array import Array, wrap
from funcgrad.types import as_numbers, is_a

__all__ = ["ravel_pytree"]

_KINDS: dict[type, str] = {bool: "b", int: "iu", float: "f", complex: "c"}
"""The Python scalars, and the kinds of NumPy dtypes that each is at home in."""


class _Spec(NamedTuple):
    """A leaf: where it ends in the vector, its shape and dtype, and its class if it is a scalar."""

    stop: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scalar: type | None


@final
class _Unravel:
    """The inverse of one `ravel_pytree`. Those of equal structures are equal, for use in caches."""

    __slots__ = ("dtype", "specs", "treedef")

    def __init__(self, treedef: tree.PyTreeDef, specs: tuple[_Spec, ...], dtype: Any) -> None:
        self.treedef = treedef
        self.specs = specs
        self.dtype = dtype

    def _state(self) -> Hashable:
        return self.treedef, self.specs, self.dtype

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Unravel) and self._state() == other._state()

    def __hash__(self) -> int:
        return hash(self._state())

    def __repr__(self) -> str:
        return f"<unravel of {self.specs[-1].stop if self.specs else 0} elements: {self.treedef}>"

    def __call__(self, flat: Any) -> Any:
        """The tree whose elements are those of `flat`; see `ravel_pytree`."""
        if not hasattr(flat, "__array_ufunc__"):
            flat = np.asarray(flat)
        size = self.specs[-1].stop if self.specs else 0
        if tuple(flat.shape) != (size,):
            raise ValueError(
                f"unravel: expected a vector of shape ({size},), got shape {tuple(flat.shape)}; "
                f"the tree is {self.treedef}"
            )
        mixed = any(spec.dtype != self.dtype for spec in self.specs)
        if mixed and flat.dtype != self.dtype:
            raise TypeError(
                f"unravel: expected dtype {self.dtype}, got {flat.dtype}. The leaves have several "
                f"dtypes, which are restored from {self.dtype} only; convert the vector with "
                f".astype({str(self.dtype)!r})"
            )
        if is_a(flat, np.ndarray):
            flat = np.array(flat)  # the leaves must not change with the caller's vector
        leaves: list[Any] = []
        start = 0
        for spec in self.specs:
            piece = np.reshape(flat[start : spec.stop], spec.shape)
            leaves.append(_restore(piece, spec, self.dtype))
            start = spec.stop
        return self.treedef.unflatten(leaves)


def _restore(piece: Any, spec: _Spec, dtype: Any) -> Any:
    """A leaf, in its own dtype if the vector's `dtype` is a mixture of several."""
    if spec.dtype != dtype:
        if np.dtype(dtype).kind == "c" and spec.dtype.kind != "c":
            piece = np.real(piece)
        piece = piece.astype(spec.dtype)
    if spec.scalar is None or not is_a(piece, np.ndarray):
        return piece
    return piece.item() if spec.scalar in _KINDS else piece[()]


def _numeric(path: tree.KeyPath, x: Any) -> Any:
    """The leaf, if it is a number or an array of numbers."""
    if type(x) in _KINDS:
        return x
    traced = hasattr(x, "__array_ufunc__")  # or an ndarray; converting a traced value would fail
    if not traced and not is_a(x, np.generic) and hasattr(x, "__array__"):
        x = np.asarray(x)
    name = f"ravel_pytree: the leaf{f' at {tree.keystr(path)}' if path else ''}"
    if is_a(x, (np.ndarray, np.generic)):
        return as_numbers(x, name)
    if traced and isinstance(getattr(x, "dtype", None), np.dtype):
        return x
    raise TypeError(
        f"{name} is an object of class {type(x).__name__}; only arrays and scalars of numbers and booleans are raveled"
    )


def _vector(x: Any, dtype: np.dtype[Any]) -> Any:
    """A leaf as a vector."""
    if type(x) in _KINDS:
        return np.array([x], dtype)
    flat = np.ravel(x)
    return flat if x.dtype == dtype else flat.astype(dtype)


def _own_dtype(x: Any, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype to restore a leaf in. A Python scalar is content with any dtype of its kind."""
    kinds = _KINDS.get(type(x))
    if kinds is None:
        return x.dtype
    return dtype if dtype.kind in kinds else np.dtype(type(x))


def ravel_pytree(pytree: Any) -> tuple[Any, _Unravel]:
    """All leaves of a tree in one vector, and the function that undoes it.

    Args:
        pytree: a tree of arrays and scalars, of numeric or bool dtypes. Traced values are welcome.

    Returns:
        flat: a new array of shape (n,), the raveled leaves one after the other. Its dtype is what
            NumPy promotes the leaves to (Python scalars are weak); float64 for an empty tree.
        unravel: takes a vector of shape (n,) and returns a tree of the same structure, with new
            arrays of the leaves' shapes. If the leaves have one common dtype, the results have the
            dtype of the vector. Otherwise each has the dtype of its leaf, real parts being taken
            where necessary, and the vector must have the dtype of `flat`. Python and NumPy scalars
            come back as scalars, except from a traced vector, which gives traced 0-d arrays.

    Raises:
        TypeError: a leaf is not numeric; by `unravel`, a vector of the wrong dtype.
        ValueError: by `unravel`, a vector of the wrong shape.

    Examples:
        >>> import numpy as np
        >>> flat, unravel = ravel_pytree({"w": np.array([[1.0, 2.0]]), "b": 3.0})
        >>> flat
        array([3., 1., 2.])
        >>> unravel(2 * flat)
        {'b': 6.0, 'w': array([[2., 4.]])}
    """
    pairs, treedef = tree.flatten_with_path(pytree)
    leaves = [_numeric(path, leaf) for path, leaf in pairs]
    if not leaves:
        return np.zeros(0), _Unravel(treedef, (), np.dtype(float))
    dtype = np.result_type(*[x if type(x) in _KINDS else x.dtype for x in leaves])
    if dtype.kind == "O":
        raise TypeError(
            "ravel_pytree: a Python int among the leaves does not fit into any NumPy dtype that "
            "suits all leaves; convert it to float first"
        )
    specs: list[_Spec] = []
    stop = 0
    for x in leaves:
        shape = () if type(x) in _KINDS else tuple(x.shape)
        stop += prod(shape)
        scalar = type(x) if type(x) in _KINDS or is_a(x, np.generic) else None
        specs.append(_Spec(stop, shape, _own_dtype(x, dtype), scalar))
    flat = np.concatenate([_vector(x, dtype) for x in leaves])
    if any(is_a(x, Array) for _, x in pairs):
        flat = wrap(flat)
    return flat, _Unravel(treedef, tuple(specs), dtype)


def __dir__() -> list[str]:
    return __all__
