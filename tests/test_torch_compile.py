"""Programs that PyTorch's compiler compiles: their results, what is kept on disk, and what is said where it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch")
pytest.importorskip("array_api_compat")

import funcgrad as fg  # noqa: E402
from funcgrad import device_get, device_put  # noqa: E402
from funcgrad.backends import torch_ahead  # noqa: E402
from funcgrad.backends.torch_backend import TorchBackend  # noqa: E402
from funcgrad.errors import CompileFallbackWarning  # noqa: E402

X, AT, C = np.linspace(-1.0, 2.0, 16).reshape(4, 4), np.array([1, 3, 1]), np.array([1 + 2j, 3 - 1j])


def some(x: Any, i: Any, c: Any) -> Any:
    return np.linalg.solve(x + 3.0 * np.eye(4), x), np.sort(x, 1), x[i] * 2.0, np.conj(c), x.T, x[:, ::-1]


def compiled() -> Any:
    return fg.jit(some, backend=TorchBackend("torch:cpu", compile=True))


def same(found: Any, *args: Any) -> None:
    for a, b in zip(device_get(found), some(*args), strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_what_is_compiled_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second function loads it, whatever the strides of the tensors, and raises what the device meets."""
    monkeypatch.setattr(fg.config, "native_cache", str(tmp_path))
    same(compiled()(X, AT, C), X, AT, C)
    if torch_ahead.available(torch):
        assert len(list(tmp_path.iterdir())) == 1
        monkeypatch.setattr(torch_ahead, "made", lambda *args: pytest.fail("it is compiled again"))
    f = compiled()
    wide = torch.linspace(0.0, 3.0, 72, dtype=torch.float64).reshape(9, 8)
    for x in (wide[5:, :4], wide[:4, 1:5].t(), wide[::2, ::2][:4]):
        c = torch.tensor(C).conj()
        tensors = [device_put(t, "torch:cpu") for t in (x, torch.tensor(AT), c)]
        same(f(*tensors), x.numpy(), AT, c.resolve_conj().numpy())
    with pytest.raises(IndexError, match="gather: an index is out of bounds"):
        f(X, np.array([0, 9, 0]), C)
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        f(-3.0 * np.eye(4), AT, C)


def test_where_it_fails_the_next_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("there is no compiler\nat all")

    monkeypatch.setattr(torch_ahead, "made", raises)
    with monkeypatch.context() as patched:
        patched.setattr(torch, "compile", lambda graph, **options: graph)
        same(compiled()(X, AT, C), X, AT, C)
    monkeypatch.setattr(torch, "compile", raises)
    f = compiled()
    with pytest.warns(CompileFallbackWarning, match="piece_0 is run without Inductor, which raised RuntimeError: "):
        same(f(X, AT, C), X, AT, C)
    same(f(X, AT, C), X, AT, C)
    assert "piece_0: RuntimeError: there is no compiler\n" in f.lower(X, AT, C).source()
