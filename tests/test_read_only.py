"""A write that NumPy refuses is put down to a derivative only if it is one that refuses it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from funcgrad import grad, jit, jvp, vjp
from funcgrad.errors import CapturedArrayWriteError


def store(z: Any) -> None:
    z[0] = 1.0


def add(z: Any) -> None:
    z += 1.0


def add_element(z: Any) -> None:
    z[0] += 1.0


def out(z: Any) -> None:
    np.add(1.0, 2.0, out=z)


def copyto(z: Any) -> None:
    np.copyto(z, 1.0)


def sort(z: Any) -> None:
    z.sort()


def fill(z: Any) -> None:
    z.fill(1.0)


def attribute(z: Any) -> None:
    holder = SimpleNamespace(z=z)
    holder.z[0] = 1.0


def element(z: Any) -> None:
    holder = {"z": [z]}
    holder["z"][0][:] = 1.0


def without_source(z: Any) -> None:
    exec("z[0] = 1.0", {"z": z})


WRITES = [store, add, add_element, out, copyto, sort, fill, attribute, element, without_source]


def frozen() -> Any:
    z = np.ones(3)
    z.flags.writeable = False
    return z


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("make", [frozen, lambda: np.broadcast_to(np.ones(1), (3,)), lambda: np.diagonal(np.eye(3))])
@pytest.mark.parametrize("transform", [grad, lambda f: lambda x: vjp(f, x), lambda f: lambda x: jvp(f, (x,), (x,))])
def test_arrays_that_were_read_only_before(transform: Any, make: Any, write: Any) -> None:
    held = np.ones(3)
    z = make()

    def f(x: Any) -> Any:
        y = np.sum(held * x)
        write(z)
        return y

    with pytest.raises(ValueError, match="read-only") as caught:
        transform(f)(2.0)
    assert type(caught.value) is ValueError and "derivative" not in str(caught.value)
    assert held.flags.writeable


@pytest.mark.parametrize("write", WRITES)
def test_arrays_that_a_derivative_needs(write: Any) -> None:
    held = np.ones(3)

    def f(x: Any) -> Any:
        y = np.sum(held * x)
        write(held)
        return y

    for transform in (grad, lambda f: grad(grad(f)), lambda f: grad(lambda x: vjp(f, x)[0])):
        with pytest.raises(CapturedArrayWriteError, match="takes part in a derivative"):
            transform(f)(2.0)
        assert held.flags.writeable
    held[:] = 1.0
    assert grad(jit(f))(2.0) == 3.0  # a program has a copy of what it captured


@pytest.mark.parametrize("write", WRITES)
def test_views_of_them(write: Any) -> None:
    held = np.ones(3)

    def f(x: Any) -> Any:
        y = np.sum(held * x)
        write(held[:])
        return y

    with pytest.raises(CapturedArrayWriteError):
        grad(f)(2.0)


def test_a_transformation_inside() -> None:
    """The error passes the door of `jvp` while the array is locked by `grad`."""
    held = np.ones(3)

    def f(x: Any) -> Any:
        y = np.sum(held * x)
        jvp(lambda t: (store(held), t)[1], (1.0,), (1.0,))
        return y

    with pytest.raises(CapturedArrayWriteError):
        grad(f)(2.0)
