"""`funcgrad.scipy.fft`: values of SciPy, and derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import fft as scipys

from funcgrad import jit, vmap
from funcgrad.scipy import fft as ours
from funcgrad.test_util import check_grads

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 5))
Z = X + 1j * RNG.normal(size=(3, 5))
NORMS = (None, "ortho", "forward")


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["dct", "idct", "dst", "idst"])
def test_cosines_and_sines(name: str, kind: int) -> None:
    have, want = getattr(ours, name), getattr(scipys, name)
    for norm in NORMS:
        for axis, n in ((-1, None), (0, 7), (1, 4)):
            for x in (X, Z):
                np.testing.assert_allclose(have(x, kind, n, axis, norm), want(x, kind, n, axis, norm), atol=1e-13)
    for how in (True, False):
        np.testing.assert_allclose(have(X, kind, orthogonalize=how), want(X, kind, orthogonalize=how), atol=1e-13)
    for args in ((kind, None, None, "ortho"), (kind, (4, 6)), (kind, None, [0])):
        np.testing.assert_allclose(
            getattr(ours, f"{name}n")(X, *args), getattr(scipys, f"{name}n")(X, *args), atol=1e-13
        )
    assert have(X.astype(np.float32), kind).dtype == np.float32
    check_grads(lambda x: have(x, kind, norm="ortho"), (X,), order=2)
    np.testing.assert_allclose(jit(lambda x: have(x, kind))(X), have(X, kind))
    np.testing.assert_allclose(vmap(lambda x: have(x, kind))(X), have(X, kind), atol=1e-13)


@pytest.mark.parametrize("which", ["", "2", "n"])
@pytest.mark.parametrize("name", ["fft", "ifft", "hfft", "rfft", "irfft", "ihfft"])
def test_fourier(name: str, which: str) -> None:
    have, want = getattr(ours, name + which), getattr(scipys, name + which)
    x: Any = X if name in ("rfft", "ihfft") else Z
    for norm in NORMS:
        np.testing.assert_allclose(have(x, norm=norm, workers=1), want(x, norm=norm), atol=1e-13)
        np.testing.assert_allclose(jit(lambda x, n=norm: have(x, norm=n))(x), want(x, norm=norm), atol=1e-13)
        if which:
            np.testing.assert_allclose(have(x, (4, 6), norm=norm), want(x, (4, 6), norm=norm), atol=1e-13)
    check_grads(have, (x,), order=2)


def test_the_rest() -> None:
    assert ours.next_fast_len(13) == scipys.next_fast_len(13)
    assert ours.dct([1, 2, 3]).tolist() == pytest.approx(scipys.dct([1, 2, 3]).tolist())
    for call, kind in [
        (lambda: ours.dct(X, 5), ValueError), (lambda: ours.dct(X, norm="other"), ValueError),
        (lambda: ours.dct(X, n=0), ValueError), (lambda: ours.dct(X, 1, 1), ValueError),
        (lambda: ours.dct(X, axis=2), np.exceptions.AxisError), (lambda: ours.dctn(X, s=(1, 2), axes=[0]), ValueError),
        (lambda: ours.fft(X, plan=1), NotImplementedError), (lambda: ours.fht(X, 0.1, 0.2), NotImplementedError),
        (lambda: ours.hfftn(X, norm="other"), ValueError),
    ]:  # fmt: skip
        with pytest.raises(kind):
            call()
