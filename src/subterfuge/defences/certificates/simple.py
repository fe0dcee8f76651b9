"""Two bounds for one duel that need no derivative: the closed form in the RKHS, and every kernel's worst."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from subterfuge.defences.certificates.duelling import Array, Duel

# By this a radius is taken back, so that no rounding in it can matter.
SHORTER = 1.0 - 1e-9
# No larger radius is looked for, in standardised units.
FARTHEST = 1e3


def rkhs_radius(duel: Duel, x: Array) -> float:
    """Distance from ``x`` within which the sign of a duel provably stays, by its norm in the RKHS alone.

    The images of two points at distance r are ``sqrt(2 - 2 exp(-gamma r^2))`` apart, and a duel cannot change
    by more than its norm times that. Solved for the value m at ``x``:
    ``r = sqrt(-ln(1 - m^2 / (2 |w|^2)) / gamma)``.

    Parameters
    ----------
    duel : Duel
    x : array, shape (d,)
        A standardised point.

    Returns
    -------
    float
        In standardised units; infinite where the bias alone decides.

    References
    ----------
    Hein and Andriushchenko, "Formal guarantees on the robustness of a classifier against adversarial
    manipulation", NeurIPS 2017, section 2.2.

    Examples
    --------
    >>> from subterfuge.defences.certificates.duelling import duel
    >>> one = duel(0, 1, np.array([[0.0]]), np.array([2.0]), -1.0, 0.5)
    >>> round(rkhs_radius(one, np.array([0.0])), 4)  # the sign truly changes at 1.1774
    0.5168
    """
    value = abs(float(duel(x[None])[0])) - duel.slack
    if value <= 0:
        return 0.0
    if duel.norm == 0:
        return math.inf
    left = 1 - value**2 / (2 * duel.norm**2)
    return math.inf if left <= 0 else SHORTER * math.sqrt(-math.log(left) / duel.gamma)


def interval_radius(duel: Duel, x: Array) -> float:
    """Distance within which the sign of a duel stays if every kernel took its worst value by itself.

    A vector at distance d of ``x`` is at least d - r and at most d + r from any point within r; the
    vectors that speak for the sign are taken at their farthest, those against it at their nearest.

    Parameters and result are those of :func:`rkhs_radius`.
    """
    value = float(duel(x[None])[0])
    side = 1.0 if value > 0 else -1.0
    distance = np.linalg.norm(duel.vectors - x, axis=1)
    weights = side * duel.weights
    ours, theirs = weights > 0, weights < 0

    def least(radius: float) -> float:
        far, near = distance[ours] + radius, np.maximum(distance[theirs] - radius, 0)
        speaking = weights[ours] @ np.exp(-duel.gamma * far**2)
        against = weights[theirs] @ np.exp(-duel.gamma * near**2)
        return float(speaking + against) + side * duel.bias - duel.slack

    return largest(lambda radius: least(radius) > 0)


def largest(holds: Callable[[float], bool], *, most: float = FARTHEST, parts: int = 60) -> float:
    """The largest radius found at which ``holds(radius)`` is true, 0 where none is.

    For what holds at every smaller radius too; what is returned was itself asked about, and is taken back by
    a hair. Infinite where ``most`` holds.

    Examples
    --------
    >>> round(largest(lambda radius: radius < 2), 6)
    2.0
    """
    if holds(most):
        return math.inf
    low, high = 0.0, most
    trial = 1e-4
    while trial < most:
        if not holds(trial):
            high = trial
            break
        low, trial = trial, trial * 4
    for _ in range(parts):
        if high - low <= 1e-6 * high or high < 1e-12:
            break
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return SHORTER * low
