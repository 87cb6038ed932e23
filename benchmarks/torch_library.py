"""What the programs ask of `lib` and `xp`, by PyTorch: its own functions under common names, Python's loops.

Derivatives inside a program are `torch.func`'s; the gradient around a whole program is that of `torch.autograd`, which
is what one would write, and the faster of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch.func import grad, jacfwd, jacrev, jvp, vmap

__all__ = [
    "arrays",
    "grad",
    "jacfwd",
    "jacrev",
    "jvp",
    "lax",
    "nn",
    "set_default",
    "tensors",
    "value_and_grad",
    "vmap",
    "xp",
]


def tree_map(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Apply a function to the leaves of dicts, lists and tuples."""
    if tree is None:
        return None
    if isinstance(tree, Mapping):
        return {name: tree_map(function, tree[name], *(o[name] for o in others)) for name in tree}
    if isinstance(tree, list | tuple):
        return type(tree)(tree_map(function, *parts) for parts in zip(tree, *others, strict=True))
    return function(tree, *others)


def set_default(double: bool) -> None:
    """The precision of what is made from Python's numbers."""
    torch.set_default_dtype(torch.float64 if double else torch.float32)


def tensors(arguments: Any) -> Any:
    """The arrays as tensors of their own memory."""
    return tree_map(lambda x: torch.from_numpy(x.copy()) if hasattr(x, "copy") else torch.tensor(x), arguments)


def arrays(result: Any) -> Any:
    """What is compared with the reference."""
    return tree_map(lambda x: x.detach().numpy() if isinstance(x, torch.Tensor) else x, result)


def value_and_grad(function: Callable[..., Any]) -> Callable[..., Any]:
    """The value, and the gradient by the first argument."""

    def call(p: Any, *rest: Any) -> Any:
        leaves: list[Any] = []

        def leaf(x: Any) -> Any:
            leaves.append(x.detach().requires_grad_())
            return leaves[-1]

        value = function(tree_map(leaf, p), *rest)
        found = iter(torch.autograd.grad(value, leaves))
        return value.detach(), tree_map(lambda _: next(found), p)

    return call


def scan(f: Callable[..., Any], carry: Any, xs: Any = None, length: int | None = None) -> Any:
    """`lax.scan` as a loop of Python's."""
    first = xs
    while isinstance(first, Mapping | list | tuple):
        first = next(iter(first.values() if isinstance(first, Mapping) else first))
    found: list[Any] = []
    for i in range(length or 0 if first is None else len(first)):
        carry, out = f(carry, tree_map(lambda x, i=i: x[i], xs))
        found.append(out)
    return carry, None if found[0] is None else tree_map(lambda *rows: torch.stack(rows), found[0], *found[1:])


def fori_loop(lower: int, upper: int, body: Callable[..., Any], carry: Any) -> Any:
    """`lax.fori_loop` as a loop of Python's."""
    for i in range(lower, upper):
        carry = body(i, carry)
    return carry


def while_loop(test: Callable[..., Any], body: Callable[..., Any], carry: Any) -> Any:
    """`lax.while_loop` as a loop of Python's."""
    while test(carry):
        carry = body(carry)
    return carry


lax = SimpleNamespace(
    scan=scan,
    fori_loop=fori_loop,
    while_loop=while_loop,
    top_k=lambda x, k: tuple(torch.topk(x, k)),
    erf=torch.erf,
    stop_gradient=lambda x: x.detach(),
)
nn = SimpleNamespace(
    logsumexp=torch.logsumexp,
    log_softmax=torch.log_softmax,
    softmax=torch.softmax,
    sigmoid=torch.sigmoid,
    softplus=torch.nn.functional.softplus,
    relu=torch.relu,
)


class _Names:
    """PyTorch's functions, and those of NumPy that have another name or form there."""

    abs = staticmethod(torch.abs)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def sort(x: Any, axis: int = -1) -> Any:
        """The sorted values, without their places."""
        return torch.sort(x, axis).values

    @staticmethod
    def transpose(x: Any, axes: Any) -> Any:
        """The axes in another order."""
        return x.permute(*axes)

    @staticmethod
    def pad(x: Any, width: int) -> Any:
        """Zeros on all sides."""
        return torch.nn.functional.pad(x, (width,) * (2 * x.ndim))

    @staticmethod
    def take(x: Any, places: Any, axis: int) -> Any:
        """Rows of an array."""
        return torch.index_select(x, axis, places)


xp = _Names()
