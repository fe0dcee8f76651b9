"""How far a sum of bounded changes can go on one shared budget: Lagrange's dual, tabulated.

Many parts (cells of a spectrogram, frames, samples) may each be changed by ``psi_i(h_i)`` at a price of
``h_i^2``, and the prices may add up to ``budget``. For every multiplier ``m >= 0`` the sum of changes is at
most

    D(m) + m * budget,    D(m) = sum over i of the greatest psi_i(h) - m h^2,

whatever the ``psi_i`` are. D is convex and falls, so that between two multipliers its chord lies above it:
a table of it serves every budget and every multiplier soundly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subterfuge.defences.certificates.duelling import Array


@dataclass(frozen=True)
class Curves:
    """Some functions D, each tabulated at the same multipliers.

    Attributes
    ----------
    multipliers : array, shape (n,)
        Ascending, in equal ratios.
    values : array, shape (rows, n)
        D at each.
    """

    multipliers: Array
    values: Array

    def dual(self, weights: Array) -> tuple[Array, Array]:
        """D of ``sum(weights * changes)`` at its own multipliers; both of shape (n,).

        ``weights`` > 0, one a row, which all share the budget.
        """
        # weight * psi(h) - m h^2 is weight times that of the multiplier m / weight: as many steps up the
        # table, and as much of one more, at every m.
        n = len(self.multipliers)
        ratio = float(np.log(self.multipliers[-1] / self.multipliers[0])) / (n - 1)
        far = np.log(weights.max() / weights) / ratio
        whole = np.minimum(far.astype(np.int64), n)
        share = np.expm1((far - whole) * ratio) / np.expm1(ratio)
        share = np.clip(share, 0, 1)[:, None]
        place = np.minimum(np.arange(n) + whole[:, None], n - 1)
        low = np.take_along_axis(self.values, place, 1)
        high = np.take_along_axis(self.values, np.minimum(place + 1, n - 1), 1)
        return self.multipliers * weights.max(), weights @ (low + share * (high - low))

    def most(self, weights: Array, budgets: Array) -> Array:
        """Most that ``sum(weights * changes)`` can be on each of the budgets, shape (budgets,).

        ``weights`` >= 0, one a row, which all share the budget.
        """
        used = weights > 0
        if not used.any():
            return np.zeros_like(budgets)
        at, dual = Curves(self.multipliers, self.values[used]).dual(weights[used])
        return np.asarray((dual + budgets[:, None] * at).min(1)) * (1 + 1e-9)


def stepwise(costs: Array, gains: Array, multipliers: Array) -> Array:
    """D of parts whose change is at most a step: ``gains[i, p]`` for costs up to ``costs[i, p]``.

    ``costs`` and ``gains`` (parts, p) ascend; beyond the last cost the last gain holds. Shape (multipliers,).
    """
    # Up to costs[p] the gain is gains[p], and it begins to be had just over costs[p - 1].
    least = np.concatenate([np.zeros((len(costs), 1)), costs[:, :-1]], axis=1)
    return np.array([np.maximum((gains - m * least).max(1), 0).sum() for m in multipliers])


# Parts of a budget at which a row by itself is taken, ascending to the whole.
STEPS = np.concatenate([np.geomspace(1e-8, 1e-3, 40)[:-1], np.geomspace(1e-3, 1, 100)])


def half_axes(curves: Curves, budget: float) -> Array:
    """Half-axes of an ellipsoid that holds the rows' changes on one budget, shape (rows,).

    For any numbers ``a_m > 0``, the ellipsoid ``sum (z_m / a_m)^2 <= K`` holds them if K is the most that
    the left side can be. What one row's change can be for a part of the budget is taken at steps of that
    part, each at the price of the step below. The ``a_m`` tried go as powers of what a row can do with some
    part of the budget; the square would be right if changes went as the root of it.
    """
    parts = budget * STEPS
    each = np.stack([Curves(curves.multipliers, row[None]).most(np.ones(1), parts) for row in curves.values])
    best, least = np.zeros(len(each)), np.inf
    for part in (0.5, 0.1):
        reach = each[:, int(np.searchsorted(STEPS, part))]
        for power in (1.0, 1.3, 1.6, 2.0):
            square = np.maximum(reach, 1e-6 * max(float(reach.max()), 1e-300)) ** power
            square *= _most_squares(each, 1 / square, parts)
            if square.sum() < least:
                best, least = np.sqrt(square), float(square.sum())
    return best


def _most_squares(each: Array, weights: Array, parts: Array) -> float:
    """Most that ``sum(weights * changes^2)`` can be."""
    gains = weights[:, None] * each**2
    budget = float(parts[-1])
    typical = float(gains[:, -1].max()) / max(budget, 1e-300)
    multipliers = np.concatenate([[0.0], typical * np.geomspace(1e-2, 1e2, 40)])
    below = np.concatenate([[0.0], parts[:-1]])
    dual = np.array([(gains - m * below).max(1).sum() for m in multipliers])
    return float((dual + multipliers * budget).min()) * (1 + 1e-9)
