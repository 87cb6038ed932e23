"""Jacobians, float64: bundle adjustment and the skeleton of a hand, in the manner of GradBench's problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.programs import program

__all__ = ["WORKLOADS"]

STEP = 1e-100  # of derivatives by complex steps


def bundle_data(n: int) -> tuple[np.ndarray, np.ndarray]:
    """For each observation a camera (11 numbers), a point (3) and a weight, and where the point was seen."""
    rng = np.random.RandomState(13)
    cameras = 0.3 * rng.randn(n, 11)
    cameras[:, 6] += 2.0  # the focal length
    points = rng.randn(n, 3) + np.array([0.0, 0.0, 6.0])
    return np.concatenate([cameras, points, rng.rand(n, 1) + 0.5], 1), rng.randn(n, 2)


def project(xp: Any, p: Any) -> Any:
    """Where a camera sees a point: Rodrigues' rotation, perspective, radial distortion; over any leading axes."""
    rotation, centre, point = p[..., 0:3], p[..., 3:6], p[..., 11:14]
    x = point - centre
    square = xp.sum(rotation**2, -1)
    angle = xp.sqrt(square)[..., None]
    axis = rotation / angle
    a0, a1, a2 = axis[..., 0], axis[..., 1], axis[..., 2]
    x0, x1, x2 = x[..., 0], x[..., 1], x[..., 2]
    turned = xp.stack([a1 * x2 - a2 * x1, a2 * x0 - a0 * x2, a0 * x1 - a1 * x0], -1)
    along = xp.sum(axis * x, -1)[..., None] * (1 - xp.cos(angle))
    seen = x * xp.cos(angle) + turned * xp.sin(angle) + axis * along
    flat = seen[..., :2] / seen[..., 2:3]
    radius = xp.sum(flat**2, -1)[..., None]
    return flat * (1 + p[..., 9:10] * radius + p[..., 10:11] * radius**2) * p[..., 6:7] + p[..., 7:9]


def make_bundle(lib: Any, xp: Any) -> Callable[..., Any]:
    """The Jacobian of each weighted error of reprojection by its 15 parameters."""
    return lib.vmap(lib.jacrev(lambda p, seen: p[14] * (project(xp, p) - seen)))


def bundle_by_hand(p: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """By complex steps, all observations at once."""
    found = np.empty((len(p), 2, 15))
    for j in range(15):
        moved = p.astype(np.complex128)
        moved[:, j] += 1j * STEP
        found[:, :, j] = (moved[:, 14:] * (project(np, moved) - seen)).imag / STEP
    return found


bundle = program(
    "bundle",
    "Jacobians of 1000 reprojection errors by camera, point and weight: vmap(jacrev).",
    cases={"1000 observations": {"n": 1000}},
    tiny={"n": 5},
    rtol=1e-10,
    data=bundle_data,
    make=make_bundle,
    by_hand=bundle_by_hand,
    gradient=False,
)

FINGERS, BONES = 5, 4


def hand_data(n: int) -> tuple[np.ndarray, ...]:
    """Angles of the joints; the bones' lengths; vertices in each bone's frame, their weights; where they were seen."""
    rng = np.random.RandomState(14)
    angles = 0.3 * rng.randn(3 + FINGERS * (BONES + 1))
    bones = rng.rand(BONES, FINGERS, 3)
    vertices, weights = 0.2 * rng.randn(BONES, FINGERS, n, 3), rng.rand(BONES, FINGERS, n)
    return angles, bones, vertices, weights / np.sum(weights, (0, 1)), rng.randn(n, 3)


def _turn(xp: Any, angle: Any, axis: int) -> Any:
    """Rotations about one axis, over the axes of `angle`."""
    c, s, zero, one = xp.cos(angle), xp.sin(angle), xp.zeros_like(angle), xp.ones_like(angle)
    rows = [[one, zero, zero], [zero, c, -s], [zero, s, c]]
    order = [(i - axis) % 3 for i in range(3)]
    return xp.stack([xp.stack([rows[i][j] for j in order], -1) for i in order], -2)


def skin(xp: Any, angles: Any, bones: Any, vertices: Any, weights: Any, seen: Any) -> Any:
    """The distances of the vertices, carried by the bones, from where they were seen."""
    flex, spread = angles[3 : 3 + FINGERS * BONES].reshape(BONES, FINGERS), angles[3 + FINGERS * BONES :]
    wrist = _turn(xp, angles[0], 0) @ _turn(xp, angles[1], 1) @ _turn(xp, angles[2], 2)
    rotation, place = wrist @ _turn(xp, spread, 2), xp.zeros_like(bones[0])
    total = -seen
    for bone in range(BONES):
        rotation = rotation @ _turn(xp, flex[bone], 0)
        place = place + xp.einsum("fij,fj->fi", rotation, bones[bone])
        moved = xp.einsum("fij,fnj->fni", rotation, vertices[bone]) + place[:, None, :]
        total = total + xp.sum(weights[bone][:, :, None] * moved, 0)
    return total


def make_hand(lib: Any, xp: Any) -> Callable[..., Any]:
    """The Jacobian of all distances by all angles, forwards."""
    return lib.jacfwd(lambda angles, *rest: skin(xp, angles, *rest))


def hand_by_hand(angles: np.ndarray, *rest: np.ndarray) -> np.ndarray:
    """By complex steps, one angle after the other."""
    columns = [skin(np, angles + 1j * STEP * unit, *rest).imag / STEP for unit in np.eye(angles.size)]
    return np.stack(columns, -1)


hand = program(
    "hand",
    "Jacobian of 100 vertices on the 20 bones of a hand by 28 angles: jacfwd.",
    cases={"100 vertices": {"n": 100}},
    tiny={"n": 3},
    rtol=1e-10,
    data=hand_data,
    make=make_hand,
    by_hand=hand_by_hand,
    gradient=False,
)

WORKLOADS = (bundle, hand)
