"""Arrays that stay on a device: where they go, what brings them back, and what does not mix.

The device is one in software: its arrays are handles from which there is no way to NumPy but the backend's.
"""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import DeviceArray, device_get, device_put, errors, lax, nn, tree
from funcgrad.backends import RecordingBackend, SimulatedBackend, get_backend
from funcgrad.executor.compiled import executable

DEVICE = "simulated:0"
X = np.linspace(-1.0, 2.0, 6).reshape(2, 3)


def put(x: Any, device: Any = DEVICE) -> Any:
    return device_put(x, device)


def same(found: Any, want: Any, device: str = DEVICE) -> None:
    """Results on the device that are NumPy's."""
    leaves, wants = tree.leaves(found), tree.leaves(want)
    assert len(leaves) == len(wants)
    for a, b in zip(leaves, wants, strict=True):
        assert type(a) is DeviceArray and a.device == device, a
        assert a.shape == np.shape(b) and a.dtype == np.asarray(b).dtype
        np.testing.assert_allclose(np.asarray(a), b, rtol=1e-12, atol=1e-14)


# ------------------------------------------------------------------------------------------------- names, arrays


def test_devices_have_names() -> None:
    cases = {
        "cpu": ("numpy", "cpu", "cpu", 0), "numpy": ("numpy", "cpu", "cpu", 0),
        "torch:cuda:1": ("torch", "cuda", "gpu", 1), "torch:cuda": ("torch", "cuda", "gpu", 0),
        "torch:cpu": ("torch", "cpu", "cpu", 0), "torch:mps": ("torch", "mps", "mps", 0),
        "cupy:2": ("cupy", "cuda", "gpu", 2), "cupy": ("cupy", "cuda", "gpu", 0),
        "strict:device1": ("strict", "device1", "device1", 0), "simulated:1": ("simulated", *["simulated"] * 2, 1),
    }  # fmt: skip
    for name, (library, kind, platform, number) in cases.items():
        device = fg.Device(name)
        assert (device.library, device.kind, device.platform, device.id) == (library, kind, platform, number)
        assert fg.Device(name) is device and fg.Device(str(device)) is device == str(device)
        assert pickle.loads(pickle.dumps(device)) is device
    assert fg.Device("numpy") is fg.devices()[0] and fg.Device("torch:cuda") == "torch:cuda:0"
    assert fg.devices("simulated") == ["simulated:0", "simulated:1"]
    with fg.default_device("simulated:1"):
        assert device_put(1.0).device == "simulated:1" and fg.devices()[0] == "simulated:0"
        assert type(device_put(1.0, "numpy")) is not DeviceArray
    assert type(device_put(1.0)) is not DeviceArray


def test_an_array_says_what_it_is() -> None:
    x = put(X)
    assert (x.shape, x.dtype, x.ndim, x.size, x.nbytes, len(x)) == ((2, 3), np.dtype(float), 2, 6, 48, 2)
    assert (x.device, x.devices(), x.sharding.device_set, x.is_ready()) == (DEVICE, {DEVICE}, {DEVICE}, True)
    assert repr(put(np.arange(3))) == "DeviceArray([0, 1, 2], shape=(3,), dtype=int64, device='simulated:0')"
    assert str(put(np.arange(3))) == "[0 1 2]" and f"{put(1.5):.2f}" == "1.50"
    assert isinstance(x, fg.Array) and not isinstance(x, np.ndarray) and tree.leaves({"a": x}) == [x]
    assert x.block_until_ready() is x and fg.block_until_ready([x])[0] is x
    y = pickle.loads(pickle.dumps(x))
    same(y, X)
    same(put(x), X)
    same(x.to_device("simulated:1"), X, "simulated:1")
    np.testing.assert_array_equal(x.to_device("cpu"), X)


