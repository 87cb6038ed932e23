"""The stages of a function under `jit`, by JAX's names: what `.trace()` gives, and what `.lower().compile()` gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import funcgrad.tree as tree
from funcgrad.ir import Program
from funcgrad.transforms.boundary import boundary_of
from funcgrad.types import ShapedArray, aval_of

__all__ = ["ArgInfo", "Compiled", "Stage", "Traced"]


class ArgInfo:
    """A leaf of the arguments: its shape and dtype, and whether its memory is given away."""

    __slots__ = ("aval", "donated")

    def __init__(self, aval: ShapedArray, donated: bool) -> None:
        self.aval, self.donated = aval, donated

    @property
    def shape(self) -> tuple[int, ...]:
        return self.aval.shape

    @property
    def dtype(self) -> Any:
        return self.aval.dtype

    def __repr__(self) -> str:
        return f"ArgInfo({self.aval}, donated={self.donated})"


class Stage:
    """What is known of a function for arguments of certain kinds, before it runs.

    Attributes:
        in_tree: the structure of the pair of its traced arguments and of those with names; static ones are left out.
        donated: for each leaf, whether its memory is given away.
    """

    __slots__ = ("_program", "donated", "in_tree")

    def __init__(self, program: Program, in_tree: Any, donated: tuple[bool, ...]) -> None:
        self._program, self.in_tree = program, in_tree
        self.donated = donated or (False,) * in_tree.num_leaves

    @property
    def out_tree(self) -> Any:
        """The structure of the result."""
        return self._program.out_tree

    @property
    def in_avals(self) -> Any:
        """Shapes and dtypes of the arguments: a pair of a tuple and of a dictionary."""
        return self.in_tree.unflatten(self._program.in_avals)

    @property
    def out_info(self) -> Any:
        """Shapes and dtypes of the result, in its structure."""
        return self.out_tree.unflatten([aval_of(v) for v in self._program.outputs])

    out_avals = out_info

    @property
    def args_info(self) -> Any:
        """An `ArgInfo` for each leaf of the arguments, in their structure."""
        return self.in_tree.unflatten(list(map(ArgInfo, self._program.in_avals, self.donated)))


class Traced(Stage):
    """A function that was recorded for certain arguments."""

    __slots__ = ("_lower", "fun_name")

    def __init__(
        self, program: Program, in_tree: Any, donated: tuple[bool, ...], name: str, lower: Callable[[], Any]
    ) -> None:
        super().__init__(program, in_tree, donated)
        self.fun_name, self._lower = name, lower

    @property
    def jaxpr(self) -> Program:
        """The program as it was recorded."""
        return self._program

    def lower(self) -> Any:
        """The next stage: see `funcgrad.executor.lowered.Lowered`."""
        return self._lower()


class Compiled(Stage):
    """A function for arguments of one structure, and of certain shapes and dtypes. It can be differentiated like it.

    >>> import numpy as np
    >>> from funcgrad import jit
    >>> compiled = jit(lambda x, n: x**n, static_argnums=1).lower(np.ones(3), 2).compile()
    >>> compiled(np.arange(3.0))
    array([0., 1., 4.])
    >>> compiled(np.arange(4.0))
    Traceback (most recent call last):
        ...
    TypeError: compiled function: argument [0] is f64[4], and the function was compiled for f64[3]: lower it for that too, or call jit(f) itself
    """  # noqa: E501

    __slots__ = ("_call", "_lowered")

    def __init__(self, lowered: Any, call: Callable[..., Any]) -> None:
        super().__init__(lowered._program, lowered.in_tree, lowered.donated)
        self._lowered, self._call = lowered, call

    @boundary_of(None)
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's value. Static arguments are left out: they are those that it was compiled for.

        Raises TypeError for arguments of another structure, or of other shapes and dtypes.
        """
        leaves, given = tree.flatten((args, kwargs))
        if given != self.in_tree:
            raise TypeError(f"compiled function: it was compiled for arguments {self.in_tree}, and was given {given}")
        for i, (x, want) in enumerate(zip(leaves, self._program.in_avals, strict=True)):
            have = aval_of(x)
            if (have.shape, have.dtype) != (want.shape, want.dtype):
                path = tree.leaves_with_path((args, kwargs))[i][0]
                raise TypeError(
                    f"compiled function: argument {tree.keystr(path[1:])} is {have}, and the function was compiled for "
                    f"{want}: lower it for that too, or call jit(f) itself"
                )
        return self._call(*args, **kwargs)

    def as_text(self) -> str:
        """The generated source."""
        return self._lowered.source()

    def cost_analysis(self) -> dict[str, float]:
        """Operations and bytes moved by one call, by XLA's names."""
        return self._lowered.cost_analysis()

    def runtime_executable(self) -> Any:
        """What runs the program."""
        return self._lowered.runtime_executable()
