"""Complex numbers, with JAX's conventions: no conjugation in the transpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


# ------------------------------------------------------------------------------- constants computed with JAX (x64)

P = np.array([1.0 + 2.0j, -0.5 + 0.3j])
W = np.array([0.5 - 0.2j, 1.5 + 1.0j])
R = np.array([1.5, -0.7])
DIRECTION = np.array([0.3 - 1.1j, 2.0 + 0.7j])
COTANGENT = np.array([0.7 - 0.4j, -1.2 + 0.5j, 0.1 + 0.9j, 2.0 - 1.0j])

OF_COMPLEX: dict[str, Callable[[Any], Any]] = {
    "abs": np.abs,
    "conj": np.conj,
    "real": np.real,
    "imag": np.imag,
    "angle": np.angle,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "tanh": np.tanh,
    "square": np.square,
    "recip": lambda z: 1 / z,
    "z**3": lambda z: z**3,
    "z**1.5": lambda z: z**1.5,
    "2**z": lambda z: 2.0**z,
    "z*x": lambda z: z * R,
    "x/z": lambda z: R / z,
    "z.real*z": lambda z: z.real * z,
    "abs2": lambda z: np.abs(z) ** 2,
    "zconj": lambda z: z * z.conj(),
    "arctan": np.arctan,
    "cosh": np.cosh,
    "vdot": lambda z: np.vdot(z, z * 1j + 1),
    "dot": lambda z: np.dot(z, z),
    "outer": lambda z: np.outer(z, np.conj(z)),
    "sum": np.sum,
    "prod": np.prod,
    "cumsum": np.cumsum,
    "norm": np.linalg.norm,
    "where": lambda z: np.where(np.real(z) > 0, z, 2j * z),
    "power zz": lambda z: z**z,
    "expm1": np.expm1,
    "log1p": np.log1p,
    "astype real parts": lambda z: np.real(z) + 1j * np.imag(z) ** 2,
}
"""Functions of a complex vector."""

JAX_OF_COMPLEX: dict[str, tuple[list[Any], list[Any]]] = {
    "abs": (
        [-0.8497058314499202, -1.3548388226258201],
        [(0.3130495168499705 - 0.626099033699941j), (1.0289915108550531 + 0.6173949065130319j)],
    ),
    "conj": ([(0.3 + 1.1j), (2 - 0.7j)], [(0.7 + 0.4j), (-1.2 - 0.5j)]),
    "real": ([0.3, 2.0], [(0.7 + 0j), (-1.2 + 0j)]),
    "imag": ([-1.1, 0.7], [-0.7j, 1.2j]),
    "angle": (
        [-0.34, -2.794117647058824],
        [(-0.27999999999999997 - 0.13999999999999999j), (1.0588235294117647 - 1.7647058823529413j)],
    ),
    "exp": (
        [(2.379538024078257 + 1.985842823733941j), (1.0334122958605085 + 0.7640927415072655j)],
        [(0.1968476001721581 + 2.182690423906099j), (-0.7849500781486438 + 0.07462995641279321j)],
    ),
    "log": (
        [(-0.38 - 0.34j), (-2.323529411764706 - 2.794117647058824j)],
        [(-0.020000000000000018 - 0.36j), (2.2058823529411766 + 0.32352941176470584j)],
    ),
    "sqrt": (
        [(-0.10803799918891115 - 0.3656121021913022j), (0.7912892962051246 - 1.1397073606570505j)],
        [(0.1287870515011955 - 0.23682505069010665j), (0.10577249140054953 + 0.8446263684553191j)],
    ),
    "sin": (
        [(-2.747270676961081 - 3.1515646474671724j), (1.7325453385524976 + 0.9341492072939293j)],
        [(0.20214698525304567 - 2.949417662214126j), (-1.1738424243771604 + 0.28349165879377297j)],
    ),
    "tanh": (
        [(0.5343128435104998 + 0.5026326643271811j), (1.4556366474134264 + 1.0406214302469141j)],
        [(0.015840089591659404 + 0.5184727539188403j), (-1.0910464496329277 + 0.12140256107673275j)],
    ),
    "square": ([(5 - 1.0000000000000002j), (-2.42 + 0.5j)], [(3 + 1.9999999999999998j), (0.8999999999999999 - 1.22j)]),
    "recip": (
        [(0.21200000000000002 - 0.084j), (-0.9515570934256057 - 6.159169550173011j)],
        [(0.148 + 0.06399999999999999j), (2.9584775086505193 + 2.4221453287197234j)],
    ),
    "z**3": (
        [(10.500000000000002 + 13.5j), (1.5899999999999999 - 1.4639999999999997j)],
        [(-1.499999999999999 + 11.999999999999998j), (-0.126 + 1.3199999999999998j)],
    ),
    "z**1.5": (
        [(1.8695586155810793 - 1.7450643017073735j), (-0.16119731971634133 + 2.4217214075701876j)],
        [(1.8073114586442263 + 0.06224715693685297j), (-0.9188224687106116 - 1.1717443104224838j)],
    ),
    "2**z": (
        [(1.5753400055706144 + 0.12907183745273168j), (0.8883102590075068 + 0.5380723928881485j)],
        [(0.7231340840589413 + 0.852205921511673j), (-0.6260777803740718 + 0.11836135214991272j)],
    ),
    "z*x": (
        [(0.44999999999999996 - 1.6500000000000001j), (-1.4 - 0.48999999999999994j)],
        [(1.0499999999999998 - 0.6000000000000001j), (0.84 - 0.35j)],
    ),
    "x/z": (
        [(0.318 - 0.126j), (0.6660899653979239 + 4.311418685121107j)],
        [(0.22199999999999998 + 0.09599999999999997j), (-2.0709342560553634 - 1.6955017301038062j)],
    ),
    "z.real*z": ([(0.6 - 0.5000000000000001j), (-2 + 0.25j)], [(2.2 - 0.4j), (1.0499999999999998 - 0.25j)]),
    "abs2": ([-3.8000000000000007, -1.5800000000000003], [(1.4 - 2.8j), (1.2 + 0.72j)]),
    "zconj": ([(-3.8000000000000003 + 0j), (-1.58 + 0j)], [(1.4 - 2.8j), (1.2 + 0.72j)]),
    "arctan": (
        [(-0.25 + 0.05000000000000001j), (1.4697687378099749 + 0.983560880468097j)],
        [(-0.15 - 0.09999999999999999j), (-1.074115352465868 + 0.15324602953468933j)],
    ),
    "cosh": (
        [(1.3967142979718568 + 0.9588976601320354j), (-1.228908100092601 + 0.31799756479380203j)],
        [(0.21890831891991072 + 1.177805979051946j), (0.43076750244303696 - 0.6487941897544944j)],
    ),
    "vdot": (
        [(2.3000000000000003 - 4.98j)],
        [(1.5 - 1.2000000000000002j), (0.29999999999999993 + 0.16000000000000003j)],
    ),
    "dot": ([(2.58 - 0.5000000000000002j)], [(3 + 1.9999999999999998j), (-0.45999999999999996 + 0.8200000000000001j)]),
    "outer": (
        [(-3.8000000000000003 + 0j), (2.92 + 3.76j), (2.92 - 3.76j), (-1.58 + 0j)],
        [(1.8299999999999998 - 2.2699999999999996j), (-2.3000000000000003 + 1.4j)],
    ),
    "sum": ([(2.3 - 0.40000000000000013j)], [(0.7 - 0.4j), (0.7 - 0.4j)]),
    "prod": (
        [(0.7800000000000001 + 5.34j)],
        [(-0.22999999999999998 + 0.41000000000000003j), (1.5 + 0.9999999999999999j)],
    ),
    "cumsum": ([(0.3 - 1.1j), (2.3 - 0.40000000000000013j)], [(-0.5 + 0.09999999999999998j), (-1.2 + 0.5j)]),
    "norm": (
        [-1.1640768472772929],
        [(0.3029196256855408 - 0.6058392513710816j), (-0.1514598128427704 - 0.09087588770566224j)],
    ),
    "where": ([(0.3 - 1.1j), (-1.4 + 4j)], [(0.7 - 0.4j), (-1 - 2.4j)]),
    "power zz": (
        [(-0.22499297240767277 + 0.5450066359638044j), (3.2375841727837544 + 0.8953573292646302j)],
        [(-0.38499980418573854 + 0.16000683177806582j), (-1.8451013452235223 + 0.9179671164653932j)],
    ),
    "expm1": (
        [(2.379538024078257 + 1.985842823733941j), (1.0334122958605088 + 0.7640927415072656j)],
        [(0.1968476001721581 + 2.182690423906099j), (-0.784950078148644 + 0.07462995641279327j)],
    ),
    "log1p": (
        [(-0.2 - 0.35000000000000003j), (3.558823529411765 - 0.7352941176470589j)],
        [(0.07499999999999998 - 0.275j), (-1.3235294117647058 + 1.7941176470588236j)],
    ),
    "astype real parts": ([(0.3 - 4.4j), (2 + 0.42j)], [(0.7 - 1.6j), (-1.2 + 0.3j)]),
}
"""Their tangents along DIRECTION, and what their pullback makes of COTANGENT, at P."""

OF_REAL: dict[str, Callable[[Any], Any]] = {
    "x*z": lambda x: x * P,
    "exp(ix)": lambda x: np.exp(1j * x),
    "abs(x+z)": lambda x: np.abs(x + P),
    "z**x": lambda x: P**x,
    "x+1j x2": lambda x: np.real((x + 1j * x**2) ** 2),
    "complex astype": lambda x: x.astype(complex) * P,
}
"""Functions of a real vector with complex numbers on the way."""

JAX_OF_REAL: dict[str, tuple[list[Any], list[Any]]] = {
    "x*z": ([(0.4 + 0.8j), (0.65 - 0.39j)], [1.5, 0.44999999999999996]),
    "exp(ix)": (
        [(-0.3989979946416218 + 0.028294880667081163j), (-0.8374829934089983 - 0.9942948434698351j)],
        [-0.6699516099557569, -1.1554823183274734],
    ),
    "abs(x+z)": ([0.3123475237772122, 1.2611852501889316], [0.5466081666101212, 1.1641710001743983]),
    "z**x": (
        [(-1.5714639381774111 + 0.9389638038570566j), (-5.032535664744176 + 0.22940627310242692j)],
        [-1.8110980879534126, -4.55718435472446],
    ),
    "x+1j x2": ([-4.2, 0.036400000000000314], [-7.35, 0.03360000000000052]),
    "complex astype": ([(0.4 + 0.8j), (0.65 - 0.39j)], [1.5, 0.44999999999999996]),
}
"""Their tangents along (0.4, -1.3), and their pullbacks of COTANGENT, at R."""

OF_TWO: dict[str, Callable[[Any, Any], Any]] = {
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "dot": np.dot,
    "vdot": np.vdot,
    "add": lambda a, b: a + b,
}
"""Functions of two vectors, of which the second may be real."""

JAX_OF_TWO: dict[str, tuple[list[Any], list[Any]]] = {
    "mul": (
        [(0.26999999999999996 - 0.33999999999999997j), (-2.3 - 0.44999999999999996j)],
        [(1.5 + 0.9999999999999999j), (0.44999999999999996 - 0.61j)],
    ),
    "mul real": ([(1.0499999999999998 - 0.6000000000000001j), (0.84 - 0.35j)], [1.5, 0.44999999999999996]),
    "div": (
        [(1.4827586206896552 - 0.20689655172413798j), (-0.4 + 0.6j)],
        [(-1.367419738406659 - 6.064209274673008j), (0.12000000000000001 + 0.2j)],
    ),
    "div real": (
        [(0.4666666666666666 - 0.26666666666666666j), (1.7142857142857144 - 0.7142857142857143j)],
        [-0.6666666666666666, -0.9183673469387756],
    ),
    "pow": (
        [(-0.015709969225633957 - 0.36196804979605424j), (-0.07675126888459655 - 0.1083303489372204j)],
        [(1.4111104255804285 + 1.499533931937776j), (-0.0034722292289438308 + 0.11402182845424948j)],
    ),
    "pow real": (
        [(1.8073114586442263 + 0.06224715693685297j), (0.23723627459132984 + 2.264192743760128j)],
        [-1.8110980879534126, -4.55718435472446],
    ),
    "dot": (
        [(0.26999999999999996 - 0.33999999999999997j), (1.45 + 0.09999999999999992j)],
        [(1.5 + 0.9999999999999999j), (-0.22999999999999998 + 0.41000000000000003j)],
    ),
    "dot real": (
        [(1.0499999999999998 - 0.6000000000000001j), (-0.48999999999999994 + 0.27999999999999997j)],
        [1.5, -0.22999999999999998],
    ),
    "vdot": (
        [(0.26999999999999996 + 0.33999999999999997j), (1.45 - 0.09999999999999992j)],
        [(-0.10000000000000009 - 1.7999999999999998j), (-0.47 - 0.009999999999999981j)],
    ),
    "vdot real": (
        [(1.0499999999999998 + 0.6000000000000001j), (-0.48999999999999994 - 0.27999999999999997j)],
        [-0.10000000000000009, -0.47],
    ),
    "add": ([(0.7 - 0.4j), (-1.2 + 0.5j)], [(0.7 - 0.4j), (-1.2 + 0.5j)]),
    "add real": ([(0.7 - 0.4j), (-1.2 + 0.5j)], [0.7, -1.2]),
}
"""Their pullbacks of COTANGENT at (P, W), and at (P, R) where the name says real."""

REAL_VALUED: dict[str, Callable[[Any], Any]] = {
    "abs2sum": lambda z: np.sum(np.abs(z) ** 2),
    "re exp": lambda z: np.sum(np.real(np.exp(z))),
    "im": lambda z: np.sum(np.imag(z**2)),
    "angle": lambda z: np.sum(np.angle(z)),
    "abs": lambda z: np.sum(np.abs(z)),
    "logabs": lambda z: np.sum(np.log(np.abs(z))),
    "re(z*conj(w))": lambda z: np.real(np.vdot(W, z)),
}
"""Real functions of a complex vector."""

JAX_GRADIENTS: dict[str, list[complex]] = {
    "abs2sum": [(2 - 4j), (-1 - 0.6j)],
    "re exp": [(-1.1312043837568138 + 2.471726672004819j), (0.5794408709969049 + 0.17924206590471603j)],
    "im": [(4 - 2j), (0.6 + 1j)],
    "angle": [(-0.4 - 0.2j), (-0.8823529411764707 + 1.4705882352941178j)],
    "abs": [(0.4472135954999579 - 0.8944271909999159j), (-0.8574929257125443 - 0.5144957554275266j)],
    "logabs": [(0.19999999999999998 - 0.39999999999999997j), (-1.4705882352941182 - 0.8823529411764708j)],
    "re(z*conj(w))": [(0.5 + 0.2j), (1.5 - 1j)],
}
"""Their gradients at P."""


def cotangent_like(y: Any) -> Any:
    ct = np.resize(COTANGENT, np.shape(y))
    return ct if np.asarray(y).dtype.kind == "c" else ct.real


@pytest.mark.parametrize("name", OF_COMPLEX)
def test_of_complex_as_jax(name: str) -> None:
    fun, (tangent, gradient) = OF_COMPLEX[name], JAX_OF_COMPLEX[name]
    y, dy = jvp(fun, (P,), (DIRECTION,))
    np.testing.assert_allclose(np.ravel(dy), tangent, rtol=1e-12, atol=1e-14)
    assert np.asarray(dy).dtype == np.asarray(y).dtype == np.asarray(fun(P)).dtype
    y, pullback = vjp(fun, P)
    (g,) = pullback(cotangent_like(y))
    np.testing.assert_allclose(g, gradient, rtol=1e-12, atol=1e-14)
    assert g.dtype == np.complex128


@pytest.mark.parametrize("name", OF_REAL)
def test_of_real_as_jax(name: str) -> None:
    fun, (tangent, gradient) = OF_REAL[name], JAX_OF_REAL[name]
    np.testing.assert_allclose(jvp(fun, (R,), (np.array([0.4, -1.3]),))[1], tangent, rtol=1e-12, atol=1e-14)
    y, pullback = vjp(fun, R)
    (g,) = pullback(cotangent_like(y))
    assert g.dtype == np.float64
    np.testing.assert_allclose(g, gradient, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", JAX_OF_TWO)
def test_of_two_as_jax(name: str) -> None:
    other = R if name.endswith("real") else W
    y, pullback = vjp(OF_TWO[name.split()[0]], P, other)
    for g, want in zip(pullback(cotangent_like(y)), JAX_OF_TWO[name], strict=True):
        np.testing.assert_allclose(g, want, rtol=1e-12, atol=1e-14)
    assert pullback(cotangent_like(y))[1].dtype == other.dtype


@pytest.mark.parametrize("name", REAL_VALUED)
def test_gradients_of_real_functions_as_jax(name: str) -> None:
    np.testing.assert_allclose(grad(REAL_VALUED[name])(P), JAX_GRADIENTS[name], rtol=1e-12)


@pytest.mark.parametrize(
    ("fun", "first", "second"),
    [
        (np.exp, -1.1312043837568138 + 2.471726672004819j, -1.1312043837568138 + 2.471726672004819j),
        (lambda z: z**3, -9 + 12j, 6 + 12j),
        (np.log, 0.2 - 0.4j, 0.12 + 0.16j),
        (np.sin, 2.0327230070196656 - 3.0518977991518j, -3.165778513216168 - 1.9596010414216063j),
        (np.sqrt, 0.28443224050289156 - 0.17578879212707146j, 0.0067145343751251335 + 0.07446532731328546j),
        (np.tanh, -0.3020015982359609 + 0.56810302089208j, 0.42809374970407743 - 1.4727023163692534j),
    ],
)
def test_holomorphic_as_jax(fun: Callable[[Any], Any], first: complex, second: complex) -> None:
    once = grad(fun, holomorphic=True)
    np.testing.assert_allclose(once(P[0]), first, rtol=1e-12)
    np.testing.assert_allclose(grad(once, holomorphic=True)(P[0]), second, rtol=1e-12)


def test_second_derivatives_as_jax() -> None:
    for fun, want in (
        (
            lambda z: np.sum(np.abs(z) ** 3),
            [-0.5366563145999494 + 12.47725931444883j, 5.53082937084591 - 0.005144957554274576j],
        ),
        (
            lambda z: np.sum(np.real(np.exp(z * z))),
            [0.1202000509366205 - 1.064292466907487j, 6.669686774654188 - 2.741238552707864j],
        ),
    ):
        np.testing.assert_allclose(jvp(grad(fun), (P,), (DIRECTION,))[1], want, rtol=1e-11)


def test_the_modulus_at_zero() -> None:
    """JAX's choice: zero, in both modes, and no NaN."""
    assert grad(np.abs)(0j) == 0
    assert jvp(np.abs, (0j,), (1 + 1j,)) == (0.0, 0.0)
    np.testing.assert_allclose(grad(lambda z: np.sum(np.abs(z)))(np.array([0j, 3 + 4j])), [0, 0.6 - 0.8j])


