"""Arrays on a device, met in unusual ways: what would write to them raises, and nothing comes to the host unasked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import device_put
from funcgrad.backends import RecordingBackend
from funcgrad.device_array import DeviceArray
from funcgrad.errors import DeviceError

DEVICE = "simulated:0"


def _array(x: Any = None) -> Any:
    return fg.device_put(np.arange(6.0) if x is None else x, DEVICE)


WRITES: dict[str, Callable[[Any], Any]] = {
    "ufunc.at": lambda x: np.add.at(x, 0, 1),
    "copyto": lambda x: np.copyto(x, 1.0),
    "put": lambda x: np.put(x, [0], 9),
    "place": lambda x: np.place(x, x > 2, [9]),
    "putmask": lambda x: np.putmask(x, x > 2, 9),
    "out of a ufunc": lambda x: np.add(x, 1, out=x),
    "out of an accumulation": lambda x: np.multiply.accumulate(x, out=x),
    "out of a function": lambda x: np.cumsum(x, out=x),
    "out of take": lambda x: np.take(x, [0] * 6, out=x),
    "clip": lambda x: np.clip(x, 0, 1, out=x),
    "nan_to_num": lambda x: np.nan_to_num(x, copy=False),
    "item": lambda x: x.__setitem__(0, 1),
    "item of a view": lambda x: x[1:].__setitem__(0, 1),
    "sort": lambda x: x.sort(),
    "fill": lambda x: x.fill(0),
}


@pytest.mark.parametrize("how", WRITES)
def test_nothing_writes_to_an_array_on_a_device(how: str) -> None:
    x = _array()
    for _ in range(2):  # also where it is compiled already
        with pytest.raises(TypeError, match=r"an array on a device cannot be written to: x = x.at\[index\].set"):
            WRITES[how](x)
    np.testing.assert_array_equal(np.asarray(x), np.arange(6.0))


def test_a_diagonal_is_not_filled() -> None:
    x = _array(np.ones((3, 3)))
    with pytest.raises(TypeError, match="cannot be written to"):
        np.fill_diagonal(x, 9)


@pytest.mark.parametrize("name", ["shape", "dtype"])
def test_shape_and_dtype_cannot_be_set(name: str) -> None:
    x = _array()
    with pytest.raises(AttributeError):
        setattr(x, name, getattr(x, name))


@pytest.mark.parametrize("backend", [DEVICE, "strict:device1", "strict:CPU_DEVICE", RecordingBackend()], ids=str)
def test_what_is_put_on_a_device_is_a_copy(backend: Any) -> None:
    if "strict" in str(backend):
        pytest.importorskip("array_api_strict")
    given = np.arange(4.0)
    x = fg.device_put(given, backend)
    given[:] = -1.0
    for back in (np.array(x, copy=True), fg.device_get(x)):
        back[:] = 7.0
    np.testing.assert_array_equal(fg.device_get(x), np.arange(4.0))


KINDS: dict[str, Callable[[Any], Any]] = {
    "shape": np.shape,
    "ndim": np.ndim,
    "size": np.size,
    "size of an axis": lambda x: np.size(x, 0),
    "iscomplexobj": np.iscomplexobj,
    "isrealobj": np.isrealobj,
    "result_type": lambda x: np.result_type(x, np.complex64),
    "common_type": lambda x: np.common_type(x, x),
    "array2string": np.array2string,
    "array_repr": lambda x: np.array_repr(x, precision=2),
}


@pytest.mark.parametrize("name", KINDS)
def test_questions_about_kinds_have_plain_answers(name: str) -> None:
    found, want = KINDS[name](_array()), KINDS[name](np.arange(6.0))
    assert type(found) is type(want) and found == want


FOUND: dict[str, Callable[[Any], Any]] = {
    "nonzero": lambda x: np.nonzero(x)[0],
    "where": lambda x: np.where(x > 2)[0],
    "argwhere": np.argwhere,
    "flatnonzero": np.flatnonzero,
    "a mask": lambda x: x[x > 2],
    "unique": np.unique,
}


@pytest.mark.parametrize("name", FOUND)
def test_results_whose_shape_depends_on_values_stay_there(name: str) -> None:
    for f in (FOUND[name], fg.jit(FOUND[name])):
        for _ in range(3):
            found = f(_array())
            assert type(found) is DeviceArray
            np.testing.assert_array_equal(np.asarray(found), FOUND[name](np.arange(6.0)))


def test_what_a_path_always_gives_is_nobody_elses() -> None:
    constant = np.arange(3.0)
    f = lambda x: (constant, 2.5) if np.sum(x) > 0 else (x, 1.0)  # noqa: E731
    g = fg.jit(f, backend=DEVICE)
    for _ in range(3):
        out, number = g(np.ones(3))
        assert type(out) is np.ndarray and number == 2.5
        np.testing.assert_array_equal(out, np.arange(3.0))
        out[:] = -1.0
    for _ in range(3):
        out, number = fg.jit(f)(_array(np.ones(3)))
        assert type(out) is type(number) is DeviceArray and float(number) == 2.5


def test_the_message_for_a_mixture_names_the_device() -> None:
    with pytest.raises(DeviceError, match="others are on simulated:0"):
        np.polyval(np.array([1.0, 2.0]), _array())
    with pytest.raises(DeviceError, match="others are on simulated:0"):
        np.stack([np.ones(6), _array()])


def test_an_index_may_come_from_the_host() -> None:
    x, i = _array(), np.array([1, 2])
    for found in (x[i], np.take(x, i), x.at[i].get(), x[fg.device_put(i, DEVICE)]):
        assert type(found) is DeviceArray
        np.testing.assert_array_equal(np.asarray(found), [1.0, 2.0])


def test_it_has_what_arrays_of_the_host_have_by_jaxs_names() -> None:
    x, y = device_put(np.ones((2, 3)), "simulated:0"), device_put(np.ones(3), "simulated:1")
    here = jnp.ones((2, 3))
    names = {n for n in dir(type(here)) if not n.startswith("_")} - set(dir(np.ndarray)) - {"unsafe_buffer_pointer"}
    assert names and [n for n in sorted(names) if not hasattr(x, n)] == []
    assert x.committed and x.is_fully_addressable and x.is_fully_replicated and x.on_device_size_in_bytes() == 48
    assert x.sharding == device_put(1.0, "simulated:0").sharding != y.sharding and x.sharding != here.sharding
    assert len({x.sharding, y.sharding, here.sharding, jnp.ones(2).sharding}) == 3


MADE_NAN: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a function of NumPy's": (np.log, r"NaN in the result of log\n  operands: f64\[6\]\n  at test_device_arrays.py"),
    "jit": (fg.jit(lambda x: np.log(x - 3.0) * 2.0), r"NaN in the result of log"),
    "grad": (fg.grad(lambda x: np.sum(np.sqrt(x - 3.0))), r"NaN in the result of sqrt"),
    "vmap": (fg.vmap(np.log), r"NaN in the result of log"),
    "a branch": (fg.jit(lambda x: np.log(x) if x[0] < 0 else x), r"NaN in the result of log"),
    "an operand": (lambda x: x * np.nan, r"result of __mul__, whose arguments have one already"),
    "closed over": (lambda x: fg.jit(lambda: np.log(x))(), r"it was not looked for, as .* an array on simulated:0"),
    "from the host": (lambda x: fg.jit(np.log, device=DEVICE)(np.asarray(x)), r"NaN in the result of log"),
}


@pytest.mark.parametrize("name", MADE_NAN)
def test_a_nan_is_found_where_that_is_asked_for(name: str) -> None:
    call, words = MADE_NAN[name]
    x = _array(np.arange(6.0) - 1.0)
    with fg.debug_nans(), pytest.raises(FloatingPointError, match=words):
        call(x)
    with fg.debug_nans():
        assert np.exp(x).device == fg.jit(np.exp)(x).device == DEVICE


def test_without_jit_arrays_stay_on_their_device() -> None:
    x = _array()
    with fg.disable_jit():
        for f in (np.sin, lambda x: x * 2 + x.sum(), fg.jit(lambda x: x[::2] - 1), fg.grad(lambda x: np.sum(x**2))):
            found = f(x)
            assert found.device == DEVICE
            np.testing.assert_allclose(np.asarray(found), f(np.arange(6.0)))


SPEC = fg.ShapeDtypeStruct((6,), np.float64)
CALLBACKS: dict[str, Callable[[Any], Any]] = {
    "pure": lambda x: fg.pure_callback(np.sin, SPEC, x * 2) + 1,
    "io": lambda x: fg.io_callback(np.cos, SPEC, x) * 2,
    "several results": lambda x: fg.pure_callback(
        lambda v: (v, {"sum": v.sum()}), (SPEC, {"sum": SPEC.update(shape=())}), x
    ),
    "in a loop": lambda x: fg.lax.fori_loop(0, 3, lambda i, c: fg.pure_callback(np.sin, SPEC, c), x),
    "no result": lambda x: (fg.io_callback(lambda v: None, None, x), x)[1],
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks_are_called_with_numpys_arrays(name: str) -> None:
    f = CALLBACKS[name]
    found, want = fg.jit(f)(_array()), fg.jit(f)(np.arange(6.0))
    for a, b in zip(fg.tree.leaves(found), fg.tree.leaves(want), strict=True):
        assert a.device == DEVICE
        np.testing.assert_allclose(np.asarray(a), b)


def test_files_are_written_by_numpys_functions(tmp_path: Path) -> None:
    x = _array()
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x, named=x)
    np.savetxt(tmp_path / "x.txt", x)
    with np.load(tmp_path / "x.npz") as found:
        several = [found["arr_0"], found["named"]]
    for y in (np.load(tmp_path / "x.npy"), np.loadtxt(tmp_path / "x.txt"), *several):
        np.testing.assert_array_equal(y, np.arange(6.0))