def test_ways_to_the_host_are_asked_for() -> None:
    x = put(X)
    for back in (np.asarray(x), np.array(x), device_get(x), device_get({"a": x})["a"], np.asarray(x.tolist())):
        assert type(back) is np.ndarray
        np.testing.assert_array_equal(back, X)
    one = put(2.0)
    assert (float(one), int(one), complex(one), bool(one), one.item()) == (2.0, 2, 2 + 0j, True, 2.0)
    assert range(5)[put(3)] == 3
    with pytest.raises(ValueError, match="cannot be seen from the host without a copy"):
        np.asarray(x, copy=False)
    handle = x.array
    for silent in (np.asarray, float, bool, lambda h: h == 1):
        with pytest.raises(TypeError, match="behind the backend's back"):
            silent(handle)


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "operators": lambda x: (x + 1, 2.0 * x, x**2, x / 3, -x, abs(x), x % 0.7, x @ x.T, x < 0.5, x == x, 1 - x),
    "ufuncs": lambda x: (np.sin(x), np.maximum(x, 0.5), np.add.reduce(x), np.hypot(x, x), np.exp(x) * np.float64(2)),
    "functions": lambda x: (np.sum(x, axis=0), np.mean(x), np.where(x > 0, x, 0.0), np.concatenate([x, x]), np.sort(x)),
    "methods": lambda x: (x.sum(0), x.reshape(3, 2), x.T, x.max(), x.astype(np.float32), x.ravel(), x.copy()),
    "indices": lambda x: (x[0], x[:, 1:], x[..., None], x[-1, ::-1], x[np.array([1, 0, 1])], x[[0, 1], [1, 2]]),
    "updates": lambda x: (
        fg.at(x)[0].set(1.0), fg.at(x)[np.array([0, 0])].add(2.0), fg.at(x)[:, 1].multiply(3.0), fg.at(x)[1, 2].get(),
    ),
    "namespace": lambda x: (jnp.sum(x), jnp.linalg.norm(x), jnp.einsum("ij,kj->ik", x, x), jnp.where(x > 0, x, 0.0)),
    "in place": lambda x: _in_place(x),
    "networks": lambda x: (nn.softmax(x), nn.relu(x), nn.gelu(x)),
    "loops": lambda x: (
        lax.scan(lambda c, r: (c + r, c * r), x[0], x), lax.fori_loop(0, 3, lambda i, c: c * 2.0, x),
        lax.while_loop(lambda c: np.sum(c) < 9.0, lambda c: c + 1.0, x), lax.cond(x[0, 0] > 0, np.sin, np.cos, x),
    ),
}  # fmt: skip


def _in_place(x: Any) -> Any:
    y = x
    y += 1.0
    return y, x


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_run_on_the_device(name: str) -> None:
    if name == "in place":
        x = put(X)
        same(_in_place(x), (X + 1.0, X))
        return
    wants = OPERATIONS[name](X)
    for _ in range(2):
        same(OPERATIONS[name](put(X)), wants)


def _loss(w: Any, x: Any) -> Any:
    return np.mean(np.tanh(x @ w) ** 2)


W = np.linspace(0.5, -0.25, 6).reshape(3, 2)

