"""How far the zero crossings of a clip can be moved: the cheapest signs to turn, by a chain of two states.

A sample of the other sign costs at least its own square. Signs are chosen one after the other, each step
counts as often as frames hold it, and what a multiplier makes of the price is settled exactly for the whole
clip (Viterbi's recursion, in the form of products of 2 x 2 matrices in the algebra of max and plus, all of
one level of a tree at once). Signs beside a crossing move it without adding one, and that is what this
counts, and what a count of small samples would miss.
"""

from __future__ import annotations

import numpy as np
import torch

from subterfuge.defences.certificates.curves import Curves
from subterfuge.defences.certificates.duelling import Array
from subterfuge.features.constants import HOP, N_FFT
from subterfuge.features.course import crossing_weights
from subterfuge.features.temporal import THRESHOLD

MULTIPLIERS = 60


def step_weights(samples: int) -> Array:
    """What a crossing in the step into each sample adds to the mean rate, shape (samples,), the first 0."""
    inside, first = (x.numpy().astype(np.float64) for x in crossing_weights(samples, torch.device("cpu")))
    weights = np.repeat(inside, HOP)[:samples]
    weights[::HOP] = first[: len(weights[::HOP])]
    weights[0] = 0
    return np.asarray(weights / ((1 + samples // HOP) * N_FFT))


def crossing_rate(y: Array) -> float:
    """Mean over frames of the zero crossing rate, as the feature has it."""
    negative = y < -THRESHOLD
    return float(step_weights(len(y))[1:] @ (negative[1:] != negative[:-1]))


def turning_costs(y: Array) -> Array:
    """Square of the least change that turns each sample's sign, shape (samples,)."""
    return np.asarray(np.where(y < -THRESHOLD, np.maximum(-y - THRESHOLD, 0), np.maximum(y, 0)) ** 2)


def crossings(y: Array) -> Curves:
    """Of the rise (row 0) and the fall (row 1) of the mean zero crossing rate, price in squared samples."""
    costs, weights = turning_costs(y), step_weights(len(y))
    top = max(float(weights.max()), 1e-300)
    # From where every sign may turn to where hardly one does.
    loud = max(float(costs.max()), 1e-20)
    some = np.partition(costs, min(len(costs) - 1, 8))[min(len(costs) - 1, 8)]
    multipliers = np.geomspace(1e-2 * top / loud, 4 * top / max(float(some), loud * 1e-14), MULTIPLIERS)
    values = np.array([[chain(y, costs * m, weights, side) for m in multipliers] for side in (1.0, -1.0)])
    return Curves(multipliers, values)


def within(y: Array, epsilon: float) -> tuple[float, float]:
    """How far the mean rate can rise and fall where every sample may change by ``epsilon``."""
    costs = np.where(turning_costs(y) <= epsilon**2 * (1 + 1e-12), 0.0, np.inf)
    weights = step_weights(len(y))
    return chain(y, costs, weights, 1.0), chain(y, costs, weights, -1.0)


def chain(y: Array, costs: Array, weights: Array, side: float) -> float:
    """Greatest ``side * change of the rate - costs of the turned samples`` over all choices of signs."""
    # A turned sample alters two steps at most, so one that costs more than both never pays.
    both = weights + np.append(weights[1:], 0)
    wild = costs <= 2 * both
    if not wild.any():
        return 0.0
    near = wild.copy()
    near[1:] |= wild[:-1]
    near[:-1] |= wild[1:]
    kept = np.flatnonzero(near)
    negative = (y < -THRESHOLD)[kept]
    joined = np.diff(kept) == 1
    weight = np.where(joined, weights[kept[1:]], 0.0)
    crossed = negative[1:] != negative[:-1]
    price = np.where(wild[kept], costs[kept], np.inf)
    # Entry (a, b): the step from a state (kept as it was, turned) to the next one's, and the price of that.
    steps = np.empty((len(kept), 2, 2))
    steps[0] = [[0.0, -price[0]], [-np.inf, -np.inf]]
    # Both of two neighbours turned, or neither, changes nothing; one makes a crossing or takes one away.
    steps[1:, 0, 0] = steps[1:, 1, 1] = 0.0
    steps[1:, 0, 1] = steps[1:, 1, 0] = side * weight * np.where(crossed, -1.0, 1.0)
    steps[1:, :, 1] -= price[1:, None]
    while len(steps) > 1:
        if len(steps) % 2:
            steps = np.concatenate([steps, [[[0.0, -np.inf], [-np.inf, 0.0]]]])
        left, right = steps[::2], steps[1::2]
        steps = np.maximum(
            left[:, :, 0, None] + right[:, 0, None, :], left[:, :, 1, None] + right[:, 1, None, :]
        )
    return max(0.0, float(steps[0].max()))
