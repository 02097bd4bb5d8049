"""The minimum of quadratics over a box, exactly, whether they are convex or not."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FLAT = 1e-10
"""Relative determinant below which a face has no stationary point of its own."""


class Quadratic(NamedTuple):
    """R functions ``c + gᵀu + ½·uᵀHu`` of d variables."""

    constant: Floats
    """``[R]``"""
    gradient: Floats
    """``[R, d]``"""
    hessian: Floats
    """``[R, d, d]``, symmetric."""

    def at(self, u: Floats) -> Floats:
        """Return the values ``[R]`` at points ``[R, d]``."""
        curved = np.einsum("ri,rij,rj->r", u, self.hessian, u)
        return self.constant + (self.gradient * u).sum(axis=1) + curved / 2

    def on_plane(self, origin: Floats, directions: Floats) -> Quadratic:
        """Return them as functions of w, with ``u = origin + directions·w``.

        Args:
            origin: ``[d]``.
            directions: ``[d, e]`` for e variables w.
        """
        slope = self.gradient + self.hessian @ origin
        start = np.broadcast_to(origin, self.gradient.shape)
        return Quadratic(
            self.at(start), slope @ directions, directions.T @ self.hessian @ directions
        )


def box_minimum(quadratic: Quadratic) -> tuple[Floats, Floats]:
    """Minimise over ``[−1, 1]^d``.

    The minimum is a stationary point of one of the 3^d faces, on which every variable is at its
    low end, at its high end or free; all of them are tried. On a face that is flat in some
    direction, a minimum extends to that face's own boundary, so it is found there.

    Returns:
        Where, ``[R, d]``, and the values there, ``[R]``.

    >>> bowl = Quadratic(np.zeros(1), np.array([[-4.0, 0.0]]), 2 * np.eye(2)[None])
    >>> where, value = box_minimum(bowl)  # u₁² + u₂² − 4u₁ falls up to the edge u₁ = 1
    >>> where.tolist(), value.tolist()
    ([[1.0, 0.0]], [-3.0])
    """
    count, d = quadratic.gradient.shape
    best, where = np.full(count, np.inf), np.zeros((count, d))
    for face in product((-1.0, 1.0, None), repeat=d):
        u, exists = _stationary(quadratic, face)
        value = np.where(exists, quadratic.at(u), np.inf)
        better = value < best
        best, where = np.where(better, value, best), np.where(better[:, None], u, where)
    return where + 0.0, best  # no −0.0


def _stationary(quadratic: Quadratic, face: tuple[float | None, ...]) -> tuple[Floats, NDArray]:
    """Return the stationary points ``[R, d]`` of a face, and which of them lie on it."""
    count, d = quadratic.gradient.shape
    u = np.zeros((count, d)) + np.array([0.0 if end is None else end for end in face])
    free = [i for i, end in enumerate(face) if end is None]
    exists = np.ones(count, dtype=bool)
    if free:
        block = quadratic.hessian[:, free][:, :, free]
        pull = -(quadratic.gradient + np.einsum("rij,rj->ri", quadratic.hessian, u))[:, free]
        size = np.abs(quadratic.hessian).max(axis=(1, 2)) ** len(free)
        exists = np.abs(np.linalg.det(block)) > FLAT * size
        block = np.where(exists[:, None, None], block, np.eye(len(free)))
        u[:, free] = np.linalg.solve(block, pull[..., None])[..., 0]
        exists &= (np.abs(u) <= 1).all(axis=1)
    return u, exists