TRANSFORMED: dict[str, Callable[..., Any]] = {
    "grad": fg.grad(_loss),
    "value_and_grad": fg.value_and_grad(_loss, (0, 1)),
    "hessian": fg.hessian(_loss),
    "jacfwd": fg.jacfwd(lambda w, x: x @ w),
    "vmap": fg.vmap(fg.grad(_loss), (None, 0)),
    "jit": fg.jit(_loss),
    "jit of grad": fg.jit(fg.value_and_grad(_loss)),
    "grad of jit": fg.grad(fg.jit(_loss)),
    "checkpoint": fg.grad(fg.checkpoint(_loss)),
    "jvp": lambda w, x: fg.jvp(lambda w: _loss(w, x), (w,), (w,)),
    "vjp": lambda w, x: fg.vjp(_loss, w, x)[1](2.0),
    "vjp, its value": lambda w, x: fg.vjp(_loss, w, x)[0],
    "linearize": lambda w, x: (lambda y, push: (y, push(w)))(*fg.linearize(lambda w: _loss(w, x), w)),
    "closed over": lambda w, x: fg.grad(lambda v: _loss(v, x))(w),
    "closed over by jit": lambda w, x: fg.jit(lambda v: _loss(v, x))(w),
    "has_aux": lambda w, x: fg.value_and_grad(lambda w: (_loss(w, x), {"aux": x @ w}), has_aux=True)(w),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_transformations_take_arrays_on_a_device(name: str) -> None:
    f = TRANSFORMED[name]
    for _ in range(2):
        same(f(put(W), put(X)), f(W, X))


def test_constants_are_on_the_device_of_the_program() -> None:
    """Numpy in gives NumPy out, also where an array of a device is closed over; numbers in give arrays on it."""
    x = put(X)
    for f in (fg.jit(lambda w: _loss(w, x)), fg.grad(lambda w: _loss(w, x)), fg.jit(fg.grad(lambda w: _loss(w, x)))):
        out = f(W)
        assert type(out) in (np.ndarray, np.float64)
    np.testing.assert_allclose(fg.grad(lambda w: _loss(w, x))(W), fg.grad(_loss)(W, X), rtol=1e-12)
    same(fg.jit(lambda a: a * x)(2.0), 2.0 * X)
    same(fg.grad(lambda a: np.sum(a * x))(2.0), np.sum(X))
    same(fg.jit(lambda: x + 1.0)(), X + 1.0)
    elsewhere = put(W, "simulated:1")
    with pytest.raises(errors.DeviceError, match="on simulated:0, and it closes over an array on simulated:1"):
        fg.jit(lambda x: x @ elsewhere)(x)


MIXTURES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "operator": (lambda x: x + X, r"__add__: an operand is an array of NumPy's, f64\[2,3\], and others are on simul"),
    "swapped": (lambda x: X * x, "numpy.multiply: an operand is an array of NumPy's"),
    "ufunc": (lambda x: np.add(x, X), "numpy.add: an operand"),
    "function": (lambda x: np.where(x > 0, X, x), "numpy.where: an operand"),
    "jit": (
        lambda x: fg.jit(lambda p, n: p["a"] + p["b"])({"a": x, "b": X}, 1.0),
        r"jit: argument 0 \(p\)\['b'\] is an array of NumPy's, f64\[2,3\], and argument 0 \(p\)\['a'\] is on simul",
    ),
    "grad": (lambda x: fg.grad(_loss)(put(W), X), r"argument 1 is an array of NumPy's, f64\[2,3\]"),
    "vjp": (lambda x: fg.vjp(_loss, put(W), X), r"argument 1 \(x\) is an array of NumPy's"),
    "two devices": (lambda x: x + put(X, "simulated:1"), "is on simulated:1"),
    "two devices, jit": (
        lambda x: fg.jit(np.add)(x, put(X, "simulated:1")), r"jit: argument 1 \(x2\) is on simulated:1, f64\[2,3\]"
    ),
    "two devices, grad": (
        lambda x: fg.grad(_loss)(put(W), put(X, "simulated:1")), "arrays on simulated:0 and on simulated:1 meet"
    ),
    "another backend": (
        lambda x: fg.jit(np.sin, backend="simulated:1")(x), "called with arrays on simulated:0, and jit was told"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MIXTURES)
def test_mixtures_raise_and_name_what_is_where(name: str) -> None:
    f, message = MIXTURES[name]
    with pytest.raises(errors.DeviceError, match=message):
        f(put(X))


def test_arrays_on_a_device_are_not_written_to() -> None:
    x = put(X)
    for write in (lambda: x.__setitem__(0, 1.0), lambda: x.sort(), lambda: x.fill(0.0)):
        with pytest.raises(TypeError, match=r"cannot be written to: x = x\.at\[index\]\.set"):
            write()
    same(x.at[0].set(7.0), fg.at(X)[0].set(7.0))
    same(x, X)


# ----------------------------------------------------------------------------------------------- memory, transfers


def test_donated_arrays_are_deleted() -> None:
    step = fg.jit(lambda p, g: tree.map(lambda p, g: p - 0.1 * g, p, g), donate_argnums=0)
    p, g = {"a": put(X), "b": put(W)}, {"a": put(X), "b": put(W)}
    handle = p["a"].array
    new = step(p, g)
    same(new, {"a": X - 0.1 * X, "b": W - 0.1 * W})
    assert p["a"].is_deleted() and not g["a"].is_deleted()
    assert np.isnan(get_backend(DEVICE).to_numpy(handle)).all() or not np.array_equal(
        get_backend(DEVICE).to_numpy(handle), X
    )
    for read in (lambda: p["a"] + 1, lambda: np.asarray(p["a"]), lambda: step(p, g), lambda: p["a"].array):
        with pytest.raises(errors.DeletedArrayError, match=r"this array \(f64\[2,3\]\) on simulated:0 was donated"):
            read()
    assert "deleted" in repr(p["a"])
    with pytest.raises(ValueError, match="donated, and passed in another place"):
        step({"a": new["a"], "b": new["b"]}, {"a": new["a"], "b": new["b"]})
    same(fg.jit(lambda x: (x, x.T, x[0]), donate_argnums=0)(put(X)), (X, X.T, X[0]))


def test_a_training_step_moves_nothing(rng: np.random.Generator) -> None:
    device = RecordingBackend(SimulatedBackend())
    params = put([(rng.normal(size=(5, 8)), np.zeros(8)), (rng.normal(size=(8, 2)), np.zeros(2))], device)
    x, y = put(rng.normal(size=(16, 5)), device), put(rng.normal(size=(16, 2)), device)

    def loss(params: Any, x: Any, y: Any) -> Any:
        (w1, b1), (w2, b2) = params
        return np.mean((np.tanh(x @ w1 + b1) @ w2 + b2 - y) ** 2)

    @fg.jit
    def step(params: Any, x: Any, y: Any) -> Any:
        value, grads = fg.value_and_grad(loss)(params, x, y)
        return value, tree.map(lambda p, g: p - 0.1 * g, params, grads)

    first, params = step(params, x, y)
    device.clear()
    for _ in range(3):
        value, params = step(params, x, y)
    assert sum(t.bytes for t in device.transfers) == 0 and len(device.launches) > 30
    assert float(value) < float(first)
    assert [t.bytes for t in device.transfers] == [8, 8]


def test_memory_is_given_back_as_soon_as_it_is_dead() -> None:
    device = SimulatedBackend(poison=False)
    x = put(np.ones(1000), device)
    f = fg.jit(lambda x: np.sum(np.exp(np.sin(np.cos(x)))))
    f(x)
    device.peak = 0
    f(x)
    assert device.peak <= 3 * 8000 + 100 and device.bytes_in_use == 8000
    g = fg.jit(lambda x: np.exp(np.sin(x)), donate_argnums=0)
    y = g(put(np.ones(1000), device))
    device.peak = 0
    g(y)
    assert device.peak <= 8000 + 2 * 8000  # x, and two of what is computed: y is gone by then


def test_out_of_memory_is_one_error_and_the_next_call_works() -> None:
    device = SimulatedBackend(limit=100_000)
    f = fg.jit(lambda x: np.sum(np.outer(np.sin(x), np.cos(x)) ** 2))
    large, small = put(np.ones(200), device), put(np.ones(20), device)
    for _ in range(2):
        with pytest.raises(errors.OutOfDeviceMemoryError, match="simulated:0: out of memory in a program of "):
            f(large)
        assert device.bytes_in_use == 8 * 220
        f(small)
    with pytest.raises(MemoryError, match="out of memory"):
        fg.grad(lambda x: np.sum(np.outer(x, x) ** 2))(large)
    gc.collect()  # the constants of a program that nobody has
    assert device.bytes_in_use == 8 * 220


LARGE, BOTH = np.ones(20_000), lambda x: x + x
TRANSFERS: dict[str, Callable[[Any], Any]] = {
    "device_put": lambda device: device_put(LARGE, device),
    "an argument": lambda device: fg.jit(BOTH, backend=device)(LARGE),
    "a constant": lambda device: fg.jit(lambda x: np.sum(x * LARGE), backend=device)(2.0),
    "a branch": lambda device: fg.jit(lambda x: x if np.sum(x) > 0 else -x, backend=device)(LARGE),
    "a call of another device": lambda device: fg.jit(lambda x: fg.jit(BOTH, backend=device)(x) * 2)(LARGE),
    "an index": lambda device: device_put(np.ones(3), device)[np.zeros(20_000, np.intp)],
    "another device": lambda device: device_put(device_put(LARGE, "simulated:1"), device),
}


@pytest.mark.parametrize("name", TRANSFERS)
def test_what_does_not_fit_on_the_device_is_the_same_error(name: str) -> None:
    device = SimulatedBackend(limit=100_000)
    with pytest.raises(
        errors.OutOfDeviceMemoryError, match=r"simulated:0: out of memory for an array that goes there, "
    ):
        TRANSFERS[name](device)
    gc.collect()
    assert device.bytes_in_use == 0


# ------------------------------------------------------------------------------------------------- branches on values


def _branches(x: Any) -> Any:
    total = np.sum(x)
    if total > 2.0:
        return np.sin(x) * total
    while total < 1.0:
        total = total + 0.75
    return x * total


@pytest.mark.parametrize("backend", [None, "recording"])
def test_branches_bring_single_values_to_the_host(backend: str | None) -> None:
    device = RecordingBackend(SimulatedBackend())
    f = fg.jit(_branches)
    arrays = [X, -X, X * 3, X * 0.1, X]
    for _ in range(2):
        for a in arrays:
            same(f(put(a, device)), _branches(a))
    device.clear()
    x = put(X * 3, device)
    device.clear()
    f(x)
    assert [t.aval.shape for t in device.transfers] == [()]
    text = f.explain()
    assert (
        "values came to the host to decide" in text and "on simulated:0" in text and "bool(total" in text
    ) or "bool" in text
    g = fg.jit(_branches, backend=device)
    for a in arrays:
        np.testing.assert_allclose(g(a), _branches(a), rtol=1e-12)
    same(fg.grad(lambda x: np.sum(_branches(x)))(put(X)), fg.grad(lambda x: np.sum(_branches(x)))(X))
    with pytest.raises(errors.TracerBoolConversionError):
        fg.jit(_branches, guards=False)(put(X))


# ---------------------------------------------------------------------------------------------------- jit(device=)


def test_jit_takes_a_device() -> None:
    f = fg.jit(_loss, device=DEVICE)
    np.testing.assert_allclose(f(W, X), _loss(W, X), rtol=1e-12)
    assert type(f(W, X)) is np.float64
    same(f(put(W), put(X)), _loss(W, X))
    assert f.lower(W, X).source().startswith("# on simulated:0")
    assert fg.jit(np.sin, device="cpu")(X).shape == X.shape
    device = SimulatedBackend()
    np.testing.assert_allclose(fg.jit(np.sin, device=DEVICE, backend=device)(X), np.sin(X))
    with pytest.raises(ValueError, match="give one of them"):
        fg.jit(np.sin, device="simulated:1", backend=device)
    with pytest.raises(ValueError, match="no backend is called 'abacus:0'"):
        fg.jit(np.sin, device="abacus:0")


def test_missing_libraries_and_devices_say_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="no backend 'gpu': neither torch nor cupy"):
        assert not fg.devices("gpu") or pytest.skip("there is a graphics card")
    with pytest.raises(ValueError, match="device_put: 'tpu' is no device"):
        device_put(1.0, "tpu")
    with pytest.raises(TypeError, match="device_put: a str is no array"):
        device_put("text", DEVICE)


def test_programs_know_their_device() -> None:
    program = fg.make_ir(lambda x: np.sin(x) * 2)(X)
    run = executable(program, (), get_backend(DEVICE))
    values = [get_backend(DEVICE).asarray(X)]
    (out,), check = run.run(values)  # type: ignore[attr-defined]
    assert values == [] and check is None
    np.testing.assert_allclose(get_backend(DEVICE).to_numpy(out), np.sin(X) * 2)


# ------------------------------------------------------------------------------- a library that minds where arrays are


def test_lowerings_stay_on_the_device_of_array_api_strict() -> None:
    pytest.importorskip("array_api_strict")
    device = "strict:device1"
    x = put(X, device)
    assert x.device == device and device in fg.devices("strict")
    step = fg.jit(lambda w, x: (_loss(w, x), fg.grad(_loss)(w, x), np.sort(x), fg.at(x)[0].add(1.0), x[:, ::-1]))
    same(step(put(W, device), x), step(W, X), device)
    with pytest.raises(RuntimeError, match=r"no device 'device9'; there are .*\"strict:device1\""):
        put(X, "strict:device9")
