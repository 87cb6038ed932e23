"""Straight pieces of programs compiled by Inductor, PyTorch's compiler.

It takes seconds, so it is done only where it is asked for; what it has made is kept on disk by PyTorch, so that another
process has it in a second or two. Where it fails the piece is run as it is, and a warning says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.errors import CompileFallbackWarning

__all__ = ["Piece"]


class Piece:
    """A function of tensors, compiled when it is first called.

    Args:
        function: it neither synchronises nor writes to its arguments.
        torch: the module.
        more: tensors that are passed behind the arguments: numbers that the code has.
        name: for messages.

    Attributes:
        note: why it is not compiled; empty if it is, or has not been called.
    """

    __slots__ = ("_compiled", "_function", "_more", "_name", "_torch", "note")

    def __init__(self, function: Callable[..., Any], torch: Any, more: Sequence[Any], name: str) -> None:
        self._function, self._torch, self._more, self._name = function, torch, tuple(more), name
        self._compiled: Callable[..., Any] | None = None
        self.note = ""

    def __call__(self, *args: Any) -> Any:
        if self._compiled is None:
            return self._first(args)
        return self._compiled(*args, *self._more)

    def _first(self, args: Sequence[Any]) -> Any:
        given = (*args, *self._more)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the compiler's own
                make_fx = self._torch.fx.experimental.proxy_tensor.make_fx
                graph = make_fx(self._function, tracing_mode="fake")(*given)
                compiled = self._torch.compile(graph, dynamic=False, fullgraph=True)
                out = compiled(*given)
        except Exception as error:
            self.note = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"
            warnings.warn(
                f"torch: {self._name} is run without Inductor, which raised {self.note}; a C++ compiler (on a CUDA "
                "device, Triton) is what it needs",
                CompileFallbackWarning,
                stacklevel=2,
            )
            self._compiled = self._function
            return self._function(*given)
        self._compiled = compiled
        return out
