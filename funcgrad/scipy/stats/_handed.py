"""What a distribution has no formula for here: SciPy's own methods, of plain arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad.core import current_trace
from funcgrad.scipy._needs import is_traced, scipy_module

__all__ = ["Frozen", "Handed"]


class Handed:
    """Methods of a distribution that are SciPy's for plain arguments, and raise for traced ones."""

    name = ""

    def _handed(self, method: str, reason: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """SciPy's result; raises NotImplementedError where an argument is traced."""
        if any(map(is_traced, (*args, *kwargs.values()))):
            raise NotImplementedError(f"{self.name}.{method} takes plain arguments alone: {reason}")
        return getattr(getattr(scipy_module("stats", "stats"), self.name), method)(*args, **kwargs)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method not in ("moment", "expect", "nnlf", "fit_loc_scale"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {method!r}")
        return lambda *args, **kwargs: self._handed(method, "it has no derivatives", args, kwargs)

    def rvs(self, *args: Any, **kwargs: Any) -> Any:
        """SciPy's samples, of plain arguments; raises in a traced function, where they would be constants."""
        if current_trace() is not None:
            raise NotImplementedError(
                f"{self.name}.rvs is not offered in functions that are traced, where samples would be constants; draw "
                "with a key, by the functions of funcgrad.random"
            )
        return self._handed("rvs", "draw with a key, by the functions of funcgrad.random", args, kwargs)

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """SciPy's fit, of plain data. What it finds has no derivative."""
        return self._handed("fit", "minimise the negative sum of the log-likelihood instead", args, kwargs)


class Frozen:
    """A distribution with its parameters."""

    __slots__ = ("args", "dist", "kwargs")

    def __init__(self, dist: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.dist, self.args, self.kwargs = dist, args, kwargs

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        method = getattr(self.dist, name)
        return lambda *point, **named: method(*point, *self.args, **self.kwargs, **named)

    def rvs(self, size: Any = None, random_state: Any = None) -> Any:
        """SciPy's samples; see `Handed.rvs`."""
        return self.dist.rvs(*self.args, **self.kwargs, size=size, random_state=random_state)

    def expect(self, *args: Any, **kwargs: Any) -> Any:
        """SciPy's mean of a function, of plain parameters."""
        theirs = self.dist._handed("__call__", "expect has no derivatives", self.args, self.kwargs)
        return theirs.expect(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<distribution {getattr(self.dist, 'name', self.dist)} with parameters {self.args} {self.kwargs}>"
