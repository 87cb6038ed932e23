"""`funcgrad.scipy.special`: the functions that SciPy writes in Python, and the names of its ufuncs."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from scipy import special

import funcgrad as fg
from funcgrad import grad, jit, vmap
from funcgrad.scipy import special as ours
from funcgrad.test_util import check_grads

X = np.array([0.7, 2.3])
N = np.array([5, 4])
DEGREES, ORDERS = np.array([3, 4, 2]), np.array([-2, 3, 0])


def real(name: str, *before: Any, after: tuple[Any, ...] = (), **kwargs: Any) -> tuple[Any, Any]:
    """A function of the argument between the others, of this package and of SciPy."""

    def of(module: Any) -> Any:
        return lambda z: np.real(getattr(module, name)(*before, z, *after, **kwargs))

    return of(ours), of(special)


CASES: dict[str, tuple[Any, Any]] = {
    **{n: real(n, 1.5, after=(1,)) for n in ("jvp", "yvp", "ivp", "kvp", "h1vp", "h2vp")},
    **{f"spherical_{k}n": real(f"spherical_{k}n", 2) for k in "ijky"},
    **{f"spherical_{k}n'": real(f"spherical_{k}n", 2, derivative=True) for k in "ijky"},
    **{n: real(n) for n in ("lambertw", "zeta", "softmax", "log_softmax", "softplus", "sinc", "log_ndtr", "logsumexp")},
    "spherical_jn of negative numbers": (lambda z: ours.spherical_jn(3, -z), lambda z: special.spherical_jn(3, -z)),
    "hurwitz": (lambda z: ours.zeta(z + 1, 2.0), lambda z: special.zeta(z + 1, 2.0)),
    "polygamma": real("polygamma", np.array([0, 2])),
    "multigammaln": (lambda z: ours.multigammaln(z + 1, 3), lambda z: special.multigammaln(z + 1, 3)),
    "factorial": real("factorial"),
    "comb": (lambda z: ours.comb(z + 3, z), lambda z: special.comb(z + 3, z)),
    "comb with repetition": (lambda z: ours.comb(z + 3, z, repetition=True),
                             lambda z: special.comb(z + 3, z, repetition=True)),
    "perm": (lambda z: ours.perm(z + 3, z), lambda z: special.perm(z + 3, z)),
    "diric": real("diric", after=(N,)),
    "diric at 0": (lambda z: ours.diric(z - X, N), lambda z: special.diric(z - X, N)),
    "legendre_p": real("legendre_p", 3, diff_n=2),
    "sph_harm_y": (lambda z: ours.sph_harm_y(DEGREES, ORDERS, z[:, None], 2 * z[:, None]).imag,
                   lambda z: special.sph_harm_y(DEGREES, ORDERS, z[:, None], 2 * z[:, None]).imag),
    "sph_harm_y at the pole": (lambda z: ours.sph_harm_y(3, 1, z - X, z).real,
                               lambda z: special.sph_harm_y(3, 1, z - X, z).real),
    "bessel_jn": (lambda z: ours.bessel_jn(z, v=2), lambda z: np.stack([special.jv(k, z) for k in range(3)])),
    "logsumexp of weights": (lambda z: ours.logsumexp(z, b=np.array([2.0, -0.1])),
                             lambda z: special.logsumexp(z, b=np.array([2.0, -0.1]))),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_functions(name: str) -> None:
    f, expected = CASES[name]
    want = expected(X)
    np.testing.assert_allclose(f(X), want, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(jit(f)(X), want, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(vmap(f)(np.stack([X, X])), np.stack([want, want]), rtol=1e-12, atol=1e-14)
    check_grads(f, (X,), order=2)


@pytest.mark.parametrize("name", ["jvp", "kvp", "spherical_jn", "softmax", "diric", "sph_harm_y at the pole", "comb"])
def test_single_precision_stays(name: str) -> None:
    narrow = X.astype(np.float32)
    fun = {"diric": lambda z: ours.diric(z, 5),
           "sph_harm_y at the pole": lambda z: ours.sph_harm_y(3, 1, z, z).real}.get(name, CASES[name][0])  # fmt: skip
    assert fun(narrow).dtype == np.float32
    assert jit(fun)(narrow).dtype == np.float32


def test_zeros_and_integers() -> None:
    k = np.arange(-1, 5)
    assert ours.comb(3, k).tolist() == special.comb(3, k).tolist()
    assert ours.perm(3, k).tolist() == special.perm(3, k).tolist()
    assert ours.factorial(k).tolist() == [0.0, 1.0, 1.0, 2.0, 6.0, 24.0]
    assert ours.comb(30, 15, exact=True) == 155117520
    assert np.isnan(ours.diric(X, 0)).all()
    assert ours.multigammaln(4, 2) == pytest.approx(special.multigammaln(4, 2))
    assert ours.bernoulli(4).tolist() == special.bernoulli(4).tolist()


def test_names() -> None:
    assert set(ours.__all__) <= set(dir(ours)) and ours.gammaln is special.gammaln
    missing = [n for n in ours.__all__ if not hasattr(ours, n)]
    assert not missing
    assert len(ours.roots_legendre(3)) == 2
    assert grad(ours.expit)(0.0) == 0.25 and jit(ours.sici)(X)[0].shape == (2,)
    with pytest.raises(AttributeError, match="nothing"):
        _ = fg.scipy.nothing


@pytest.mark.parametrize(("call", "kind", "words"), [
    (lambda: ours.multigammaln(0.2, 2), ValueError, "not met"),
    (lambda: ours.multigammaln(3.0, 1.5), ValueError, "positive integer"),
    (lambda: ours.sph_harm_y(1.5, 0, X, X), TypeError, "integers"),
    (lambda: ours.sph_harm_y(1, 0, X, X, diff_n=1), NotImplementedError, "differentiate"),
    (lambda: ours.spherical_jn(-1, X), ValueError, "negative"),
    (lambda: vmap(lambda n: ours.diric(X, n))(N), TypeError, "diric"),
])  # fmt: skip
def test_errors(call: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        call()


def test_without_scipy() -> None:
    code = (
        "import sys; sys.modules['scipy'] = None; import funcgrad as fg\n"
        "print(fg.scipy.special.softmax([1.0, 1.0]))\n"
        "try: fg.scipy.special.gamma\nexcept ImportError as e: print(e)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines() == [
        "[0.5 0.5]",
        "funcgrad.scipy.special.gamma needs SciPy, which is not installed: pip install scipy",
    ]


def test_nothing_of_scipy_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, funcgrad as fg; fg.scipy.special; print('scipy' in sys.modules)\n"
        "print(fg.make_ir(lambda x: x * fg.scipy.special.gammaln(x))(1.0))"  # which is imported while this is recorded
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.startswith("False\n") and "gammaln a" in out
