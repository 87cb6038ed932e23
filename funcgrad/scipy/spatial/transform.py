"""`scipy.spatial.transform` for arrays and traced values alike: rotations as a pytree of quaternions.

Formulas: the quaternions (x, y, z, w) of SciPy; the matrices of Shuster, A survey of attitude representations (1993).
Near the identity, half angles are by series, so that derivatives of all orders are finite there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._index import getitem
from funcgrad.ops.shape import STOP_GRADIENT
from funcgrad.random import normal
from funcgrad.scipy._needs import inexact, inexacts, rest_of

__all__ = ["Rotation", "Slerp"]


__getattr__ = rest_of("spatial.transform")


def __dir__() -> list[str]:
    return __all__


_SMALL = 1e-3


def _sinc_half(square: Any) -> Any:
    """sin(a/2)/a of a², smooth at 0."""
    small = square < _SMALL**2
    angle = np.sqrt(np.where(small, 1.0, square))
    s = np.where(small, square, 0.0)
    series = 0.5 - s / 48 + s * s / 3840 - s**3 / 645120
    return np.where(small, series, np.sin(angle / 2) / angle)


def _vectors(x: Any, size: int, name: str) -> Any:
    x = array_operand(inexact(x))
    if x.ndim not in (1, 2) or x.shape[-1] != size:
        raise ShapeError(f"Expected `{name}` to have shape ({size},) or (N, {size}), got {x.shape}.")
    return x


def _product(p: Any, q: Any) -> Any:
    """The composition of quaternions: first q, then p."""
    a, b = p[..., :3], q[..., :3]
    s, t = p[..., 3:], q[..., 3:]
    vector = s * b + t * a + np.cross(a, b)
    return np.concatenate([vector, s * t - np.sum(a * b, axis=-1, keepdims=True)], axis=-1)


class Rotation(NamedTuple):
    """Rotations in three dimensions: one, or n of them. It is a pytree, whose leaf is `quat`, of shape (..., 4).

    >>> Rotation.from_euler("z", 90, degrees=True).apply(np.array([1.0, 0.0, 0.0])).round(12) + 0.0
    array([0., 1., 0.])
    """

    quat: Any

    @classmethod
    def from_quat(cls, quat: Any, *, scalar_first: bool = False) -> Rotation:
        """From quaternions (x, y, z, w), or (w, x, y, z), which are normalised."""
        q = _vectors(quat, 4, "quat")
        if scalar_first:
            q = np.concatenate([q[..., 1:], q[..., :1]], axis=-1)
        return cls(q / np.linalg.norm(q, axis=-1, keepdims=True))

    @classmethod
    def from_rotvec(cls, rotvec: Any, degrees: bool = False) -> Rotation:
        """From vectors along the axis, with the angle as their length."""
        v = _vectors(rotvec, 3, "rotvec")
        if degrees:
            v = v * (math.pi / 180)
        square = np.sum(v * v, axis=-1, keepdims=True)
        cosine = 1 - 0.5 * square * 4 * _sinc_quarter(square)
        return cls(np.concatenate([v * _sinc_half(square), cosine], axis=-1))

    @classmethod
    def from_mrp(cls, mrp: Any) -> Rotation:
        """From modified Rodrigues parameters: vectors along the axis of length tan(angle/4)."""
        m = _vectors(mrp, 3, "mrp")
        square = np.sum(m * m, axis=-1, keepdims=True)
        return cls(np.concatenate([2 * m, 1 - square], axis=-1) / (1 + square))

    @classmethod
    def from_matrix(cls, matrix: Any) -> Rotation:
        """From orthogonal matrices of shape (3, 3) or (n, 3, 3)."""
        m = array_operand(inexact(matrix))
        if m.ndim not in (2, 3) or m.shape[-2:] != (3, 3):
            raise ShapeError(f"Expected `matrix` to have shape (3, 3) or (N, 3, 3), got {m.shape}")
        trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
        rows = []
        for i in range(3):  # 4 times the products of q_i with all of q
            j, k = (i + 1) % 3, (i + 2) % 3
            row: list[Any] = [None] * 4
            row[i] = 1 - trace + 2 * m[..., i, i]
            row[j], row[k] = m[..., j, i] + m[..., i, j], m[..., k, i] + m[..., i, k]
            row[3] = m[..., k, j] - m[..., j, k]
            rows.append(np.stack(row, axis=-1))
        last = [m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1], 1 + trace]
        rows.append(np.stack(last, axis=-1))
        table = np.stack(rows, axis=-2)
        sizes = np.stack([m[..., 0, 0], m[..., 1, 1], m[..., 2, 2], trace], axis=-1)
        best = np.argmax(STOP_GRADIENT.bind(sizes), axis=-1)
        chosen = np.take_along_axis(table, np.reshape(best, (*m.shape[:-2], 1, 1)), axis=-2)[..., 0, :]
        return cls(chosen / np.linalg.norm(chosen, axis=-1, keepdims=True))

    @classmethod
    def from_euler(cls, seq: str, angles: Any, degrees: bool = False) -> Rotation:
        """From angles about one to three axes: "xyz" about fixed ones, "XYZ" about those that turn too."""
        axes = seq.lower()
        intrinsic = seq.isupper()
        if not 1 <= len(seq) <= 3 or set(axes) - set("xyz") or not (intrinsic or seq.islower()):
            raise ValueError(f"Expected axes from {{'x', 'y', 'z'}} or {{'X', 'Y', 'Z'}}, 3 at most, got {seq}")
        if any(a == b for a, b in pairwise(axes)):
            raise ValueError(f"Expected consecutive axes to be different, got {seq}")
        a = array_operand(inexact(angles))
        if degrees:
            a = a * (math.pi / 180)
        if len(seq) == 1:
            a = a[..., None] if a.ndim < 2 and a.shape != (1,) else a
        elif a.ndim not in (1, 2) or a.shape[-1] != len(seq):
            raise ShapeError(f"Expected `angles` to have shape ({len(seq)},) or (N, {len(seq)}), got {a.shape}")
        out: Any = None
        for i, name in enumerate(axes):
            unit = np.eye(3, dtype=a.dtype)["xyz".index(name)]
            half = a[..., i : i + 1] / 2
            q = np.concatenate([np.sin(half) * unit, np.cos(half)], axis=-1)
            out = q if out is None else _product(out, q) if intrinsic else _product(q, out)
        return cls(out)

    @classmethod
    def identity(cls, num: int | None = None, dtype: Any = float) -> Rotation:
        """The rotation that does nothing, or `num` of them."""
        unit = np.array([0.0, 0.0, 0.0, 1.0], dtype)
        return cls(unit if num is None else np.tile(unit, (num, 1)))

    @classmethod
    def concatenate(cls, rotations: Sequence[Rotation]) -> Rotation:
        """All of these rotations, one after the other."""
        return cls(np.concatenate([np.reshape(r.quat, (-1, 4)) for r in rotations]))

    @classmethod
    def random(cls, random_key: Any, num: int | None = None) -> Rotation:
        """A rotation, or `num` of them, drawn uniformly with a key of `funcgrad.random`."""
        return cls.from_quat(normal(random_key, (4,) if num is None else (num, 4), np.float64))

    @property
    def single(self) -> bool:
        """Whether this is one rotation."""
        return self.quat.ndim == 1

    def as_quat(self, canonical: bool = False, scalar_first: bool = False) -> Any:
        """Quaternions; with `canonical` those of the two whose first number that is not 0, from w on, is positive."""
        q = self.quat
        if canonical:
            x, y, z, w = (STOP_GRADIENT.bind(q[..., i]) for i in range(4))
            first = np.where(w != 0, w, np.where(x != 0, x, np.where(y != 0, y, z)))
            q = np.where((first < 0)[..., None], -q, q)
        return np.concatenate([q[..., 3:], q[..., :3]], axis=-1) if scalar_first else q

    def as_matrix(self) -> Any:
        """Matrices of shape (..., 3, 3)."""
        x, y, z, w = (self.quat[..., i] for i in range(4))
        rows = [
            [x * x - y * y - z * z + w * w, 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), y * y - x * x - z * z + w * w, 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), z * z - x * x - y * y + w * w],
        ]
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)

    def _signed(self) -> tuple[Any, Any]:
        """The vector and the number of those quaternions whose number is not negative."""
        q = np.where(STOP_GRADIENT.bind(self.quat[..., 3:]) < 0, -self.quat, self.quat)
        return q[..., :3], q[..., 3:]

    def as_rotvec(self, degrees: bool = False) -> Any:
        """Vectors along the axis, with the angle as their length, at most π."""
        v, w = self._signed()
        square = np.sum(v * v, axis=-1, keepdims=True)
        small = square < _SMALL**2
        size = np.sqrt(np.where(small, 1.0, square))
        s = np.where(small, square, 0.0)
        series = 2 + s / 3 + 3 * s * s / 20 + 5 * s**3 / 56  # 2 arcsin(size)/size
        scale = np.where(small, series, 2 * np.arctan2(size, np.where(small, 1.0, w)) / size)
        return v * scale * (180 / math.pi if degrees else 1.0)

    def as_mrp(self) -> Any:
        """Modified Rodrigues parameters: vectors along the axis of length tan(angle/4), at most 1."""
        v, w = self._signed()
        return v / (1 + w)

    def as_euler(self, seq: str, degrees: bool = False) -> Any:
        """Three angles about the axes `seq`, as in `from_euler`; where they are not unique, the third is 0.

        By the quaternion itself: Bernardes & Viollet, Quaternion to Euler angles conversion (2022).
        """
        axes = seq.lower()
        if len(seq) != 3 or not (seq.isupper() or seq.islower()) or set(axes) - set("xyz"):
            raise ValueError(f"Expected 3 axes, got {seq}.")
        if any(a == b for a, b in pairwise(axes)):
            raise ValueError(f"Expected consecutive axes to be different, got {seq}")
        extrinsic = seq.islower()
        i, j, k = ("xyz".index(c) for c in (axes if extrinsic else axes[::-1]))
        symmetric = i == k
        if symmetric:
            k = 3 - i - j
        sign = (i - j) * (j - k) * (k - i) // 2
        q = [self.quat[..., n] for n in range(4)]
        if symmetric:
            a, b, c, d = q[3], q[i], q[j], q[k] * sign
        else:
            a, b, c, d = q[3] - q[j], q[i] + q[k] * sign, q[j] + q[3], q[k] * sign - q[i]
        middle = 2 * np.arctan2(_hypot(c, d), _hypot(a, b))
        level = STOP_GRADIENT.bind(middle)
        low, high = np.abs(level) <= 1e-7, np.abs(level - math.pi) <= 1e-7
        safe = [np.where(low | high, one, v) for v, one in ((a, 1.0), (b, 0.0), (c, 1.0), (d, 0.0))]
        plus, minus = np.arctan2(safe[1], safe[0]), np.arctan2(safe[3], safe[2])
        at_low = 2 * np.arctan2(np.where(low, b, 0.0), np.where(low, a, 1.0))
        at_high = 2 * np.arctan2(np.where(high, d, 0.0), np.where(high, c, 1.0))
        zero = np.zeros_like(plus)
        lock = np.where(low, at_low, at_high if not extrinsic else -at_high)
        first, third = plus - minus, plus + minus
        if extrinsic:
            first, third = np.where(low | high, lock, first), np.where(low | high, zero, third)
        else:
            first, third = np.where(low | high, zero, first), np.where(low | high, lock, third)
            first, third = third, first
            first, third = np.where(low | high, lock, first), np.where(low | high, zero, third)
        if not symmetric:
            if extrinsic:
                third = third * sign
            else:
                first = first * sign
            middle = middle - math.pi / 2
        out = np.stack([_wrapped(first), middle, _wrapped(third)], axis=-1)
        return out * (180 / math.pi) if degrees else out

    def apply(self, vectors: Any, inverse: bool = False) -> Any:
        """Vectors of shape (3,) or (n, 3), turned."""
        v = _vectors(vectors, 3, "vectors")
        q, v = inexacts(self.quat, v)
        axis, w = (-q[..., :3] if inverse else q[..., :3]), q[..., 3:]
        axis, w, v = np.broadcast_arrays(axis, w, v)
        twice = 2 * np.cross(axis, v)
        return v + w * twice + np.cross(axis, twice)

    def inv(self) -> Rotation:
        """The rotations back."""
        return Rotation(self.quat * np.array([-1.0, -1.0, -1.0, 1.0], self.quat.dtype))

    def magnitude(self) -> Any:
        """The angles, from 0 to π."""
        q = self.quat
        return 2 * np.arctan2(_hypot(_hypot(q[..., 0], q[..., 1]), q[..., 2]), np.abs(q[..., 3]))

    def mean(self, weights: Any = None) -> Rotation:
        """The rotation with the least sum of squared distances (of matrices) from these."""
        q = np.reshape(self.quat, (-1, 4))
        w = np.ones(q.shape[0], q.dtype) if weights is None else array_operand(inexact(weights))
        if w.shape != (q.shape[0],):
            raise ShapeError(f"Expected `weights` to have shape ({q.shape[0]},), got {w.shape}")
        _, vectors = np.linalg.eigh(np.matmul(q.T * w, q))
        return Rotation(vectors[:, -1])

    def __mul__(self, other: object) -> Rotation:
        """The composition: first the other rotations, then these."""
        if not isinstance(other, Rotation):
            return NotImplemented
        p, q = inexacts(self.quat, other.quat)
        p, q = np.broadcast_arrays(p, q)
        out = _product(p, q)
        return Rotation(out / np.linalg.norm(out, axis=-1, keepdims=True))

    def __getitem__(self, indexer: Any) -> Any:
        """Some of n rotations."""
        if self.single:
            raise TypeError("Single rotation is not subscriptable.")
        return Rotation(getitem(self.quat, indexer))

    def __len__(self) -> int:
        """The number of rotations; raises TypeError for a single one."""
        if self.single:
            raise TypeError("Single rotation has no len().")
        return self.quat.shape[0]


def _sinc_quarter(square: Any) -> Any:
    """(sin(a/4)/a)² of a², smooth at 0."""
    small = square < _SMALL**2
    angle = np.sqrt(np.where(small, 1.0, square))
    s = np.where(small, square, 0.0)
    series = 1 / 16 - s / 768 + s * s / 92160
    return np.where(small, series, (np.sin(angle / 4) / angle) ** 2)


def _hypot(a: Any, b: Any) -> Any:
    """√(a² + b²), with slope 0 at 0."""
    square = a * a + b * b
    none = square == 0
    return np.where(none, 0.0, np.sqrt(np.where(none, 1.0, square)))


def _wrapped(angle: Any) -> Any:
    return np.where(angle < -math.pi, angle + 2 * math.pi, np.where(angle > math.pi, angle - 2 * math.pi, angle))


class _Arcs(NamedTuple):
    """The fields of `Slerp`."""

    times: Any
    timedelta: Any
    rotations: Rotation
    rotvecs: Any


class Slerp(_Arcs):
    """Interpolation of rotations along great arcs: `Slerp(times, rotations)`, or `Slerp.init`. It is a pytree.

    >>> turns = Rotation.from_euler("z", np.array([0.0, 90.0]), degrees=True)
    >>> Slerp(np.array([0.0, 1.0]), turns)(0.5).as_euler("xyz", degrees=True).round(9) + 0.0
    array([ 0.,  0., 45.])
    """

    __slots__ = ()

    def __new__(cls, times: Any, *fields: Any, rotations: Any = None) -> Slerp:
        if len(fields) == 3:  # the others of its own
            return super().__new__(cls, times, *fields)
        return cls.init(times, *fields) if rotations is None else cls.init(times, rotations)

    @classmethod
    def init(cls, times: Any, rotations: Rotation) -> Slerp:
        """From increasing times of shape (n,), and n rotations."""
        t = array_operand(inexact(times))
        if rotations.single or t.shape != rotations.quat.shape[:1] or t.shape[0] < 2:
            raise ShapeError(f"Slerp: times of shape {t.shape} for rotations of shape {rotations.quat.shape[:-1]}")
        start, stop = Rotation(rotations.quat[:-1]), Rotation(rotations.quat[1:])
        return cls(t, np.diff(t), start, (start.inv() * stop).as_rotvec())

    def __call__(self, times: Any) -> Rotation:
        """The rotations at these times, of shape () or (m,); beyond the ends they go on turning."""
        t = array_operand(inexact(times))
        index = np.searchsorted(STOP_GRADIENT.bind(self.times), STOP_GRADIENT.bind(t)) - 1
        index = np.clip(index, 0, self.timedelta.shape[0] - 1)
        part = (t - getitem(self.times, index)) / getitem(self.timedelta, index)
        turn = Rotation.from_rotvec(part[..., None] * getitem(self.rotvecs, index))
        return Rotation(getitem(self.rotations.quat, index)) * turn
