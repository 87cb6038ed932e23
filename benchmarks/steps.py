"""Pieces of which the workloads' steps are made: state that is carried on, waiting for JAX, PyTorch's trees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.spec import Step

__all__ = ["carried", "jax_call", "jax_carried", "torch_leaves", "torch_tree"]


def carried(update: Callable[..., Any], state: Any, x: Any, y: Any) -> Step:
    """A step that hands its state on: `update(state, x, y)` gives a value and the next state.

    (As many arguments as all updates here have: unpacking a tuple of them costs as much as the rest.)
    """

    def call() -> Any:
        nonlocal state
        value, state = update(state, x, y)
        return value, state

    return Step(call)


def jax_call(function: Callable[..., Any], *arguments: Any) -> Step:
    """A step that calls a JAX function on arguments that it puts on the device first, and waits for all results."""
    import jax

    arguments = jax.device_put(arguments)
    return Step(lambda: jax.block_until_ready(function(*arguments)))


def jax_carried(update: Callable[..., Any], state: Any, x: Any, y: Any) -> Step:
    """`carried` for JAX. It waits for the value alone: one program's results are ready together.

    `jax.block_until_ready` would walk the tree of results in Python, which small steps would notice.
    """
    import jax

    state, x, y = jax.device_put((state, x, y))

    def call() -> Any:
        nonlocal state
        value, state = update(state, x, y)
        value.block_until_ready()
        return value, state

    return Step(call)


def torch_tree(tree: Any) -> Any:
    """The same dicts, lists and tuples with tensors that share the arrays' memory."""
    import torch

    if isinstance(tree, Mapping):
        return {name: torch_tree(child) for name, child in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(torch_tree(child) for child in tree)
    return torch.from_numpy(tree)


def torch_leaves(params: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors that record what is done to them, for a dict of arrays."""
    return {name: leaf.requires_grad_() for name, leaf in torch_tree(params).items()}
