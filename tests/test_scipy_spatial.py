"""`funcgrad.scipy.spatial.transform` and `cluster.vq`: values of SciPy, and derivatives."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from scipy.cluster import vq as scipys_vq
from scipy.spatial.transform import Rotation as Theirs
from scipy.spatial.transform import Slerp as TheirSlerp

from funcgrad import grad, jit, random, vmap
from funcgrad.errors import ShapeError
from funcgrad.scipy.cluster import vq
from funcgrad.scipy.spatial.transform import Rotation, Slerp
from funcgrad.test_util import check_grads

RNG = np.random.default_rng(0)
Q, V = RNG.normal(size=(5, 4)), RNG.normal(size=(5, 3))
MANY, MANY_THEIRS = Rotation.from_quat(Q), Theirs.from_quat(Q)
TIMES, AT = np.array([0.0, 1, 2.5, 3, 5]), np.array([0, 0.3, 1, 2.2, 4.9, 5])
AXES = [a + b + c for a, b, c in itertools.product("xyz", repeat=3) if a != b and b != c]


def same(have: Any, want: Any) -> None:
    np.testing.assert_allclose(have, want, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("some", [slice(None), 0])
def test_forms(some: Any) -> None:
    a, b, v = Rotation.from_quat(Q[some]), Theirs.from_quat(Q[some]), V[some]
    for name in ("as_quat", "as_matrix", "as_rotvec", "as_mrp", "magnitude"):
        same(getattr(a, name)(), getattr(b, name)())
    same(a.as_quat(canonical=True), b.as_quat(canonical=True))
    same(a.as_quat(scalar_first=True), b.as_quat(scalar_first=True))
    same(a.as_rotvec(degrees=True), b.as_rotvec(degrees=True))
    same((a * a).as_matrix(), (b * b).as_matrix())
    same(a.inv().as_matrix(), b.inv().as_matrix())
    for vectors, inverse in ((v, False), (v, True), (V, False)):
        same(a.apply(vectors, inverse=inverse), b.apply(vectors, inverse=inverse))
    same(Rotation.from_matrix(b.as_matrix()).as_matrix(), b.as_matrix())
    same(Rotation.from_mrp(v).as_matrix(), Theirs.from_mrp(v).as_matrix())
    same(Rotation.from_rotvec(v).as_quat(), Theirs.from_rotvec(v).as_quat())
    same(Rotation.from_rotvec(v * 30, degrees=True).as_matrix(), Theirs.from_rotvec(v * 30, degrees=True).as_matrix())


@pytest.mark.parametrize("seq", AXES)
def test_angles(seq: str) -> None:
    for name in (seq, seq.upper()):
        same(Rotation.from_euler(name, V).as_matrix(), Theirs.from_euler(name, V).as_matrix())
        same(MANY.as_euler(name), MANY_THEIRS.as_euler(name))
        same(MANY.as_euler(name, degrees=True), MANY_THEIRS.as_euler(name, degrees=True))
        for middle in (0.0, np.pi / 2, -np.pi / 2, np.pi):  # where two of the angles are not unique
            locked = Theirs.from_euler(name, [0.3, middle, 0.7])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                want = locked.as_euler(name)
            np.testing.assert_allclose(Rotation.from_quat(locked.as_quat()).as_euler(name), want, atol=1e-6)


def test_many_and_means() -> None:
    for seq, angles in (("z", 0.3), ("Y", np.array([[0.3], [0.4]])), ("xy", V[0, :2]), ("XY", V[:, :2])):
        same(Rotation.from_euler(seq, angles).as_quat(), Theirs.from_euler(seq, angles).as_quat())
    weights = RNG.random(5)
    same(MANY.mean().as_matrix(), MANY_THEIRS.mean().as_matrix())
    same(MANY.mean(weights).as_matrix(), MANY_THEIRS.mean(weights).as_matrix())
    same(MANY[1:3].as_quat(), MANY_THEIRS[1:3].as_quat())
    same(Rotation.concatenate([MANY, MANY[0]]).as_quat()[-1], MANY_THEIRS.as_quat()[0])
    assert len(MANY) == 5 and MANY[0].single and Rotation.identity(2).as_matrix().shape == (2, 3, 3)
    ours, theirs = Slerp(TIMES, MANY), TheirSlerp(TIMES, MANY_THEIRS)
    same(Slerp.init(TIMES, MANY)(AT).as_quat(), Slerp(times=TIMES, rotations=MANY)(AT).as_quat())
    same(ours(AT).as_matrix(), theirs(AT).as_matrix())
    same(ours(1.7).as_matrix(), theirs(1.7).as_matrix())


def test_derivatives() -> None:
    loose = {"atol": 1e-5, "rtol": 1e-5}
    check_grads(lambda q: Rotation.from_quat(q).as_rotvec(), (Q,), order=2, **loose)
    for v in (V, V * 0, V * 1e-4):
        check_grads(lambda v: Rotation.from_rotvec(v).as_matrix(), (v,), order=2)
    check_grads(lambda v: Rotation.from_rotvec(v).as_rotvec(), (V * 1e-4,), order=2)
    check_grads(lambda v: Rotation.from_euler("xyz", v).as_euler("zyx"), (V * 0.3,), order=2, **loose)
    check_grads(lambda m: Rotation.from_matrix(m).as_matrix(), (MANY_THEIRS.as_matrix(),), order=1)
    check_grads(lambda q, v: Rotation.from_quat(q).apply(v), (Q, V), order=2)
    check_grads(lambda q: Rotation.from_quat(q).mean().as_matrix(), (Q,), order=1, **loose)
    turned = lambda q, t: Slerp.init(TIMES, Rotation.from_quat(q))(t).as_matrix()  # noqa: E731
    check_grads(turned, (Q, AT[1:5] + 0.01), order=1)
    assert np.isfinite(grad(lambda q: Rotation.from_quat(q).magnitude())(np.array([0, 0, 0, 1.0]))).all()


def test_as_pytrees() -> None:
    want = MANY_THEIRS.apply(V)
    same(jit(lambda r, v: r.apply(v))(MANY, V), want)
    same(vmap(lambda r, v: r.apply(v))(MANY, V), want)
    same(jit(lambda r: r * r)(MANY[0]).as_matrix(), (MANY_THEIRS[0] * MANY_THEIRS[0]).as_matrix())
    same(jit(lambda s, t: s(t).as_quat())(Slerp.init(TIMES, MANY), AT), Slerp.init(TIMES, MANY)(AT).as_quat())
    assert Rotation.from_rotvec(V.astype(np.float32)).as_matrix().dtype == np.float32
    calls = [(lambda: Rotation.from_quat(V), ShapeError), (lambda: Rotation.from_euler("xx", V[:, :2]), ValueError),
             (lambda: MANY[0][0], TypeError), (lambda: Slerp.init(AT, MANY), ShapeError)]  # fmt: skip
    for call, kind in calls:
        with pytest.raises(kind):
            call()
    drawn = Rotation.random(random.key(0), 3)
    assert (
        len(drawn) == 3 and np.allclose(np.linalg.norm(drawn.quat, axis=1), 1) and Rotation.random(random.key(1)).single
    )


def test_codes() -> None:
    x, codes = RNG.normal(size=(6, 3)), RNG.normal(size=(4, 3))
    for args in ((x, codes), (x[:, 0], codes[:, 0])):
        for have, want in zip(vq.vq(*args), scipys_vq.vq(*args), strict=True):
            same(have, want)
        same(jit(vq.vq)(*args)[1], scipys_vq.vq(*args)[1])
    same(vq.whiten(x), scipys_vq.whiten(x))
    check_grads(lambda x, c: vq.vq(x, c)[1], (x, codes), order=2)
    check_grads(vq.whiten, (x,), order=2)
    with pytest.raises(ShapeError, match="features"):
        vq.vq(x, codes[:, :2])
