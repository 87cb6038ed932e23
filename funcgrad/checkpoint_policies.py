"""Policies of `checkpoint`: which values may be kept for the reverse pass.

A policy is called with a primitive, the avals of its operands, and its parameters; it says whether the results may be
kept. One with `==` and a hash, as those here have, serves programs that were made before.

>>> import funcgrad as fg
>>> policy = fg.checkpoint_policies.save_only_these_names("activations")
>>> layer = fg.checkpoint(lambda x: np.sin(fg.checkpoint_name(np.exp(x), "activations")), policy=policy)
>>> float(fg.grad(layer)(0.0)) == float(np.cos(1.0))
True
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad.core import Primitive
from funcgrad.ops.name import NAME

__all__ = [
    "checkpoint_dots",
    "checkpoint_dots_with_no_batch_dims",
    "dots_saveable",
    "dots_with_no_batch_dims_saveable",
    "everything_saveable",
    "nothing_saveable",
    "save_any_names_but_these",
    "save_anything_except_these_names",
    "save_from_both_policies",
    "save_only_these_names",
]

Policy = Callable[..., bool]


def everything_saveable(primitive: Primitive, *avals: Any, **params: Any) -> bool:
    """Keep everything, as without `checkpoint`."""
    return True


def nothing_saveable(primitive: Primitive, *avals: Any, **params: Any) -> bool:
    """Keep the inputs alone, as without a policy."""
    return False


def dots_saveable(primitive: Primitive, *avals: Any, **params: Any) -> bool:
    """Keep products of matrices (`@`, `dot`, `tensordot`, `einsum`) and convolutions."""
    return primitive.linear == "each" and not primitive.pointwise


def dots_with_no_batch_dims_saveable(primitive: Primitive, *avals: Any, **params: Any) -> bool:
    """Keep products of matrices, but not of stacks of matrices: those that `vmap` made are computed again."""
    return primitive.name == "dot_general" and not any(params["batch"])


checkpoint_dots = dots_saveable
checkpoint_dots_with_no_batch_dims = dots_with_no_batch_dims_saveable


class _ByName:
    """A policy that goes by what `checkpoint_name` said.

    Attributes:
        title: the function that made it.
        names: the names that it knows.
        known: whether a value of a name it knows is kept.
        other: whether a value of another name is kept.
        unnamed: whether a value without a name is kept.
    """

    __slots__ = ("known", "names", "other", "title", "unnamed")

    def __init__(self, title: str, names: tuple[str, ...], known: bool, other: bool, unnamed: bool) -> None:
        for name in names:
            if not isinstance(name, str):
                raise TypeError(f"checkpoint policy: names must be strings, got {name!r}")
        self.title = title
        self.names, self.known, self.other, self.unnamed = frozenset(names), known, other, unnamed

    def __call__(self, primitive: Primitive, *avals: Any, **params: Any) -> bool:
        if primitive is not NAME:
            return self.unnamed
        return self.known if params["name"] in self.names else self.other

    def refuses(self, name: str) -> bool:
        """Whether a value that could be kept without its name is not to be kept because of it."""
        return self.unnamed and name in self.names

    def __repr__(self) -> str:
        return f"{self.title}({', '.join(map(repr, sorted(self.names)))})"

    def _key(self) -> tuple[Any, ...]:
        return self.names, self.known, self.other, self.unnamed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByName) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


def save_only_these_names(*names_which_can_be_saved: str) -> Policy:
    """Keep values with these names, and nothing else."""
    return _ByName("save_only_these_names", names_which_can_be_saved, True, False, False)


def save_any_names_but_these(*names_not_to_save: str) -> Policy:
    """Keep values with names, except these; nothing without a name."""
    return _ByName("save_any_names_but_these", names_not_to_save, False, True, False)


def save_anything_except_these_names(*names_not_to_save: str) -> Policy:
    """Keep everything, with a name or without, except values with these names."""
    return _ByName("save_anything_except_these_names", names_not_to_save, False, True, True)


class _Either:
    """What one of two policies keeps."""

    __slots__ = ("policies",)

    def __init__(self, *policies: Policy) -> None:
        self.policies = policies

    def __call__(self, primitive: Primitive, *avals: Any, **params: Any) -> bool:
        return any(policy(primitive, *avals, **params) for policy in self.policies)

    def __repr__(self) -> str:
        return f"save_from_both_policies({', '.join(map(repr, self.policies))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Either) and self.policies == other.policies

    def __hash__(self) -> int:
        return hash(self.policies)


def save_from_both_policies(policy_1: Policy, policy_2: Policy) -> Policy:
    """Keep what either policy keeps."""
    return _Either(policy_1, policy_2)
