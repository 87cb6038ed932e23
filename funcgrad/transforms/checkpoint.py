"""`checkpoint`: a function that keeps little for the reverse pass, and computes the rest again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

from funcgrad.transforms.boundary import boundary, check_callable
from funcgrad.transforms.recorded import Recorded, Static
from funcgrad.transforms.remat import CHECKPOINT
from funcgrad.transforms.transformed import transformed

__all__ = ["checkpoint", "remat"]

F = TypeVar("F", bound=Callable[..., Any])


@overload
def checkpoint(
    fun: F,
    *,
    policy: Callable[..., bool] | None = None,
    static_argnums: int | Sequence[int] = (),
    prevent_cse: bool = True,
    concrete: bool = False,
) -> F: ...
@overload
def checkpoint(
    fun: None = None,
    *,
    policy: Callable[..., bool] | None = None,
    static_argnums: int | Sequence[int] = (),
    prevent_cse: bool = True,
    concrete: bool = False,
) -> Callable[[F], F]: ...
def checkpoint(
    fun: Callable[..., Any] | None = None,
    *,
    policy: Callable[..., bool] | None = None,
    static_argnums: int | Sequence[int] = (),
    prevent_cse: bool = True,
    concrete: bool = False,
) -> Any:
    """A function that keeps only its inputs for the reverse pass, and computes the rest again.

    Args:
        fun: a pure function of pytrees of arrays; recorded as by `jit`.
        policy: `policy(primitive, *avals, **params) -> bool`, whether the results of an operation may be kept as well;
            `checkpoint_policies` has some. It is asked about operations inside `jit`, nested checkpoints and the bodies
            of `scan` too; `cond` and `while_loop` are one operation each.
        static_argnums: arguments that are passed on as they are.
        prevent_cse, concrete: accepted for JAX's sake.

    >>> from funcgrad import grad
    >>> float(grad(lambda x: np.sum(checkpoint(np.sin)(x)))(np.array([0.0]))[0])
    1.0
    """
    if fun is None:
        return lambda f: checkpoint(f, policy=policy, static_argnums=static_argnums)
    check_callable(fun, "checkpoint")
    recorded = Recorded(fun, Static(fun, static_argnums, ()))

    @transformed(checkpoint, fun, policy=policy, static_argnums=static_argnums)
    @boundary
    def checkpoint_fun(*args: Any, **kwargs: Any) -> Any:
        return recorded.call(CHECKPOINT, args, kwargs, policy=policy)

    return checkpoint_fun


remat = checkpoint
