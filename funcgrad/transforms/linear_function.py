"""Linear functions that transformations return, as pytree nodes.

The pullback of `vjp` is one, the function of `linearize`, and the transpose of a linear function. Its leaves are the
residuals: the values of the primal pass that it reads. Its static data is the program from residuals and arguments to
results. So it can be returned from a function under `jit`, mapped over, carried by a loop, and passed on.

All of that is made when somebody asks for it; until then, the function is what its transformation made.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from funcgrad._tree_def import UNIQUE
from funcgrad._tree_kinds import Kind, add_kind, index_keys, show_node
from funcgrad.ir import Program
from funcgrad.ir_signature import Signature

__all__ = ["Body", "LinearFunction", "body_of"]


class Body:
    """What is static of a linear function. There is one object for equal ones, so that they are known by identity.

    Attributes:
        name: what the function is called.
        program: from the residuals and then the flat arguments to the flat results, without constants.
        residuals: how many there are.
        sides: what is known of the arguments and results.
        call: `call(body, residuals, *args)`.
    """

    __slots__ = ("__weakref__", "call", "name", "program", "residuals", "sides")

    def __init__(self, name: str, program: Program, residuals: int, sides: Hashable, call: Callable[..., Any]) -> None:
        self.name, self.program, self.residuals, self.sides, self.call = name, program, residuals, sides, call

    def __repr__(self) -> str:
        n = len(self.program.equations)
        avals = ", ".join(map(str, self.program.in_avals[: self.residuals]))
        return f"<{self.name} of {n} operation{'' if n == 1 else 's'}, residuals ({avals})>"


_bodies: WeakValueDictionary[Any, Body] = WeakValueDictionary()
UNIQUE.add(Body)


def body_of(name: str, program: Program, residuals: int, sides: Hashable, call: Callable[..., Any]) -> Body:
    """The one body of these."""
    signature = Signature()
    signature.program(program)
    key = name, residuals, sides, call, tuple(signature.parts)
    found = _bodies.get(key)
    return _bodies.setdefault(key, Body(name, program, residuals, sides, call)) if found is None else found


class LinearFunction(partial):  # type: ignore[type-arg]
    """A linear function, called like one; a pytree node, whose leaves are its residuals.

    Two of them have the same structure if they do the same to arguments of the same structure, shapes and dtypes: then
    a function under `jit` that takes one is not recorded again for the other.
    """

    __name__: str
    _again: Callable[[], Any] | None = None
    _program: Program | None = None

    def __new__(
        cls,
        run: Callable[..., Any],
        name: str,
        parts: Any,
        again: Callable[[], Any] | None = None,
        program: Program | None = None,
    ) -> LinearFunction:
        """A function of this name.

        Args:
            run: what a call does.
            name: what it is called.
            parts: (residuals, body), or a function that makes them.
            again: makes of it what it is made again from after pickling, as `__reduce__` does.
            program: what it runs, where there is one.
        """
        made = super().__new__(cls, run)
        made.__dict__.update(__name__=name, _parts=parts, _again=again, _program=program)
        return made

    def parts(self) -> tuple[tuple[Any, ...], Body]:
        """The residuals, and what is static."""
        if callable(self._parts):
            self._parts = self._parts()
        return self._parts

    @property
    def program(self) -> Program:
        """From flat arguments to flat results, those left out that have no tangents; the residuals are constants."""
        if self._program is None:
            residuals, body = self.parts()
            p, n = body.program, body.residuals
            self._program = Program(p.inputs[:n], residuals, p.inputs[n:], p.equations, p.outputs)
        return self._program

    def __reduce__(self) -> Any:
        if self._again is None:
            raise TypeError(
                f"a {self.__name__} that was rebuilt from its leaves does not pickle: pickle what it was made from"
            )
        return self._again()

    def __copy__(self) -> LinearFunction:
        return self

    def __deepcopy__(self, memo: Any) -> LinearFunction:
        return self

    def __repr__(self) -> str:
        if self._program is None and callable(self._parts):
            return f"<{self.__name__}>"
        return f"{self.__name__} of\n{self.program}"


def _build(body: Body, residuals: tuple[Any, ...]) -> LinearFunction:
    return LinearFunction(partial(body.call, body, residuals), body.name, (residuals, body))


add_kind(
    Kind(
        LinearFunction,
        level=LinearFunction.parts,
        build=_build,
        keys=index_keys,
        show=partial(show_node, "LinearFunction"),
    )
)