def test_python_complex_numbers() -> None:
    g = grad(lambda z: abs(z) ** 2)(1 + 2j)
    assert type(g) is complex and g == 2 - 4j
    assert grad(lambda z: (z * z.conjugate()).real)(1 + 2j) == 2 - 4j
    assert jvp(lambda z: z.imag, (1 + 2j,), (3 - 1j,)) == (2.0, -1.0)
    z32 = grad(lambda z: np.sum(np.abs(z * (1 + 1j)) ** 2))(P.astype(np.complex64))
    assert z32.dtype == np.complex64
    np.testing.assert_allclose(z32, 4 * np.conj(P), rtol=1e-6)


def test_real_functions_in_a_complex_disguise() -> None:
    with pytest.raises(TypeError, match=r"np\.real or np\.abs, or holomorphic=True"):
        grad(lambda z: np.sum(z * np.conj(z)))(P)
    with pytest.raises(TypeError, match=r"holomorphic=True: argument 0 \(\w+\) must be complex, got f64"):
        grad(np.sum, holomorphic=True)(R)


def test_cotangents_of_another_kind() -> None:
    _, pullback = vjp(np.exp, P)
    np.testing.assert_array_equal(pullback(np.ones(2))[0], pullback(np.ones(2, complex))[0])
    _, pullback = vjp(np.exp, R)
    with pytest.raises(TypeError, match=r"f64\[2\].*c128\[2\]"):
        pullback(np.ones(2, complex))
    with pytest.raises(TypeError, match=r"f64\[2\].*c128\[2\]"):
        jvp(np.exp, (R,), (P,))
