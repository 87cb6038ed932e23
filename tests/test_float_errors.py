"""NumPy's warnings of floating-point errors stand at the user's line, once for each, whatever runs the operation."""

from __future__ import annotations

import gc
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib.machinery import BuiltinImporter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import float_errors, grad, jit, jvp, lax, vjp, vmap

ZEROS = np.zeros(3)
MANY = np.zeros(1 << 18)


def logs(x: Any) -> Any:
    return np.sum(np.log(x))  # the value: divide by zero in log


def roots(x: Any) -> Any:
    y = np.sqrt(x)  # the derivative: divide by zero in divide
    return np.sum(y)


def waves(x: Any) -> Any:
    y = np.sin(x)
    z = y / x  # 0/0
    return np.sum(np.cos(z))


def line(fun: Callable[..., Any], offset: int = 1) -> int:
    return fun.__code__.co_firstlineno + offset


def told(run: Callable[..., Any], *args: Any) -> set[tuple[str, int, str]]:
    """The warnings of a call: file, line, words."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(*args)
    assert all(w.category is RuntimeWarning for w in caught)
    return {(Path(w.filename).name, w.lineno, str(w.message)) for w in caught}


def forward(fun: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda x: jvp(fun, (x,), (np.ones_like(x),))


def scanned(fun: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda x: lax.scan(lambda c, _: (c + fun(x), None), 0.0, None, length=2)[0]


WAYS: dict[str, Callable[[Callable[..., Any]], Callable[[Any], Any]]] = {
    "grad": grad,
    "jvp": forward,
    "vjp": lambda f: lambda x: vjp(f, x)[1](1.0),
    "linearize": lambda f: lambda x: fg.linearize(f, x)[1](x),
    "jit of grad": lambda f: jit(grad(f)),
    "grad of jit": lambda f: grad(jit(f)),
    "jit of jvp": lambda f: jit(forward(f)),
    "vmap of grad": lambda f: lambda x: vmap(grad(f))(x[None]),
    "hessian": lambda f: lambda x: jvp(grad(f), (x,), (x,)),
    "jacrev of grad": lambda f: lambda x: vjp(grad(f), x)[1](x),
    "grad of checkpoint": lambda f: grad(fg.checkpoint(f)),
    "grad of scan": lambda f: grad(scanned(f)),
    "jit of grad of scan": lambda f: jit(grad(scanned(f))),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", ["few", "many"])
def test_warnings_stand_at_the_users_line(way: str, size: str) -> None:
    x = ZEROS if size == "few" else MANY
    for fun, offset, words in (
        # A compiled gradient leaves the value out.
        (logs, 1, "divide by zero encountered in " + ("divide" if way.startswith("jit of grad") else "log")),
        (roots, 1, "divide by zero encountered in divide"),
        (waves, 2, "invalid value encountered in divide"),
    ):
        run = WAYS[way](fun)
        for _ in range(2):  # the first call compiles
            found = told(run, x)
            assert found and {(f, n) for f, n, _ in found} == {("test_float_errors.py", line(fun, offset))}, found
            assert ("test_float_errors.py", line(fun, offset), words) in found


def test_compiled_values_warn_at_the_users_line() -> None:
    for x in (ZEROS, MANY, np.float64(0.0)):
        run = jit(logs)
        for _ in range(2):
            assert told(run, x) == {("test_float_errors.py", line(logs), "divide by zero encountered in log")}


def test_branching_functions_warn_at_the_users_line() -> None:
    def f(x: Any) -> Any:
        if x[1] > 0:
            return np.sum(x)
        return np.sum(np.log(x))

    run = jit(grad(f))
    for _ in range(3):
        assert {n for _, n, _ in told(run, ZEROS)} == {line(f, 3)}


def test_the_users_own_operations_warn_where_they_stand() -> None:
    def f(x: Any) -> Any:
        weight = np.log(ZEROS)
        return np.sum(np.where(weight < 0, x, 0.0))

    assert told(grad(f), ZEROS) == {("test_float_errors.py", line(f), "divide by zero encountered in log")}


def test_code_without_a_file_warns() -> None:
    """Of a session, or of `python -c`, the loader has no source."""
    names = {"__name__": "__main__", "__loader__": BuiltinImporter, "np": np, "grad": grad}
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        exec("grad(np.log)(np.float64(0.0))", names)


def test_two_lines_warn_twice_and_one_line_once() -> None:
    def f(x: Any) -> Any:
        a = np.sum(np.log(x))
        return a + np.sum(np.log(x))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            grad(f)(ZEROS)
    values = [w.lineno for w in caught if "in log" in str(w.message)]
    assert values == [line(f, 1), line(f, 2)]
    with warnings.catch_warnings(record=True) as again:
        warnings.simplefilter("default")  # as any change of the filters, this starts anew
        grad(f)(ZEROS)
    assert again


def test_a_filter_by_module_and_by_words_holds() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "divide by zero encountered in", RuntimeWarning, __name__)
        grad(logs)(ZEROS)
        jit(grad(roots))(ZEROS)


def test_the_users_settings_hold() -> None:
    seen: list[Any] = []
    for run in (grad(roots), jit(grad(roots)), forward(roots)):
        with np.errstate(all="ignore"):
            assert not told(run, ZEROS)
        with np.errstate(divide="raise"), pytest.raises(FloatingPointError, match="divide by zero encountered"):
            run(ZEROS)
        with np.errstate(divide="call", call=lambda *args: seen.append(args)):
            assert not told(run, ZEROS)
        assert seen.pop()[0] == "divide by zero"
        assert np.geterr()["divide"] == "warn" and np.geterrcall() is None


def test_settings_inside_the_function_hold() -> None:
    def f(x: Any) -> Any:
        with np.errstate(divide="ignore"):
            return np.sum(np.log(x))

    assert not told(lambda x: vjp(f, x), ZEROS)
    with np.errstate(divide="warn"):
        assert told(grad(logs), ZEROS)


def test_the_state_is_that_of_before_after_an_exception() -> None:
    def f(x: Any) -> Any:
        raise KeyError

    before = float_errors.current()
    for run in (grad(f), jit(f), forward(f)):
        with pytest.raises(KeyError):
            run(1.0)
    assert float_errors.current() is before


def test_states_are_not_kept_without_bound() -> None:
    for i in range(300):
        with np.errstate(divide=("ignore", "warn")[i % 2]):
            grad(lambda x: x * x)(1.0)
    assert len(float_errors.OURS) <= 2 * float_errors._MOST + 2


def test_places_of_generated_code_are_dropped_with_it() -> None:
    def size() -> int:
        return len(float_errors.PLACES)

    gc.collect()
    before = size()
    run = jit(lambda x: np.sum(np.sin(x) * np.cos(x)))
    run(MANY)
    assert size() > before
    del run
    gc.collect()
    assert size() == before


def test_warnings_as_errors_from_the_command_line(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    text = ["import numpy as np", "from funcgrad import grad", "def f(x):", "    return np.sum(np.log(x))"]
    script.write_text("\n".join([*text, "grad(f)(np.zeros(2))"]))
    run = subprocess.run([sys.executable, "-W", "error", str(script)], capture_output=True, text=True, check=False)
    assert run.returncode and "divide by zero encountered in log" in run.stderr and "line 4" in run.stderr, run.stderr
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert run.returncode == 0 and f"{script}:4: RuntimeWarning: divide by zero encountered in log" in run.stderr
