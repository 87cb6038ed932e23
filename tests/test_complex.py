"""Complex numbers, with JAX's conventions: no conjugation in the transpose."""

from __future__ import annotations

import numpy as np
import pytest

from funcgrad import grad, jvp, vjp
from funcgrad.test_util import check_grads

Z = np.array([1.0 + 2.0j, -0.5 + 0.3j])


def test_real_functions_of_complex_inputs() -> None:
    """∂f/∂x - i ∂f/∂y: for |z|² that is 2 conj(z)."""
    np.testing.assert_allclose(grad(lambda z: np.sum(np.abs(z) ** 2))(Z), 2 * np.conj(Z))
    np.testing.assert_allclose(grad(lambda z: np.sum(np.real(z) * np.imag(z)))(Z), Z.imag - 1j * Z.real)
    np.testing.assert_allclose(grad(lambda z: np.sum(np.abs(z)))(Z), np.conj(Z) / np.abs(Z))
    np.testing.assert_allclose(grad(lambda z: np.sum(np.angle(z)))(Z), -1j * np.conj(Z) / np.abs(Z) ** 2)


def test_holomorphic() -> None:
    np.testing.assert_allclose(
        grad(lambda z: np.sin(z) * z, holomorphic=True)(Z[0]), np.cos(Z[0]) * Z[0] + np.sin(Z[0])
    )
    with pytest.raises(TypeError, match="complex"):
        grad(lambda z: z, holomorphic=True)(1.0)
    with pytest.raises(TypeError, match="complex"):
        grad(lambda z: np.real(z), holomorphic=True)(Z[0])
    with pytest.raises(TypeError, match="holomorphic=True"):
        grad(lambda z: z)(Z[0])


def test_vjp_does_not_conjugate() -> None:
    _, pullback = vjp(lambda z: z * (2 + 3j), Z)
    np.testing.assert_allclose(pullback(np.array([1j, 1.0 + 0j]))[0], [1j * (2 + 3j), 2 + 3j])
    _, pullback = vjp(np.conj, Z)
    np.testing.assert_allclose(pullback(np.array([1j, 1.0 + 0j]))[0], [-1j, 1.0])


def test_jvp_of_real_parts() -> None:
    t = np.array([1j, 2.0 - 1j])
    np.testing.assert_allclose(jvp(np.real, (Z,), (t,))[1], t.real)
    np.testing.assert_allclose(jvp(np.imag, (Z,), (t,))[1], t.imag)
    np.testing.assert_allclose(jvp(np.abs, (Z,), (t,))[1], np.real(np.conj(Z) * t) / np.abs(Z))


def test_real_inputs_beside_complex_ones() -> None:
    g = grad(lambda x: np.sum(np.abs(x * Z) ** 2))(np.array([1.0, 2.0]))
    assert g.dtype == np.float64
    np.testing.assert_allclose(g, 2 * np.array([1.0, 2.0]) * np.abs(Z) ** 2)


@pytest.mark.parametrize(
    "fun", [np.exp, np.sin, np.tanh, np.log, np.sqrt, np.abs, np.conj, np.square, np.sign, np.angle]
)
def test_second_order(fun: np.ufunc) -> None:
    check_grads(lambda z: fun(z) * z, (Z,), 2)
