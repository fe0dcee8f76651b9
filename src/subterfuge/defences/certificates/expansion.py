"""A duel about a point, order by order, with what all the orders left out can add up to.

With ``e(u) = exp(-gamma |u|^2)`` the kernel of ``x + h`` and ``s`` is ``e(h) e(s - x) exp(2 gamma h.(s -
x))``, so ``exp(gamma |h|^2) (f(x + h) - b)`` is a sum of homogeneous polynomials ``p_n(h)``,

    p_n(h) = (2 gamma)^n / n! * sum over i of w_i e(s_i - x) ((s_i - x).h)^n.

They are orthogonal in the kernel's space: the squares of their norms ``q_n`` add up to that of ``w``, and
``|p_n(h)| <= q_n sqrt((2 gamma)^n / n!) |h|^n``. The first orders are bounded better than by their norms:
one and two exactly, three and four by the spectral norms of their unfolded tensors. All of it is worked out
for ``h = A u``, ``|u| <= 1``, with any matrix A, so that the set of displacements may be an ellipsoid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from subterfuge.defences.certificates.duelling import Array, Duel
from subterfuge.defences.certificates.simple import largest

# Orders from five up to this one are bounded by their own norms, those above all together by that of w.
LAST = 20


@dataclass(frozen=True)
class Expansion:
    """A duel about a point, turned so that its value there is positive, in u. Made by :func:`expanded`.

    Attributes
    ----------
    value : float
        At the point, less what rounding may have added.
    gradient : array, shape (k,)
    curves, axes : array, shape (k,) and (k, k)
        Eigenvalues, ascending, and eigenvectors (columns) of the second-order term.
    higher : tuple of (int, float)
        For each order from 3 on, what ``-p_n`` is at most at ``|u| = 1``.
    longest : float
        Greatest ``|h|^2`` at ``|u| = 1``.
    norm, bias, gamma : float
    """

    value: float
    gradient: Array
    curves: Array
    axes: Array
    higher: tuple[tuple[int, float], ...]
    longest: float
    norm: float
    bias: float
    gamma: float

    def remainder(self, radius: float) -> float:
        """What the orders from three on may take away for ``|u| <= radius`` at most."""
        t = self.gamma * self.longest * radius**2
        if t > 100:
            return math.inf
        known = sum(most * radius**order for order, most in self.higher)
        rest = math.sqrt(exponential_tail(2 * t, LAST + 1))
        return known + self.norm * rest + max(0.0, -self.bias) * exponential_tail(t, 2)

    def least(self, radius: float) -> float:
        """A lower bound of ``exp(gamma |h|^2) f(x + h)`` for ``|u| <= radius``; falls as that grows."""
        if radius == 0:
            return self.value
        slope = (self.gradient @ self.axes) ** 2
        lowest = max(0.0, -float(self.curves[0]))
        # Any multiplier above ``lowest`` gives a bound; the best is near the gradient's size over the radius.
        scale = math.sqrt(float(slope.sum())) / (2 * radius) + lowest * 1e-6 + 1e-12
        multipliers = np.concatenate([lowest + scale * _LADDER, [lowest * (1 + 1e-9) + 1e-12]])
        bounds = -0.25 * (slope / (self.curves + multipliers[:, None])).sum(1) - multipliers * radius**2
        return self.value + float(bounds.max()) - self.remainder(radius)

    def least_against(self, first: float) -> float:
        """As ``least(1)``, where the first order is known to take away ``first`` at most."""
        return self.value - first + min(0.0, float(self.curves[0])) - self.remainder(1.0)

    def radius(self) -> float:
        """Largest ``|u|`` within which the duel provably keeps its sign."""
        return largest(lambda radius: self.least(radius) > 0) if self.value > 0 else 0.0


_LADDER = np.concatenate([np.geomspace(1e-6, 0.3, 40), np.geomspace(0.3, 3, 160), np.geomspace(3, 100, 20)])


def exponential_tail(t: float, first: int) -> float:
    """``sum over n >= first of t^n / n!``, without cancellation, rounded up.

    Examples
    --------
    >>> abs(exponential_tail(0.5, 2) - (math.exp(0.5) - 1.5)) < 1e-12
    True
    """
    term = math.exp(first * math.log(t) - math.lgamma(first + 1)) if t > 0 else 0.0
    total, n = term, first
    while term > 1e-17 * total and n < first + 2000:
        n += 1
        term *= t / n
        total += term
    return total * (1 + 1e-12)


def expanded(duel: Duel, x: Array, stretch: Array | None = None) -> Expansion:
    """Expand a duel about a standardised point ``x``, (d,), in u of ``h = stretch @ u``, (d, k), or in h.

    Examples
    --------
    >>> from subterfuge.defences.certificates.duelling import duel
    >>> one = duel(0, 1, np.array([[0.0]]), np.array([2.0]), -1.0, 0.5)
    >>> round(expanded(one, np.array([0.0])).radius(), 3)  # the sign truly changes at 1.1774
    1.177
    >>> round(expanded(one, np.array([0.0]), np.array([[0.5]])).radius(), 3)
    2.355
    """
    value = float(duel(x[None])[0])
    if value < 0:
        duel, value = duel.turned(), -value
    away = duel.vectors - x
    pull = duel.weights * np.exp(-duel.gamma * np.einsum("ij,ij->i", away, away))
    stretch = np.eye(len(x)) if stretch is None else stretch
    u, square = away @ stretch, stretch.T @ stretch
    twice = 2 * duel.gamma
    second = twice**2 / 2 * (u.T * pull) @ u + duel.bias * duel.gamma * square
    curves, axes = np.linalg.eigh((second + second.T) / 2)
    lost = 1e-12 * twice**2 * float(np.abs(pull) @ np.einsum("ij,ij->i", u, u))
    return Expansion(
        value=value - duel.slack,
        gradient=twice * (pull @ u),
        curves=curves - lost - 1e-12 * float(np.abs(curves).max()),
        axes=axes,
        higher=tuple(_higher(u, pull, duel.gamma)),
        longest=float(np.linalg.eigvalsh(square)[-1]) * (1 + 1e-12),
        norm=duel.norm,
        bias=duel.bias,
        gamma=duel.gamma,
    )


def _higher(u: Array, pull: Array, gamma: float) -> list[tuple[int, float]]:
    """For orders 3 to LAST what each may take away at ``|u| = 1``."""
    twice = 2 * gamma
    gram = u @ u.T
    powers = gram * gram
    out = []
    size = np.sqrt(np.einsum("ij,ij->i", u, u))
    for order in range(3, LAST + 1):
        powers *= gram
        factor = twice**order / math.factorial(order)
        # The norm of the tensor, with room for the cancellation in the sum of signed terms.
        lost = 1e-13 * float(np.abs(pull) @ size**order) ** 2
        most = factor * math.sqrt(max(0.0, float(pull @ powers @ pull)) + lost)
        if order == 3:
            most = min(most, factor * _third(u, pull))
        elif order == 4:
            most = min(most, factor * _fourth(u, pull))
        out.append((order, most))
    return out


def _third(u: Array, pull: Array) -> float:
    """Spectral norm of the tensor ``sum pull u x u x u``, unfolded to (d, d^2)."""
    pairs = _pairs(u)
    unfolded = (u.T * pull) @ pairs
    return float(np.linalg.svd(unfolded, compute_uv=False)[0]) * (1 + 1e-9) + 1e-13 * float(
        np.abs(pull) @ (u * u).sum(1) ** 1.5
    )


def _fourth(u: Array, pull: Array) -> float:
    """What ``-sum pull (u.h)^4`` is at most for ``|h| = 1``: least eigenvalue of the tensor as a matrix."""
    pairs = _pairs(u)
    values = np.linalg.eigvalsh((pairs.T * pull) @ pairs)
    return max(0.0, -float(values[0])) + 1e-13 * float(np.abs(pull) @ (u * u).sum(1) ** 2)


def _pairs(u: Array) -> Array:
    """The symmetric product u x u without repetition, of the same inner product; shape (n, d (d + 1) / 2)."""
    first, second, weight = _places(u.shape[1])
    return np.asarray(u[:, first] * u[:, second] * weight)


@lru_cache(maxsize=8)
def _places(dimensions: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    first, second = np.triu_indices(dimensions)
    return first, second, np.where(first == second, 1.0, math.sqrt(2))
