"""CuPy as a device, as far as it goes without one: its signatures, and the backend over a stand-in made of NumPy."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import errors
from funcgrad.backends.cupy_backend import CupyBackend, devices
from tools.cupy_names import FILE, calls, own_names, unbound

SIGNATURES = json.loads(FILE.read_text())


def test_cupy_takes_what_the_lowerings_call() -> None:
    assert unbound(SIGNATURES["names"]) == [] and len(calls()) > 300
    assert set(own_names()) <= set(SIGNATURES["own"])


def test_a_call_that_is_not_taken_is_told() -> None:
    signatures = SIGNATURES["names"] | {"argsort": "POSITIONAL_OR_KEYWORD a, POSITIONAL_OR_KEYWORD axis="}
    del signatures["flip"]
    found = "\n".join(unbound(signatures))
    assert "argsort: got an unexpected keyword argument 'stable'" in found and "there is no flip" in found


class Array(np.ndarray):
    """An array that says which device was the current one when it was made."""

    def __array_finalize__(self, x: Any) -> None:
        self.place = getattr(x, "place", None) or StandIn.current[-1]

    @property
    def device(self) -> Any:
        return self.place


class Device:
    """CuPy's device: a context."""

    def __init__(self, number: int) -> None:
        self.id = number

    def __enter__(self) -> None:
        StandIn.current.append(self)

    def __exit__(self, *_: object) -> None:
        StandIn.current.pop()

    def synchronize(self) -> None:
        StandIn.waited += 1


class StandIn:
    """What the backend takes from CuPy, with NumPy's memory.

    Attributes:
        current: the current devices, the innermost last.
        waited, freed: how often somebody waited, and gave memory back.
        free: whether there is memory.
    """

    current: ClassVar[list[Any]] = [Device(0)]
    waited = freed = 0
    free = True
    __version__ = "0"
    ndarray = Array
    memory = SimpleNamespace(OutOfMemoryError=type("OutOfMemoryError", (MemoryError,), {}))

    def __init__(self, count: int) -> None:
        runtime = SimpleNamespace(getDeviceCount=lambda: count)
        self.cuda = SimpleNamespace(is_available=lambda: count > 0, runtime=runtime, Device=Device, memory=self.memory)

    @staticmethod
    def asnumpy(x: Any) -> np.ndarray:
        return np.array(x)

    @classmethod
    def get_default_memory_pool(cls) -> Any:
        def free_all_blocks() -> None:
            cls.freed += 1

        return SimpleNamespace(free_all_blocks=free_all_blocks)


class Namespace:
    """The functions of the array API, whose arrays are those of the stand-in."""

    __name__ = "cupy"

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def asarray(x: Any, dtype: Any = None, copy: bool | None = None) -> Any:
        if not StandIn.free:
            raise StandIn.memory.OutOfMemoryError("Out of memory allocating 8 bytes\n(and so on)")
        return np.array(x, dtype).view(Array)


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", StandIn(2))
    monkeypatch.setitem(sys.modules, "array_api_compat", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "array_api_compat.cupy", Namespace())


@pytest.mark.usefixtures("cupy")
def test_programs_run_on_their_own_device() -> None:
    assert [str(d) for d in devices()] == ["cupy:0", "cupy:1"]
    backend = CupyBackend("cupy:1")
    loss = lambda w, x: np.sum(np.tanh(x @ w) ** 2)  # noqa: E731
    w, x = np.linspace(-1.0, 1.0, 6).reshape(3, 2), np.ones((4, 3))
    placed = fg.device_put((w, x), backend)
    value, grad = fg.jit(fg.value_and_grad(loss))(*placed)
    want, slope = fg.value_and_grad(loss)(w, x)
    np.testing.assert_allclose(np.asarray(value), want, rtol=1e-12)
    np.testing.assert_allclose(np.asarray(grad), slope, rtol=1e-12)
    assert grad.device == "cupy:1" and grad.array.device.id == placed[0].array.device.id == 1
    assert len(StandIn.current) == 1
    taken, other = backend.taken(grad.array), CupyBackend("cupy:0").taken(grad.array)
    assert taken is not None and taken[0] is grad.array and other is None
    before = StandIn.waited
    value.block_until_ready()
    assert StandIn.waited == before + 1


@pytest.mark.usefixtures("cupy")
def test_too_little_memory_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = CupyBackend("cupy:0")
    f = fg.jit(lambda x: np.stack([x, x]) * 2.0, backend=backend)
    x, small = np.ones(3), np.ones(2)
    placed = fg.device_put(x, backend)
    monkeypatch.setattr(StandIn, "free", False)
    for call in (lambda: f(x), lambda: fg.jit(lambda x: x @ small)(placed[:2]), lambda: fg.device_put(x, backend)):
        before = StandIn.freed
        with pytest.raises(errors.OutOfDeviceMemoryError, match="cupy:0: out of memory"):
            call()
        assert StandIn.freed > before
    monkeypatch.setattr(StandIn, "free", True)
    np.testing.assert_array_equal(f(x), np.full((2, 3), 2.0))


@pytest.mark.usefixtures("cupy")
def test_what_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="'cupy:5' is not there: CuPy 0 sees 2 devices; install the driver"):
        CupyBackend("cupy:5")
    monkeypatch.setitem(sys.modules, "cupy", StandIn(0))
    assert devices() == []
    with pytest.raises(RuntimeError, match="CuPy finds no driver of NVIDIA's; install the driver, and the extra"):
        CupyBackend()
